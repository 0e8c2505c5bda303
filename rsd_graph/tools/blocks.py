"""The code in a response: what has run, and what waits to be run."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from rsd_graph.state import Generation, Step, counted, prefix
from rsd_graph.tools.formats import ToolFormat


def code_to_run(steps: Sequence[Step], tools: ToolFormat, delimiter: str) -> str | None:
    """The code that the newest step asks to run; None if it asks for none."""
    if not steps or steps[-1].author == "tool" or steps[-1].finish == "length":
        return None
    text = since_output(steps, delimiter).removesuffix(delimiter)
    return tools.code(text, ended=steps[-1].finish == "eos")


def code_that_ran(steps: Sequence[Step], tools: ToolFormat, delimiter: str) -> list[str]:
    """The code of each output among the steps, in order."""
    asked = (code_to_run(steps[:index], tools, delimiter) for index, step in enumerate(steps) if step.author == "tool")
    return [code for code in asked if code is not None]


def by_models(steps: Sequence[Step]) -> list[Step]:
    """The steps that a model wrote: an answer in an output is none."""
    return [step for step in steps if step.author != "tool"]


def since_output(steps: Sequence[Step], delimiter: str) -> str:
    """What the models have written since the last output."""
    last = max((index for index, step in enumerate(steps) if step.author == "tool"), default=-1)
    return prefix(steps[last + 1 :], delimiter)


async def whole_blocks(
    ask: Callable[[str, int], Awaitable[Generation]], before: str, tools: ToolFormat, delimiter: str, limit: int
) -> Generation:
    """A step in which the delimiter counts only outside code, where blank lines are common.

    Args:
        ask: Has the model write on after the text of the step so far, with so many tokens at most.
        before: What the models have written since the last output, before this step.
        tools: How code is written.
        delimiter: Of steps.
        limit: Tokens of the step.
    """
    step = _cut(await ask("", limit), tools)
    while step.finish == "delimiter" and tools.is_open(before + step.text):
        left = limit - counted(step.usage.completion, step.text)
        if left <= 0:
            return replace(step, finish="length")
        begun = step.text + delimiter
        more = _cut(await ask(begun, left), tools)
        if not more.text and more.finish == "delimiter":  # one blank line more
            more = replace(more, usage=replace(more.usage, completion=max(1, more.usage.completion)))
        step = _joined(step, more, delimiter)
    step = replace(step, text=tools.marked(step.text, ended=step.finish == "eos"))
    asks = tools.code(before + step.text, ended=step.finish == "eos") is not None
    return replace(step, text=step.text.rstrip()) if asks else step


def _cut(step: Generation, tools: ToolFormat) -> Generation:
    """The step up to where the model should have stopped: not every one knows further stops."""
    found = min((place for stop in tools.stops if (place := step.text.find(stop)) >= 0), default=None)
    return step if found is None else replace(step, text=step.text[:found], finish="delimiter")


def _joined(step: Generation, more: Generation, delimiter: str) -> Generation:
    logprobs = None if step.logprobs is None or more.logprobs is None else (*step.logprobs, *more.logprobs)
    return replace(more, text=step.text + delimiter + more.text, usage=step.usage + more.usage, logprobs=logprobs)
