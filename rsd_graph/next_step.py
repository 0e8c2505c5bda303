"""How any model is asked for the next step: the conversation, the text so far, a seed and a token limit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from inspect import isawaitable

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from pydantic import TypeAdapter, ValidationError

from rsd_graph.control_tokens import neutralize_messages
from rsd_graph.errors import ModelError, describe
from rsd_graph.events import unshown
from rsd_graph.protocols import Hopeless, StepGenerator, generating, stopping_at
from rsd_graph.settings import RSDSettings
from rsd_graph.state import MAX_BLANK_STEPS, Author, Generation, Step, Stop, bare, counted, prefix
from rsd_graph.tools.blocks import since_output, whole_blocks
from rsd_graph.tools.formats import PROMPT, ToolFormat
from rsd_graph.tracing import traced

_generation = TypeAdapter(Generation)


@dataclass(frozen=True, slots=True)
class Request:
    """A call of `StepGenerator.generate`: all that decides its answer."""

    messages: Sequence[BaseMessage]
    response: str
    settings: RSDSettings


def request(role: Author, conversation: Sequence[BaseMessage], steps: Sequence[Step], settings: RSDSettings) -> Request:
    """How the model in this role is asked for the step after `steps`, within the tokens that the run has left."""
    left = settings.max_tokens - tokens_in(steps)
    own = settings.model_copy(
        update={
            "max_step_tokens": max(1, min(settings.max_step_tokens, left)),
            "seed": _sampling_seed(settings.seed, role, len(steps)),
        }
    )
    return Request(conversation, prefix(steps, settings.delimiter), own)


async def propose(
    model: StepGenerator,
    role: Author,
    conversation: Sequence[BaseMessage],
    steps: Sequence[Step],
    settings: RSDSettings,
    *,
    logprobs: bool = True,
    stop_if: Hopeless | None = None,
    tools: ToolFormat | None = None,
) -> Generation:
    """Have the model write the step after `steps`, within the tokens that the run has left.

    Args:
        model: Is asked.
        role: Decides the seed.
        conversation: What the response answers.
        steps: The response so far.
        settings: Of the run.
        logprobs: Whether its log-probabilities will be read.
        stop_if: Whether a step that begins so is lost already; see `protocols.generating`.
        tools: How the model writes code, if code is run.
    """
    asked = request(role, conversation, steps, settings)

    async def ask(begun: str, limit: int) -> Generation:
        """Have the model write on after what it has begun of the step."""
        own = asked.settings.model_copy(update={"max_step_tokens": limit}) if begun else asked.settings
        (generation,) = await _generated(model, Request(asked.messages, asked.response + begun, own), 1)
        return generation

    async def call() -> Generation:
        limit = asked.settings.max_step_tokens
        if tools is None:
            return await ask("", limit)
        with stopping_at(tools.stops, show_control_tokens=tools.shows_control_tokens):
            return await whole_blocks(ask, since_output(steps, settings.delimiter), tools, settings.delimiter, limit)

    with unshown(), generating(logprobs=logprobs, stop_if=stop_if):
        return await traced(model, role, asked.messages, call, settings=asked.settings)


async def propose_several(
    model: StepGenerator,
    role: Author,
    conversation: Sequence[BaseMessage],
    steps: Sequence[Step],
    settings: RSDSettings,
    n: int,
    *,
    logprobs: bool = True,
) -> list[Generation]:
    """Have the model write n candidates for the step after `steps`, in one request. Arguments as for `propose`."""
    with unshown(), generating(logprobs=logprobs):
        return await _generated(model, request(role, conversation, steps, settings), n)


async def _generated(model: StepGenerator, asked: Request, n: int) -> list[Generation]:
    number = {} if n == 1 else {"n": n}
    answer = model.generate(asked.messages, asked.response, settings=asked.settings, **number)
    if not isawaitable(answer):
        raise ModelError(f"{model.name}: `generate` must be an `async def`; it returned {answer!r:.80}")
    match await answer:
        case [*generations] if len(generations) == n and all(isinstance(each, Generation) for each in generations):
            return [_checked(each, model.name) for each in generations]
        case other:
            expected = "one Generation" if n == 1 else f"{n} Generations"
            raise ModelError(f"{model.name} returned {other!r:.200}, expected a list of {expected}")


def _checked(generation: Generation, name: str) -> Generation:
    """The generation, with its tokens counted by its log-probabilities if the backend does not count them."""
    try:
        generation = _generation.validate_python(bare(generation))
    except ValidationError as error:
        raise ModelError(f"{name} returned a Generation that is wrong: {describe(error)}") from error
    if generation.logprobs and not generation.usage.completion:
        return replace(generation, usage=replace(generation.usage, completion=len(generation.logprobs)))
    return generation


def conversation(settings: RSDSettings, problem: str, history: Sequence[BaseMessage] = ()) -> list[BaseMessage]:
    """The messages that a response answers: system prompt if there is one, history, problem.

    System messages of the history join the system prompt, after it and in their order, with a blank line between: many
    chat templates take one system message, at the front, and no other. Only the system prompt, which is the operator's,
    may contain control tokens.
    """
    asked: list[BaseMessage] = [*history, HumanMessage(problem)]
    if settings.neutralize_control_tokens:
        asked = neutralize_messages(asked)
    rules = [message for message in asked if isinstance(message, SystemMessage)]
    prompt = settings.system_prompt
    if settings.tools == "python" and prompt == RSDSettings.model_fields["system_prompt"].default:
        prompt = PROMPT  # the usual one says nothing of programs
    if prompt:
        rules.insert(0, SystemMessage(prompt))
    system = [SystemMessage("\n\n".join(rule.text for rule in rules))] if len(rules) > 1 else rules
    return [*system, *(message for message in asked if not isinstance(message, SystemMessage))]


def tokens_in(steps: Sequence[Step]) -> int:
    """Tokens of the steps. Those of a step whose model reports no count are estimated by the length of its text."""
    return sum(counted(step.tokens, step.text) for step in steps)


def _sampling_seed(seed: int, role: Author, step: int) -> int:
    """A different seed for each role and step, so that no two calls of a run share their random numbers."""
    return int.from_bytes(blake2b(f"{seed}/{role}/{step}".encode(), digest_size=4).digest()) >> 1


def is_blank(step: Generation | Step) -> bool:
    """Whether the step says nothing.

    White space cut by a token limit does count as a step: with a very small limit, it can be all that fits.
    """
    text = step.text if step.finish == "length" else step.text.strip()
    return not text


def without_blanks(steps: Sequence[Step]) -> list[Step]:
    """The steps that say something: what a reward model can judge."""
    return [step for step in steps if not is_blank(step)]


def blanks_at_end(steps: Sequence[Step]) -> int:
    """How many steps at the end say nothing.

    A blank step is kept while the run continues, so that the models see the delimiter which they wrote, and write on
    after it. At the end of the run, such steps are dropped.
    """
    return next((number for number, step in enumerate(reversed(steps)) if not is_blank(step)), len(steps))


def stuck(steps: Sequence[Step]) -> bool:
    """Whether the models have written nothing for so long that they are not going to."""
    return blanks_at_end(steps) >= MAX_BLANK_STEPS


def limit_reached(steps: Sequence[Step], settings: RSDSettings) -> Stop | None:
    """The limit that ends a run with these steps; None if it continues."""
    if stuck(steps):
        return "no_progress"
    if tokens_in(steps) >= settings.max_tokens:
        return "max_tokens"
    return "max_steps" if len(steps) >= settings.max_steps else None
