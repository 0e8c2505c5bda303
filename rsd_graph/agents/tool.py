"""The graph as a LangChain tool."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.tools import StructuredTool, ToolException
from pydantic import BaseModel, Field, ValidationError

from rsd_graph.agents.calls import Graph, for_calls
from rsd_graph.errors import ConfigurationError, InvalidProblemError, RSDError, describe
from rsd_graph.reply import step_as_json
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Step

NAME = "solve_problem"
DESCRIPTION = (
    "Solves a problem that takes several steps of reasoning, such as a mathematical or logical one, and returns the "
    "final answer with the steps that led to it."
)
LONGEST_TRACE = 1500
"""Characters of the steps that the calling model reads. The artifact has all of them."""

Result = tuple[str, list[dict[str, Any]]]


class Problem(BaseModel):
    """What the tool asks for."""

    problem: str = Field(
        description="The whole problem, in words. It must be complete: the solver sees nothing of the conversation."
    )


def as_tool(
    graph: Graph,
    *,
    name: str = NAME,
    description: str = DESCRIPTION,
    settings: RSDSettings | Mapping[str, Any] | None = None,
) -> StructuredTool:
    """The graph as a tool for `langchain.agents.create_agent`, or for any model that calls tools.

    The tool asks for the problem alone. Its message holds the final answer and a short trace; the message's `artifact`
    is the list of all steps, each a dict of `text`, `author` and `reward`. What goes wrong with the problem or with the
    models, which is an `RSDError`, becomes a message with `status="error"`. Other exceptions are raised.

    In an agent, `stream_mode="messages"` and `"custom"` show the steps with `subgraphs=True`, as those of any graph in
    a tool, and a cancelled agent cancels the models.

    Args:
        graph: Made by `create_rsd_graph`. A checkpointer of its own is not used: each call is a run of its own.
        name: By which the model calls the tool.
        description: Tells the model when to call it.
        settings: Of each call; fields that are not set are those that the graph was made with.

    Raises:
        ConfigurationError: a setting is out of range or unknown.
    """
    context, graph = _checked(settings), for_calls(graph)

    def solve(problem: str) -> Result:
        try:
            return _told(graph.invoke({"problem": problem}, context=context))
        except RSDError as error:
            raise ToolException(_failure(error)) from error

    async def asolve(problem: str) -> Result:
        try:
            return _told(await graph.ainvoke({"problem": problem}, context=context))
        except RSDError as error:
            raise ToolException(_failure(error)) from error

    return StructuredTool.from_function(
        solve,
        coroutine=asolve,
        name=name,
        description=description,
        args_schema=Problem,
        response_format="content_and_artifact",
        handle_tool_error=True,
        handle_validation_error="`problem` is missing or not a text: pass the whole problem as one text.",
    )


def _checked(settings: RSDSettings | Mapping[str, Any] | None) -> RSDSettings | None:
    try:
        return RSDSettings.model_validate(dict(settings)) if isinstance(settings, Mapping) else settings
    except ValidationError as error:
        raise ConfigurationError(f"the tool's settings: {describe(error)}") from error


def _told(out: Mapping[str, Any]) -> Result:
    """The answer and a short trace for the model that called; all steps for the program around it."""
    steps: Sequence[Step] = out["steps"]
    if out["answer"] is not None:
        head = f"Final answer: {out['answer']}"
    else:
        head = f"No final answer was found; the solution ended with `{out['stop']}`. What there is of it:"
    return f"{head}\n\n{_trace(steps)}".strip(), [step_as_json(step) for step in steps]


def _trace(steps: Sequence[Step]) -> str:
    """The steps, numbered; the first ones are left out where there are too many, because the last ones decide."""
    lines: list[str] = []
    left = LONGEST_TRACE
    for number, step in reversed(list(enumerate(steps, 1))):
        line = f"{number}. {' '.join(step.text.split())}"
        if len(line) > left:
            lines.append(f"{line[:left]}…" if not lines else "…")
            break
        left -= len(line)
        lines.append(line)
    return "\n".join(reversed(lines))


def _failure(error: RSDError) -> str:
    """What the calling model can do about it."""
    if isinstance(error, InvalidProblemError):
        return f"The problem cannot be read: {error}. Call the tool again with the whole problem as plain text."
    kept = f" It had these steps so far:\n{_trace(error.steps)}" if error.steps else ""
    return (
        f"The solver failed: {error}. Calling it again may help if a model was unavailable for a moment; "
        f"otherwise solve the problem without it.{kept}"
    )
