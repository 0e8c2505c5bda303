"""One model alone: it continues a solution step by step until it ends or a limit is reached."""

from collections.abc import Sequence

from rsd_graph.errors import ContextOverflowError
from rsd_graph.next_step import blanks_at_end, conversation, is_blank, propose, stuck, tokens_in
from rsd_graph.protocols import StepGenerator
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, Step, join_steps


async def continue_solution(
    model: StepGenerator, problem: str, steps: Sequence[Generation], settings: RSDSettings
) -> list[Generation]:
    """The steps with which the model goes on behind `steps`, until it ends or a limit of the settings is reached."""
    messages = conversation(settings, problem)
    kept = [_kept(step) for step in steps]
    written: list[Generation] = []
    while len(kept) < settings.max_steps and tokens_in(kept) < settings.max_tokens and not stuck(kept):
        try:
            step = await propose(model, "draft", messages, kept, settings)
        except ContextOverflowError:
            break
        if not (step.finish == "eos" and is_blank(step)):
            kept.append(_kept(step))
            written.append(step)
        if step.finish == "eos":
            break
    return written[: len(written) - min(len(written), blanks_at_end(kept))]


def response(steps: Sequence[Generation], settings: RSDSettings) -> str:
    """The text that the steps make."""
    return join_steps([_kept(step) for step in steps], settings.delimiter)


def _kept(step: Generation) -> Step:
    return Step(step.text, "draft", finish=step.finish, tokens=step.usage.completion)
