"""Runs the code that a kept step asks to run; its output follows as a step of its own."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from rsd_graph.control_tokens import neutralize
from rsd_graph.errors import ConfigurationError
from rsd_graph.sandbox import Execution, Sandbox, default_sandbox
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, RSDState, Step
from rsd_graph.tools.blocks import code_that_ran
from rsd_graph.tools.formats import Choose, ToolFormat, shortened
from rsd_graph.tools.functions import Functions

LONGEST_OUTPUT = 400
"""Characters; of a longer output, the models see both ends."""
NOTHING_SAID = "Done"
OUT_OF_TIME = "Timeout Error"
"""These two are what Qwen's own executor says (`python_executor.py` in https://github.com/QwenLM/Qwen2.5-Math)."""


class Runner:
    """Runs code for the nodes.

    Variables, imports and functions of earlier blocks are there: the blocks that ran in the kept steps are run again,
    unseen, before a new one. So a run that is resumed, forked, or rid of a step needs no interpreter that remembers.

    Args:
        sandbox: Where; by default this machine's, which is looked for when the first code is to run.
        functions: The graph's own tools, which a step may call in place of code; they remember nothing for it.
    """

    def __init__(self, sandbox: Sandbox | None = None, functions: Functions | None = None) -> None:
        self._sandbox = sandbox
        self._functions = functions

    async def output(self, code: str, steps: Sequence[Step], tools: ToolFormat, settings: RSDSettings) -> str:
        """What the code prints after the code of these steps, or the tools return, as the models are to read it.

        Raises:
            SandboxError: nothing protects this machine, so nothing was run.
        """
        clean = neutralize if settings.neutralize_control_tokens else str
        if settings.tools == "functions" and self._functions is not None:
            return await self._functions.output(code, clean)
        sandbox = self._sandbox or default_sandbox()
        earlier = code_that_ran(steps, tools, settings.delimiter)
        async with sandbox.session(earlier) as session:
            return clean(told(await session.run(code, timeout=settings.tool_timeout)))


def told(execution: Execution) -> str:
    """An execution in a few words: an error alone, or what was printed."""
    if execution.timed_out:
        return OUT_OF_TIME
    if error := execution.error.strip():
        return shortened(error.splitlines()[-1], LONGEST_OUTPUT)
    return shortened(execution.output.strip(), LONGEST_OUTPUT) or NOTHING_SAID


def tool_node(choose: Choose, runner: Runner) -> Callable[[RSDState, RSDSettings], Awaitable[dict[str, Any]]]:
    """The node that runs `state["code"]`. What it returns is kept by `check` as a step of the author "tool".

    Args:
        choose: The format of a run.
        runner: Runs the code.
    """

    async def tool(state: RSDState, settings: RSDSettings) -> dict[str, Any]:
        code, tools = state.get("code"), choose(settings)
        if code is None or tools is None:
            raise ConfigurationError("there is no code to run: `tools` is off")
        output = state.get("output")
        if output is None:
            output = await runner.output(code, state["steps"][:-1], tools, settings)
        return {
            "proposal": Generation(tools.answer(output), "delimiter"),
            "author": "tool",
            "reward": None,
            "code": None,
            **({"output": None} if state.get("output") is not None else {}),
        }

    return tool
