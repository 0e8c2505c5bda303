"""How any model is asked for the next step: the conversation, the text so far, a seed and a token limit."""

from collections.abc import Sequence
from hashlib import blake2b

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from rsd_graph.control_tokens import neutralize_messages
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
    """Have the model write the step after `steps`, within the tokens that the run has left."""
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
    """The messages that a response answers: system prompt if there is one, history, problem.

    Only the system prompt may contain control tokens: it is the operator's.
    """
    system: list[BaseMessage] = [SystemMessage(settings.system_prompt)] if settings.system_prompt else []
    asked: list[BaseMessage] = [*history, HumanMessage(problem)]
    return [*system, *(neutralize_messages(asked) if settings.neutralize_control_tokens else asked)]


def _sampling_seed(seed: int, role: Author, step: int) -> int:
    """A different seed for each role and step, so that no two calls of a run share their random numbers."""
    return int.from_bytes(blake2b(f"{seed}/{role}/{step}".encode(), digest_size=4).digest()) >> 1


def is_blank(generation: Generation) -> bool:
    """Whether the generation holds nothing to keep as a step.

    White space cut by a token limit is kept: with a very small limit, it can be all that fits.
    """
    text = generation.text if generation.finish == "length" else generation.text.strip()
    return not text
