"""One model alone: it continues a solution step by step until it ends or reaches a limit."""

from collections.abc import Sequence

from rsd_graph.errors import ContextOverflowError
from rsd_graph.next_step import blanks_at_end, conversation, is_blank, propose, stuck, tokens_in
from rsd_graph.protocols import StepGenerator
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Author, Generation, Step, join_steps


async def continue_solution(
    model: StepGenerator,
    problem: str,
    steps: Sequence[Generation],
    settings: RSDSettings,
    role: Author = "draft",
) -> list[Generation]:
    """Have the model continue a solution until it ends or a limit of the settings is reached.

    Args:
        model: Writes the steps.
        problem: The problem to solve.
        steps: The solution so far; these count towards the limits.
        settings: The limits, how to sample, and the system prompt.
        role: The model's role. Draft and target draw different random numbers from the same seed.

    Returns:
        The new steps alone. A context overflow ends the solution, as a limit does; blank steps at its end are
        left out.
    """
    messages = conversation(settings, problem)
    so_far = kept(steps, role)
    written: list[Generation] = []
    while len(so_far) < settings.max_steps and tokens_in(so_far) < settings.max_tokens and not stuck(so_far):
        try:
            step = await propose(model, role, messages, so_far, settings)
        except ContextOverflowError:
            break
        if not (step.finish == "eos" and is_blank(step)):
            so_far += kept([step], role)
            written.append(step)
        if step.finish == "eos":
            break
    return written[: len(written) - min(len(written), blanks_at_end(so_far))]


def response(steps: Sequence[Generation], settings: RSDSettings) -> str:
    """The response that the steps make."""
    return join_steps(kept(steps), settings.delimiter)


def kept(steps: Sequence[Generation], role: Author = "draft") -> list[Step]:
    """The steps as the model in this role has kept them."""
    return [Step(step.text, role, finish=step.finish, tokens=step.usage.completion) for step in steps]
