"""llama.cpp: a server that runs elsewhere, or one inside this process.

Both are called through llama.cpp's own `/completion`, whose `stop_type` distinguishes end of text, stop word and limit;
its `/v1/completions` does not.
"""

import asyncio
import os
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Literal

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from rsd_graph._internal.background import in_thread, on_background_loop
from rsd_graph._internal.progress import Progress
from rsd_graph.errors import WeightsError
from rsd_graph.models.group_lock import GroupLock
from rsd_graph.models.http import ModelServer, RenderedChat, to_openai
from rsd_graph.models.retries import RetryPolicy
from rsd_graph.models.weights import NEEDS_LOCAL, Weights, locate
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Finish, Generation, TokenUsage

FINISH: dict[str, Finish] = {"eos": "eos", "word": "delimiter", "limit": "length"}


class _Token(BaseModel):
    logprob: float


class Timings(BaseModel):
    """What llama.cpp says of a request's cost, as far as it is read."""

    cache_n: int
    """Prompt tokens that were in the cache."""


class _Completion(BaseModel):
    content: str
    stop_type: Literal["eos", "word", "limit"]
    tokens_evaluated: int
    tokens_predicted: int
    timings: Timings
    completion_probabilities: list[_Token] | None = None


class LlamaCpp:
    """A step generator on a running llama.cpp server.

    Args:
        url: The server's address.
        name: What to call the model; by default the server's address.
        api_key: Sent as a bearer token.
        timeout: Seconds to wait for one step.
        parameters: Number of the model's parameters, for the FLOPs count; unknown by default.
        retry: How long to keep asking when it does not answer.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str | None = None,
        api_key: str | None = None,
        timeout: float = 600,
        parameters: float | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.url = url
        self.name = name or url
        self.parameters = parameters
        self._server = ModelServer(url, api_key=api_key, timeout=timeout, retry=retry)

    @on_background_loop
    async def generate(
        self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
    ) -> list[Generation]:
        """See `StepGenerator.generate`."""
        rendered = await self._server.post("/apply-template", {"messages": to_openai(messages)}, RenderedChat)
        prompt = rendered.prompt + response
        return await asyncio.gather(*(self._complete(prompt, settings, settings.seed + i) for i in range(n)))

    async def start(self) -> None:
        """Nothing to load: the server runs elsewhere."""

    @on_background_loop
    async def aclose(self) -> None:
        """Close the connections."""
        await self._server.aclose()

    async def _complete(self, prompt: str, settings: RSDSettings, seed: int) -> Generation:
        answer = await self._server.post(
            "/completion",
            {
                "prompt": prompt,
                "n_predict": settings.max_step_tokens,
                "stop": [settings.delimiter],
                "temperature": settings.temperature,
                "top_p": settings.top_p,
                # by default, llama.cpp also applies top-k and min-p, and truncates before it applies the temperature
                "samplers": ["temperature", "top_p"],
                "seed": seed,
                "cache_prompt": True,
                "n_probs": 1,
                "post_sampling_probs": False,
            },
            _Completion,
        )
        tokens = answer.completion_probabilities
        if tokens is None and not answer.content:  # where there was no token, the list is missing rather than empty
            tokens = []
        return Generation(
            text=answer.content,
            finish=FINISH[answer.stop_type],
            usage=TokenUsage(
                prompt=answer.tokens_evaluated, cached=answer.timings.cache_n, completion=answer.tokens_predicted
            ),
            logprobs=None if tokens is None else tuple(token.logprob for token in tokens),
        )


_turns = GroupLock()
"""All embedded models of this process share the machine's cores, so they share one lock, on the background loop."""


class EmbeddedLlamaCpp:
    """A step generator with llama.cpp inside this process. Downloads and loads its weights on first use.

    Only one embedded model per process computes at a time; its requests share a batch (see `GroupLock`).

    Args:
        weights: A GGUF file, or one of the models in `rsd_graph.models.weights`: `DRAFT`, `TARGET`.
        name: What to call the model; by default the file's name.
        slots: Number of problems that it keeps in its cache and computes at once.
        context: Tokens that one problem, with its response, may have.
        threads: Threads to compute with; by default one per core.
        parameters: Number of the model's parameters, for the FLOPs count; known for `DRAFT` and `TARGET`.
        progress: Told about a download.
    """

    def __init__(
        self,
        weights: Weights | str | Path,
        *,
        name: str | None = None,
        slots: int = 8,
        context: int = 4096,
        threads: int | None = None,
        parameters: float | None = None,
        progress: Progress | None = None,
    ) -> None:
        if isinstance(weights, Weights):
            parameters = parameters or weights.parameters
        self.name = name or Path(weights.filename if isinstance(weights, Weights) else weights).stem
        self.parameters = parameters
        self._weights = weights
        self._progress = progress
        self._slots = slots
        self._context = context
        self._threads = threads or os.cpu_count() or 1
        self._starting = asyncio.Lock()
        self._embedded: Any = None  # xllamacpp.Server has no type stubs
        self._client: LlamaCpp | None = None

    @on_background_loop
    async def generate(
        self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
    ) -> list[Generation]:
        """See `StepGenerator.generate`."""
        client = await self._started()
        async with self.turn():
            return await client.generate(messages, response, settings=settings, n=n)

    async def start(self) -> None:
        """Download and load the weights now.

        Raises:
            WeightsError: they cannot be had or loaded.
        """
        await self._started()

    async def url(self) -> str:
        """The loopback address of the server in this process, which is started if need be."""
        return (await self._started()).url

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Hold this model's turn on the cores, on the background loop: for calls that go to `url` directly."""
        return _turns.turn(self)

    @on_background_loop
    async def aclose(self) -> None:
        """Stop the server in this process and free its memory."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None
            self._embedded = None  # its destructor stops the server

    @on_background_loop
    async def _started(self) -> LlamaCpp:
        async with self._starting:
            if self._client is None:
                self._embedded = await in_thread(self._serve)
                self._client = LlamaCpp(self._embedded.listening_address, name=self.name)
        return self._client

    def _serve(self) -> Any:
        try:
            import xllamacpp
        except ImportError as error:
            raise WeightsError(NEEDS_LOCAL) from error
        path = locate(self._weights, self._progress) if isinstance(self._weights, Weights) else Path(self._weights)
        check_gguf(path)
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.port = 0  # any free one, on loopback
        params.n_parallel = self._slots
        params.n_ctx = self._slots * self._context
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._threads
        params.cache_ram_mib = 1024  # for prefixes of problems that lost their slot
        params.warmup = False
        params.verbosity = -1
        try:
            return xllamacpp.Server(params)
        except (RuntimeError, ValueError) as error:
            raise WeightsError(f"llama.cpp cannot load {path}: {error}") from error


def check_gguf(path: Path) -> None:
    """Refuse a file that is missing or is not a GGUF file; llama.cpp would crash the process.

    Raises:
        WeightsError: says what is wrong with the path.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise WeightsError(f"cannot read the model file {path}: {error.strerror}") from error
    if magic != b"GGUF":
        raise WeightsError(f"{path} is not a GGUF model file (it starts with {magic!r})")
