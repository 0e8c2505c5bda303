"""What writes a response, step by step: its conversation, and how a model is asked for the next step."""

from collections.abc import Sequence
from hashlib import blake2b

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from rsd_graph.errors import ModelError
from rsd_graph.protocols import StepGenerator
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Author, Generation, Step, prefix


async def propose(
    model: StepGenerator,
    role: Author,
    conversation: Sequence[BaseMessage],
    steps: Sequence[Step],
    settings: RSDSettings,
) -> Generation:
    """Have the model write the step that follows `steps`, within what the run's token limit leaves."""
    left = settings.max_tokens - sum(step.tokens for step in steps)
    own = settings.model_copy(
        update={
            "max_step_tokens": max(1, min(settings.max_step_tokens, left)),
            "seed": _sampling_seed(settings.seed, role, len(steps)),
        }
    )
    generations = await model.generate(conversation, prefix(steps, settings.delimiter), settings=own)
    match generations:
        case [Generation() as generation]:
            return generation
        case _:
            raise ModelError(f"{model.name} returned {generations!r:.200}, expected a list of one Generation")


def conversation(settings: RSDSettings, problem: str, history: Sequence[BaseMessage] = ()) -> list[BaseMessage]:
    """The messages that a response answers: system prompt, history, problem."""
    system: list[BaseMessage] = [SystemMessage(settings.system_prompt)] if settings.system_prompt else []
    return [*system, *history, HumanMessage(problem)]


def _sampling_seed(seed: int, role: Author, step: int) -> int:
    """A seed of its own for each call, so that no two steps, and no two models, share their random numbers."""
    return int.from_bytes(blake2b(f"{seed}/{role}/{step}".encode(), digest_size=4).digest()) >> 1


def is_blank(generation: Generation) -> bool:
    """Whether the model wrote nothing that could be kept as a step.

    White space counts as something behind a token limit: with very short steps it can be all that fitted.
    """
    text = generation.text if generation.finish == "length" else generation.text.strip()
    return not text
