"""llama.cpp: a server that runs elsewhere, or one inside this process.

Both are called through llama.cpp's own `/completion`, whose `stop_type` distinguishes end of text, stop word and limit;
its `/v1/completions` does not.
"""

import asyncio
import ctypes
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from langchain_core.messages import BaseMessage
from pydantic import BaseModel, RootModel

from rsd_graph._internal.background import PerProcess, in_thread, on_background_loop
from rsd_graph._internal.progress import Progress
from rsd_graph.errors import ModelError, ModelResponseError, ModelUnavailableError, WeightsError
from rsd_graph.models.characters import require_plausible, whole, with_a_character
from rsd_graph.models.chats import AcceptedChats, Chat
from rsd_graph.models.context import as_much_as_fits
from rsd_graph.models.group_lock import GroupLock
from rsd_graph.models.http import ModelServer, RenderedChat, TokenIds, to_openai
from rsd_graph.models.logprobs import checked_logprob
from rsd_graph.models.prompts import KEPT, digest
from rsd_graph.models.retries import RetryPolicy
from rsd_graph.models.shared import Shared
from rsd_graph.models.weights import NEEDS_LOCAL, Weights, expanded, locate
from rsd_graph.models.written import Written
from rsd_graph.protocols import hopeless, logprobs_wanted, stop_texts
from rsd_graph.settings import RSDSettings
from rsd_graph.speculation import count_proposals
from rsd_graph.state import Finish, Generation, TokenUsage
from rsd_graph.text_sink import TextSink, text_sink, text_to

FINISH: dict[str, Finish] = {"eos": "eos", "word": "delimiter", "limit": "length"}


class _Token(BaseModel):
    logprob: float | None = None
    """Versions before 2025 have `prob` in its place, which is of another distribution."""


class Timings(BaseModel):
    """What llama.cpp says of a request's cost, as far as it is read."""

    cache_n: int = 0
    """Prompt tokens that were in the cache; older versions do not say."""
    draft_n: int = 0
    """Tokens that the draft model of the engine proposed."""
    draft_n_accepted: int = 0


class _Completion(BaseModel):
    content: str
    stop_type: Literal["eos", "word", "limit"] | None = None
    stopped_eos: bool = False
    """This and the next: versions that have no `stop_type`."""
    stopped_word: bool = False
    stopped_limit: bool = False
    tokens_evaluated: int = 0
    tokens_predicted: int = 0
    timings: Timings = Timings()
    completion_probabilities: list[_Token] | None = None

    def finish(self, where: str) -> Finish:
        """Why it stopped."""
        if self.stop_type is not None:
            return FINISH[self.stop_type]
        for stopped, finish in ((self.stopped_eos, "eos"), (self.stopped_word, "word"), (self.stopped_limit, "limit")):
            if stopped:
                return FINISH[finish]
        raise ModelResponseError(f"{where} does not say why it stopped (no `stop_type`): is it a llama.cpp server?")


class _GivenUp(Exception):  # noqa: N818  # no error: a way out of the stream
    """The step is lost: nobody needs the rest of it."""

    def __init__(self, heard: "_Heard") -> None:
        super().__init__()
        self.heard = heard


class _Heard:
    """Puts a streamed completion together: the last event tells all but what the others have told piece by piece."""

    def __init__(self, written: Written) -> None:
        self._written = written
        self._events: list[Any] = []
        self._logprobs: list[float] = []
        self._is_lost = hopeless.get()

    def __call__(self, event: Any) -> None:
        """Take an event, and show what it adds to the text.

        Raises:
            _GivenUp: what was heard so far can no longer become a step that is kept.
        """
        self._events.append(event)
        if not isinstance(event, dict):
            return
        if isinstance(piece := event.get("content"), str):
            self._written.add(piece)
        if self._is_lost is not None and not event.get("stop"):
            self._logprobs += _said(event)
            if self._logprobs and not _speculates(event) and self._is_lost(self._logprobs):
                raise _GivenUp(self)

    def answer(self) -> object:
        """What the server would have said without streaming."""
        *before, last = self._events or [{}]
        if not before or not all(isinstance(event, dict) for event in self._events):
            return last
        joined = {"content": self._written.text}
        tokens = [token for event in self._events for token in event.get("completion_probabilities") or ()]
        return {**last, **joined, **({"completion_probabilities": tokens} if tokens else {})}


def _said(event: dict[str, Any]) -> list[float]:
    """The log-probabilities of an event's tokens; those that are no numbers are refused with the whole answer."""
    said = [token.get("logprob") for token in event.get("completion_probabilities") or () if isinstance(token, dict)]
    return [value for value in said if isinstance(value, float | int)]


def _speculates(event: dict[str, Any]) -> bool:
    """Whether some log-probabilities are missing, because the engine's own draft model proposed their tokens."""
    timings = event.get("timings")
    return isinstance(timings, dict) and bool(timings.get("draft_n"))


class _Slot(BaseModel):
    speculative: bool = False


class _Slots(RootModel[list[_Slot]]):
    """The answer of `/slots`."""


class _SlotSettings(BaseModel):
    n_ctx: int = 0


class _Props(BaseModel):
    default_generation_settings: _SlotSettings


class LlamaCpp:
    """A step generator on a running llama.cpp server.

    Args:
        url: The server's address.
        name: What to call the model; by default `model`, or the server's address. A router in front of several
            llama.cpp servers gets it with every request, as `model`.
        api_key: Sent as a bearer token.
        timeout: Seconds that one step may take, all its requests together.
        parameters: Number of the model's parameters, for the FLOPs count; unknown by default.
        chat_template_kwargs: Passed to the model's chat template, such as `{"enable_thinking": False}`.
        retry: How long to keep asking when it does not answer.
    """

    provider = "llama.cpp"
    """What traces call it: `ls_provider`."""

    def __init__(
        self,
        url: str,
        *,
        name: str | None = None,
        api_key: str | None = None,
        timeout: float = 600,
        parameters: float | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._server = ModelServer(url, api_key=api_key, timeout=timeout, retry=retry)
        self.url = self._server.url
        self.name = name or self.url
        self.parameters = parameters
        self._model = {} if name is None else {"model": name}
        self._options = {"chat_template_kwargs": dict(chat_template_kwargs)} if chat_template_kwargs else {}
        self._chats = AcceptedChats()
        self._rendered: Shared[str, str] = Shared(KEPT)

    async def generate(
        self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
    ) -> list[Generation]:
        """See `StepGenerator.generate`."""
        with self._server.step():
            chat = to_openai(messages)
            rendered = await self._rendered.get(digest(chat), lambda: self._chats.render(chat, self._render))
            prompt = rendered + response
            sink = text_sink() if n == 1 else None
            return await asyncio.gather(*(self._step(prompt, settings, settings.seed + i, sink) for i in range(n)))

    async def start(self) -> None:
        """Nothing to load: the server runs elsewhere."""

    async def aclose(self) -> None:
        """Close the connections."""
        await self._server.aclose()

    async def speculates(self) -> bool | None:
        """See `Speculator`. A server that is started with `--no-slots` does not tell."""
        try:
            slots = await self._server.get(f"/slots{self._router}", _Slots)
        except ModelUnavailableError:
            raise
        except ModelResponseError:
            return None
        return any(slot.speculative for slot in slots.root)

    @property
    def _router(self) -> str:
        """What tells a router in front of several servers which one is meant."""
        return f"?model={quote(self._model['model'], safe='')}" if self._model else ""

    async def _render(self, chat: Chat) -> str:
        body = {**self._model, "messages": list(chat), **self._options}
        return (await self._server.post("/apply-template", body, RenderedChat)).prompt

    async def _step(self, prompt: str, settings: RSDSettings, seed: int, sink: TextSink | None) -> Generation:
        async def ask(limit: int) -> list[Generation]:
            return [
                await as_much_as_fits(
                    lambda tokens: self._complete(prompt, settings, seed, tokens, sink),
                    limit,
                    lambda: self._room(prompt),
                )
            ]

        with self._server.step():  # candidates are written at the same time
            (generation,) = await with_a_character(ask, settings.max_step_tokens)
        return generation

    async def _room(self, prompt: str) -> int | None:
        """How many tokens fit after the prompt; None if the server does not tell."""
        try:
            body = {**self._model, "content": prompt, "add_special": True, "parse_special": True}
            tokens = len((await self._server.post("/tokenize", body, TokenIds)).tokens)
            slot = (await self._server.get(f"/props{self._router}", _Props)).default_generation_settings
        except ModelUnavailableError:
            raise
        except ModelResponseError:
            return None
        return slot.n_ctx - tokens if slot.n_ctx else None

    async def _complete(
        self, prompt: str, settings: RSDSettings, seed: int, limit: int, sink: TextSink | None
    ) -> Generation:
        where = f"{self.url}/completion"
        try:
            heard = await self._server.stream(
                "/completion",
                self._asked(prompt, settings, seed, limit),
                lambda: _Heard(Written(sink, limit, where)),
                tokens=limit,
            )
            given_up = False
        except _GivenUp as stopped:
            heard, given_up = stopped.heard, True
        answer = self._server.read("/completion", _Completion, heard.answer())
        require_plausible(answer.content, limit, where)
        count_proposals(answer.timings.draft_n, answer.timings.draft_n_accepted)
        finish: Finish = "length" if given_up else answer.finish(where)
        return Generation(
            text=whole(answer.content, finish),
            finish=finish,
            usage=TokenUsage(
                prompt=answer.tokens_evaluated, cached=answer.timings.cache_n, completion=answer.tokens_predicted
            ),
            logprobs=self._logprobs(answer) if logprobs_wanted.get() else None,
            given_up=given_up,
        )

    def _asked(self, prompt: str, settings: RSDSettings, seed: int, limit: int) -> dict[str, Any]:
        return {
            **self._model,
            "prompt": prompt,
            "n_predict": limit,
            "stop": stop_texts(settings.delimiter),
            **_sampling(settings),
            "seed": seed,
            "cache_prompt": True,
            "n_probs": 1 if logprobs_wanted.get() else 0,
            "post_sampling_probs": False,
            # without, it computes to the end although nobody listens any more (llama.cpp issue 24496)
            "stream": True,
            # without a last event, nothing else tells what was in the cache
            "timings_per_token": hopeless.get() is not None,
        }

    def _logprobs(self, answer: _Completion) -> tuple[float, ...] | None:
        """None if the server gives none, or only those of tokens that its own draft model did not propose.

        Of a character's tokens, llama.cpp reports the last only.
        """
        tokens = answer.completion_probabilities
        if answer.timings.draft_n:
            return None
        if tokens is None:  # where there was no token, the list is missing rather than empty
            return None if answer.content else ()
        if any("logprob" not in token.model_fields_set for token in tokens):
            return None
        return tuple(checked_logprob(token.logprob, self.name, ModelResponseError) for token in tokens)


def _sampling(settings: RSDSettings) -> dict[str, Any]:
    """How a token is chosen. By default, llama.cpp also applies min-p, and truncates before it applies the temperature.

    At temperature 0, the likeliest token is picked at once: weighing all 152,000 of Qwen's vocabulary takes the
    embedded draft a tenth of its time.
    """
    if settings.temperature == 0:
        return {"samplers": ["top_k"], "top_k": 1}
    return {"samplers": ["temperature", "top_p"], "temperature": settings.temperature, "top_p": settings.top_p}


CORES = os.cpu_count() or 1
DRAFT_TOKENS = 7
"""Tokens that the paper's speculative decoding proposes at once (arXiv 2501.19324, section 4)."""

_turns = GroupLock(CORES)
"""All embedded models of this process share the machine's cores, so they share one lock, on the background loop."""


@dataclass(slots=True)
class _Running:
    """An embedded model in this process."""

    places: asyncio.Semaphore
    """One for each slot. Who waits here spends none of a step's time; in the server's queue it would."""
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    server: Any = None  # xllamacpp.Server has no type stubs
    client: LlamaCpp | None = None


_loaded = PerProcess(list[str])
"""Names of the embedded models that this process has loaded."""


def _end_without_destructors() -> None:
    """Let a forked child end: llama.cpp's destructors would wait there for threads that only the parent has."""
    libc = ctypes.CDLL(None)
    if _loaded.made is not None and hasattr(libc, "on_exit"):  # of glibc; runs before them, with the exit status
        libc.on_exit(ctypes.cast(libc["_exit"], ctypes.c_void_p), None)


os.register_at_fork(after_in_child=_end_without_destructors)


class EmbeddedLlamaCpp:
    """A step generator with llama.cpp inside this process. Downloads and loads its weights on first use.

    A model's requests share a batch. Models compute at the same time as long as each of their threads has a core of its
    own; with the default, a thread on every core, they take turns (see `GroupLock`). llama.cpp's
    threads do not survive a fork: once a process has loaded an embedded model, its forked children can use none.

    Args:
        weights: A GGUF file, or one of the models in `rsd_graph.models.weights`: `DRAFT`, `TARGET`.
        name: What to call the model; by default the file's name.
        slots: Number of problems that it keeps in its cache and computes at once; more of them wait.
        context: Tokens that one problem, with its response, may have.
        threads: Threads to compute with; by default one per core.
        timeout: Seconds that one step may take, from when it has a slot: a model in this process cannot be out of
            reach, and how long it computes depends on what else the machine does.
        parameters: Number of the model's parameters, for the FLOPs count; known for `DRAFT` and `TARGET`.
        chat_template_kwargs: Passed to the model's chat template, such as `{"enable_thinking": False}`.
        progress: Told about a download.
        draft: Weights of a smaller model that proposes tokens, which this one verifies several at once: token-level
            speculative decoding. Both need the same vocabulary.
        draft_tokens: How many it proposes at once.
    """

    provider = "llama.cpp"
    """What traces call it: `ls_provider`."""

    def __init__(
        self,
        weights: Weights | str | Path,
        *,
        name: str | None = None,
        slots: int = 8,
        context: int = 4096,
        threads: int | None = None,
        timeout: float = 3600,
        parameters: float | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
        draft: Weights | str | Path | None = None,
        draft_tokens: int = DRAFT_TOKENS,
    ) -> None:
        if isinstance(weights, Weights):
            parameters = parameters or weights.parameters
        self.name = name or _stem(weights)
        self.parameters = parameters
        self._weights = weights
        self._progress = progress
        self._draft = draft
        self._draft_tokens = draft_tokens
        self._slots = slots
        self._context = context
        self._threads = threads or CORES
        self._timeout = timeout
        self._options = chat_template_kwargs
        self._running = PerProcess(lambda: _Running(asyncio.Semaphore(slots)))

    @on_background_loop
    async def generate(
        self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
    ) -> list[Generation]:
        """See `StepGenerator.generate`."""
        client = await self._started()

        async def one(number: int) -> Generation:
            own = settings.model_copy(update={"seed": settings.seed + number}) if number else settings
            async with self._running.get().places, self.turn():  # each candidate takes a slot
                (generation,) = await client.generate(messages, response, settings=own)
            return generation

        if n == 1:
            return [await one(0)]
        with text_to(None):  # nobody can follow several texts
            return await asyncio.gather(*map(one, range(n)))

    async def start(self) -> None:
        """Download and load the weights now.

        Raises:
            WeightsError: they cannot be had or loaded.
            ModelError: this process was forked from one that had loaded an embedded model.
        """
        await self._started()

    async def speculates(self) -> bool | None:
        """See `Speculator`."""
        return self._draft is not None

    async def url(self) -> str:
        """The loopback address of the server in this process, which is started if need be."""
        return (await self._started()).url

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Hold this model's turn on the cores, on the background loop: for calls that go to `url` directly."""
        return _turns.turn(self, self._threads)

    @on_background_loop
    async def aclose(self) -> None:
        """Stop the server in this process and free its memory."""
        running = self._running.drop()  # the server's destructor stops it
        if running is not None and running.client is not None:
            await running.client.aclose()

    @on_background_loop
    async def _started(self) -> LlamaCpp:
        if _loaded.foreign:
            raise ModelError(
                f"{self.name} cannot run in a forked process: llama.cpp was loaded before the fork, and its threads do "
                'not exist here. Start processes with the method "spawn" or "forkserver"'
            )
        running = self._running.get()
        async with running.starting:
            if running.client is None:
                _loaded.get().append(self.name)
                running.server = await in_thread(self._serve)
                client = LlamaCpp(
                    running.server.listening_address,
                    name=self.name,
                    timeout=self._timeout,
                    chat_template_kwargs=self._options,
                )
                if self._draft is not None and not await client.speculates():
                    await client.aclose()
                    running.server = None
                    raise WeightsError(  # llama.cpp would go on without the draft
                        f"{self.name} cannot speculate with the draft {_stem(self._draft)}: their vocabularies differ"
                    )
                running.client = client
        return running.client

    def _serve(self) -> Any:
        try:
            import xllamacpp
        except ImportError as error:
            raise WeightsError(NEEDS_LOCAL) from error
        path = self._located(self._weights)
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.port = 0  # any free one, on loopback
        params.n_parallel = self._slots
        params.n_ctx = self._slots * self._context
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._threads
        params.cache_ram_mib = 1024  # for prefixes of problems that lost their slot
        params.warmup = False
        params.verbosity = -1
        with_draft = ""
        if self._draft is not None:
            draft = self._located(self._draft)
            with_draft = f" with the draft {draft}"
            proposing = params.speculative.draft
            proposing.mparams.path = str(draft)
            proposing.n_max = self._draft_tokens
            proposing.cpuparams.n_threads = proposing.cpuparams_batch.n_threads = self._threads
            params.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
        try:
            return xllamacpp.Server(params)
        except (RuntimeError, ValueError) as error:
            raise WeightsError(f"llama.cpp cannot load {path}{with_draft}: {error}") from error

    def _located(self, weights: Weights | str | Path) -> Path:
        path = locate(weights, self._progress) if isinstance(weights, Weights) else expanded(weights)
        check_gguf(path)
        return path


def _stem(weights: Weights | str | Path) -> str:
    return Path(weights.filename if isinstance(weights, Weights) else weights).stem


def check_gguf(path: Path) -> None:
    """Refuse a file that is missing or is not a GGUF file; llama.cpp would crash the process.

    Raises:
        WeightsError: says what is wrong with the path.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its writer
            raise WeightsError(f"cannot read the model file {path}: it is not a regular file")
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise WeightsError(f"cannot read the model file {path}: {error.strerror}") from error
    except ValueError as error:  # the path holds a NUL
        raise WeightsError(f"cannot read the model file {str(path)!r}: {error}") from error
    if magic != b"GGUF":
        raise WeightsError(f"{path} is not a GGUF model file (it starts with {magic!r})")
