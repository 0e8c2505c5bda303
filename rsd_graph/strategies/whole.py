"""A whole solution in one request, rather than step by step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rsd_graph.answers import extract_answer
from rsd_graph.errors import ContextOverflowError
from rsd_graph.next_step import conversation, limit_reached, propose
from rsd_graph.protocols import StepGenerator
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Author, Step, Stop, TokenUsage, counted, join_steps

NEVER = "\n\n=== no step ends here ===\n\n"
"""A delimiter that no model writes: the model writes to the end of its text."""


@dataclass(frozen=True, slots=True)
class Written:
    """A solution by one model."""

    response: str
    answer: str | None
    steps: Sequence[Step]
    """The response cut at the delimiter of steps. Tokens are counted for the whole: those of a step are its share."""
    stop: Stop
    usage: TokenUsage
    question: int
    """Prompt tokens of the bare conversation."""


async def write_whole(model: StepGenerator, role: Author, problem: str, settings: RSDSettings) -> Written:
    """Have the model solve the problem.

    A solution longer than one request may be takes several.

    Args:
        model: Writes it.
        role: The model's role: it decides the seed.
        problem: The question.
        settings: Limits and sampling. `max_steps` and `max_step_tokens` do not apply: there are no steps.
    """
    alone = settings.model_copy(update={"delimiter": NEVER, "max_step_tokens": settings.max_tokens})
    messages = conversation(alone, problem)
    parts: list[Step] = []
    usage, question = TokenUsage(), 0
    stop: Stop | None = None
    while stop is None:
        try:
            part = await propose(model, role, messages, parts, alone, logprobs=False)
        except ContextOverflowError:
            stop = "context_overflow"
            break
        question = question or part.usage.prompt
        usage += part.usage
        text = part.text + (settings.delimiter if part.finish == "delimiter" else "")  # it stops there all the same
        parts.append(Step(text, role, finish="eos" if part.finish == "eos" else "length", tokens=part.usage.completion))
        stop = "eos" if part.finish == "eos" else limit_reached(parts, alone)
    response = join_steps(parts, alone.delimiter).strip()
    return Written(
        response, extract_answer(response), cut_into_steps(response, role, usage, settings), stop, usage, question
    )


def cut_into_steps(response: str, author: Author, usage: TokenUsage, settings: RSDSettings) -> list[Step]:
    """The response cut at each delimiter, as `draft` and `target` would have been stopped there."""
    texts = [text for text in response.split(settings.delimiter) if text.strip()]
    if not texts:
        return []
    lengths = [counted(0, text) for text in texts]
    known = usage.completion or sum(lengths)
    ends = [round(known * sum(lengths[: index + 1]) / sum(lengths)) for index in range(len(texts))]
    steps = [Step(text, author, tokens=end - begin) for text, begin, end in zip(texts, [0, *ends], ends, strict=False)]
    return [*steps[:-1], replace(steps[-1], finish="eos")]
