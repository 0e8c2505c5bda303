"""What follows if a candidate is kept: known before the graph gets there."""

from collections.abc import Sequence
from numbers import Real

from rsd_graph.acceptance import accepts
from rsd_graph.budget import in_force
from rsd_graph.next_step import limit_reached
from rsd_graph.run_scope import Moment
from rsd_graph.state import Generation, Step


def is_accepted(scores: object, now: Moment) -> bool:
    """Whether the graph will keep the candidate that got this score. One that is no score is refused later."""
    match scores:
        case [score]:
            reward = getattr(score, "reward", None)
            return isinstance(reward, Real) and accepts(
                float(reward), in_force(now.settings, now.steps), len(now.steps)
            )
        case _:
            return False


def steps_with(candidate: Generation, now: Moment) -> list[Step] | None:
    """The steps once the draft's candidate is kept; None if the run ends with it, or it cannot be kept."""
    if candidate.finish == "eos" or candidate.given_up or now.settings.tools != "off":  # an output may come first
        return None
    kept = Step(candidate.text, "draft", finish=candidate.finish, tokens=candidate.usage.completion)
    steps: Sequence[Step] = [*now.steps, kept]
    return None if limit_reached(steps, now.settings) else list(steps)
