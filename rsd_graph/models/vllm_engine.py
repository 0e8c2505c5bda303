"""vLLM engines in this process: no servers, and only one program to start and to stop.

All share the visible GPUs. Either each has its share of the memory, or they take turns: then each may have all of it,
and while one model works, the others' weights are in main memory (`models.sleep`).

Needs the extra `vllm`.
"""

import threading
from argparse import ArgumentError
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from itertools import count
from typing import Any, cast

from langchain_core.messages import BaseMessage

from rsd_graph._internal.background import PerProcess, in_thread, on_background_loop
from rsd_graph.errors import ConfigurationError, ModelError, ModelResponseError, WeightsError
from rsd_graph.models.characters import whole, with_a_character
from rsd_graph.models.chats import AcceptedChats, Chat
from rsd_graph.models.context import require_room
from rsd_graph.models.http import to_openai
from rsd_graph.models.logprobs import checked_logprob
from rsd_graph.models.refusals import refusal
from rsd_graph.models.sleep import SleepCoordinator
from rsd_graph.protocols import Reading, Turn, control_tokens_shown, stop_texts
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Finish, Generation, TokenUsage

NEEDS_VLLM = "engines in this process need the extra `vllm`: run `pip install 'rsd-graph[vllm]'`"


class OfflineEngine:
    """One vLLM engine in this process: a step generator, or the backend of a process reward model.

    Args:
        model: A name on the hub, or a folder with a checkpoint.
        flags: As for `vllm serve`, such as `["--max-model-len", "4096"]`.
        parameters: Number of the model's parameters, for the FLOPs count; unknown by default.
        chat_template_kwargs: Passed to the model's chat template, such as `{"enable_thinking": False}`.
        coordinator: Shared by engines that sleep while another works; None for one that is always awake.
    """

    def __init__(
        self,
        model: str,
        *,
        flags: Sequence[str] = (),
        parameters: float | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        coordinator: SleepCoordinator | None = None,
    ) -> None:
        self.name = model
        self.parameters = parameters
        self._flags = list(flags)
        self._coordinator = coordinator
        self._options = dict(chat_template_kwargs or {})
        self._chats = AcceptedChats()
        self._used = PerProcess(list[str])
        self._engine: Any = None  # vLLM's AsyncLLM, whose type is known only where vLLM is installed
        self._starting = threading.Lock()
        self._asleep = False
        self._numbers = count()

    @on_background_loop
    async def start(self) -> None:
        """Load the model now.

        Raises:
            WeightsError: it cannot be had or loaded.
            ConfigurationError: a flag is wrong, or vLLM is not installed.
        """
        async with self._awake():
            pass

    @on_background_loop
    async def aclose(self) -> None:
        """Stop the engine and free its memory."""

        def loaded_by_now() -> None:
            with self._starting:
                return

        if self._used.foreign:
            return
        await in_thread(loaded_by_now)
        engine, self._engine, self._asleep = self._engine, None, False
        if engine is not None:
            engine.shutdown()  # on this loop: its reader is here, and would take a shutdown elsewhere for a crash

    async def speculates(self) -> bool | None:
        """See `Speculator`."""
        return any(flag.partition("=")[0] == "--speculative-config" for flag in self._flags)

    @on_background_loop
    async def generate(
        self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
    ) -> list[Generation]:
        """See `StepGenerator.generate`."""
        from vllm import SamplingParams

        tokens = await self._render(to_openai(messages), generation_prompt=True)
        tokens += await self.encode(response) if response else []

        async def ask(limit: int) -> list[Generation]:
            async with self._awake() as engine:
                room = self._room(engine, tokens, answer=1)
                parameters = SamplingParams(
                    n=n,
                    max_tokens=min(limit, room),
                    stop=stop_texts(settings.delimiter),
                    **({"skip_special_tokens": False} if control_tokens_shown.get() else {}),
                    temperature=settings.temperature,
                    top_p=settings.top_p,
                    seed=settings.seed,
                    logprobs=0,  # of the chosen token, and of no other
                )
                return self._generations(tokens, await self._last(engine.generate, tokens, parameters), settings)

        return await with_a_character(ask, settings.max_step_tokens)

    def _generations(self, tokens: Sequence[int], output: Any, settings: RSDSettings) -> list[Generation]:
        read = _read(tokens, output)
        generations = []
        for index, said in enumerate(output.outputs):
            finish = _finish(said, settings.delimiter)
            chosen = (each[token].logprob for token, each in zip(said.token_ids, said.logprobs, strict=True))
            generations.append(
                Generation(
                    text=whole(said.text, finish),
                    finish=finish,
                    # the prompt is read once for all n
                    usage=replace(read if index == 0 else TokenUsage(), completion=len(said.token_ids)),
                    logprobs=tuple(checked_logprob(each, self.name, ModelResponseError) for each in chosen),
                )
            )
        return generations

    @on_background_loop
    async def encode(self, text: str, *, special_tokens: bool = False) -> list[int]:
        """See `protocols.ScoringBackend.encode`."""
        tokenizer = await self._tokenizer()
        return cast("list[int]", tokenizer.encode(text, add_special_tokens=special_tokens))

    @on_background_loop
    async def chat(self, turns: Sequence[Turn], *, generation_prompt: bool) -> list[int]:
        """See `protocols.ScoringBackend.chat`."""
        return await self._render(list(turns), generation_prompt)

    @on_background_loop
    async def head(self, tokens: Sequence[int]) -> Reading:
        """See `protocols.ScoringBackend.head`."""
        from vllm import PoolingParams

        async with self._awake() as engine:
            self._room(engine, tokens, answer=0)
            output = await self._last(engine.encode, tokens, PoolingParams(task="classify", use_activation=False))
        return Reading(tuple(output.outputs.data.float().flatten().tolist()), _read(tokens, output))

    @on_background_loop
    async def label_logprobs(self, tokens: Sequence[int], labels: Sequence[int]) -> Reading:
        """See `protocols.ScoringBackend.label_logprobs`."""
        from vllm import SamplingParams

        async with self._awake() as engine:
            self._room(engine, tokens, answer=1)
            parameters = SamplingParams(max_tokens=1, temperature=0, logprob_token_ids=list(labels))
            output = await self._last(engine.generate, tokens, parameters)
        said = output.outputs[0].logprobs[0]
        return Reading(tuple(said[label].logprob for label in labels), replace(_read(tokens, output), completion=1))

    async def sleep(self) -> None:
        """Move the weights to main memory and drop the cache."""
        if self._engine is not None:
            await self._engine.sleep(level=1)
            self._asleep = True

    async def wake_up(self) -> None:
        """Load the model, or bring its weights back."""
        if self._engine is None:
            await in_thread(self._load)
        if self._asleep:
            await self._engine.wake_up()
            self._asleep = False

    def _require_own(self) -> None:
        """Refuse a forked child: the engine's threads and its place on the GPU stay with the parent."""
        if self._used.foreign:
            raise ModelError(
                f"{self.name} cannot run in a forked process: vLLM was loaded before the fork. Start processes with "
                'the method "spawn" or "forkserver"'
            )
        self._used.get()

    async def _tokenizer(self) -> Any:
        """The engine's own tokenizer, which works while the engine sleeps."""
        self._require_own()
        if self._engine is None:
            await self.start()
        return self._engine.get_tokenizer()

    async def _render(self, turns: Sequence[Any], generation_prompt: bool) -> list[int]:
        from jinja2 import TemplateError

        tokenizer = await self._tokenizer()

        async def render(chat: Chat) -> list[int]:
            try:
                tokens: list[int] = tokenizer.apply_chat_template(
                    list(chat), add_generation_prompt=generation_prompt, return_dict=False, **self._options
                )
            except TemplateError as error:
                raise refusal(HTTPStatus.BAD_REQUEST, str(error), self.name) from error
            return tokens

        return await self._chats.render([dict(turn) for turn in turns], render)

    def _room(self, engine: Any, tokens: Sequence[int], *, answer: int) -> int:
        """Tokens of the context that are left for an answer."""
        context: int = engine.model_config.max_model_len
        require_room(self.name, len(tokens), context, answer=answer)
        return context - len(tokens)

    @asynccontextmanager
    async def _awake(self) -> AsyncIterator[Any]:
        self._require_own()
        if self._coordinator is None:
            await self.wake_up()
            yield self._engine
        else:
            async with self._coordinator.turn(self):
                yield self._engine

    def _load(self) -> None:
        with self._starting:
            if self._engine is not None:
                return
            try:
                from vllm.engine.arg_utils import AsyncEngineArgs
                from vllm.exceptions import VLLMError
                from vllm.utils.argparse_utils import FlexibleArgumentParser
                from vllm.v1.engine.async_llm import AsyncLLM
            except ImportError as error:
                raise ConfigurationError(NEEDS_VLLM) from error
            parser = AsyncEngineArgs.add_cli_args(FlexibleArgumentParser(prog="vllm", exit_on_error=False))
            sleeping = ["--enable-sleep-mode"] if self._coordinator else []
            try:
                arguments = parser.parse_args(["--model", self.name, *sleeping, *self._flags])
            except (SystemExit, ArgumentError) as error:
                raise ConfigurationError(
                    f"{self.name}: vLLM does not accept the flags {self._flags}: {error}"
                ) from error
            try:
                self._engine = AsyncLLM.from_engine_args(AsyncEngineArgs.from_cli_args(arguments))
            except (OSError, ValueError, RuntimeError, VLLMError) as error:
                raise WeightsError(f"vLLM cannot load {self.name}: {error}") from error

    async def _last(self, ask: Callable[..., AsyncIterator[Any]], tokens: Sequence[int], parameters: Any) -> Any:
        """The last output of a request. vLLM's errors become this package's."""
        from vllm.exceptions import VLLMError

        try:
            last = None
            async for output in ask({"prompt_token_ids": list(tokens)}, parameters, f"rsd-{next(self._numbers)}"):
                last = output
        except (ValueError, RuntimeError, VLLMError) as error:
            raise ModelError(f"{self.name} failed: {error}") from error
        if last is None:
            raise ModelResponseError(f"{self.name} answered nothing")
        return last


def _read(tokens: Sequence[int], output: Any) -> TokenUsage:
    return TokenUsage(prompt=len(tokens), cached=output.num_cached_tokens or 0)


def _finish(said: Any, delimiter: str) -> Finish:
    if said.finish_reason == "length":
        return "length"
    return "delimiter" if said.stop_reason in stop_texts(delimiter) else "eos"
