"""vLLM engines in this process: no servers, and one program to start and to stop.

All share the visible GPUs, either by shares of the memory or by sleep: then each may have all of it, and while one
model works, the others' weights lie in the machine's main memory. https://docs.vllm.ai/en/latest/features/sleep_mode/

Needs the extra `vllm`.
"""

import threading
from argparse import ArgumentError
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, cast

from langchain_core.messages import BaseMessage

from rsd_graph._internal import background
from rsd_graph.errors import ConfigurationError, ModelError, ModelResponseError, WeightsError
from rsd_graph.models.context import require_room
from rsd_graph.models.http import to_openai
from rsd_graph.models.sleep import SleepCoordinator
from rsd_graph.protocols import Reading, Turn
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Finish, Generation, TokenUsage

NEEDS_VLLM = "engines in this process need the extra `vllm`: run `pip install 'rsd-graph[vllm]'`"


class OfflineEngine:
    """One vLLM engine in this process: a step generator, and an engine for a reward model's recipe.

    Args:
        model: A name on the hub, or a folder.
        flags: As for `vllm serve`, such as `["--max-model-len", "4096"]`.
        parameters: Number of the model's parameters, for the FLOPs count.
        coordinator: Shared by engines that sleep while another works; None for one that is always awake.
    """

    def __init__(
        self,
        model: str,
        *,
        flags: Sequence[str] = (),
        parameters: float | None = None,
        coordinator: SleepCoordinator | None = None,
    ) -> None:
        self.name = model
        self.parameters = parameters
        self._flags = list(flags)
        self._coordinator = coordinator
        self._engine: Any = None  # vLLM's AsyncLLM; this package does not need vLLM to be imported
        self._starting = threading.Lock()
        self._asleep = False
        self._numbers = count()

    async def start(self) -> None:
        """Load the model now.

        Raises:
            WeightsError: it cannot be had or loaded.
            ConfigurationError: a flag is wrong, or vLLM is not installed.
        """
        await background.call(self._start())

    async def aclose(self) -> None:
        """End the engine and free its memory."""
        await background.call(self._aclose())

    async def generate(
        self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
    ) -> list[Generation]:
        """See `StepGenerator.generate`."""
        return await background.call(self._generate(messages, response, settings, n))

    async def encode(self, text: str, *, special_tokens: bool = False) -> list[int]:
        """See `protocols.ScoringBackend.encode`."""
        tokenizer = await background.call(self._tokenizer())
        return cast("list[int]", tokenizer.encode(text, add_special_tokens=special_tokens))

    async def chat(self, turns: Sequence[Turn], *, generation_prompt: bool) -> list[int]:
        """See `protocols.ScoringBackend.chat`."""
        return await background.call(self._chat(list(turns), generation_prompt))

    async def head(self, tokens: Sequence[int]) -> Reading:
        """See `protocols.ScoringBackend.head`."""
        return await background.call(self._head(list(tokens)))

    async def labels(self, tokens: Sequence[int], labels: Sequence[int]) -> Reading:
        """See `protocols.ScoringBackend.labels`."""
        return await background.call(self._labels(list(tokens), list(labels)))

    async def sleep(self) -> None:
        """Move the weights to main memory, and forget the cache."""
        if self._engine is not None:
            await self._engine.sleep(level=1)
            self._asleep = True

    async def wake_up(self) -> None:
        """Load the model, or bring its weights back."""
        if self._engine is None:
            await background.in_thread(self._load)
        if self._asleep:
            await self._engine.wake_up()
            self._asleep = False

    async def _start(self) -> None:
        async with self._awake():
            pass

    async def _tokenizer(self) -> Any:
        """The engine's own; it works while the engine sleeps."""
        if self._engine is None:
            await self._start()
        return self._engine.get_tokenizer()

    @asynccontextmanager
    async def _awake(self) -> AsyncIterator[Any]:
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
                raise ConfigurationError(f"{self.name}: vLLM does not take the flags {self._flags}: {error}") from error
            try:
                self._engine = AsyncLLM.from_engine_args(AsyncEngineArgs.from_cli_args(arguments))
            except (OSError, ValueError, RuntimeError, VLLMError) as error:
                raise WeightsError(f"vLLM cannot load {self.name}: {error}") from error

    async def _aclose(self) -> None:
        def loaded_by_now() -> None:
            with self._starting:
                return

        await background.in_thread(loaded_by_now)
        engine, self._engine, self._asleep = self._engine, None, False
        if engine is not None:
            engine.shutdown()  # on this loop: its reader is here, and would take a shutdown elsewhere for a crash

    async def _chat(self, turns: Sequence[Any], generation_prompt: bool) -> list[int]:
        tokenizer = await self._tokenizer()
        tokens: list[int] = tokenizer.apply_chat_template(
            turns, add_generation_prompt=generation_prompt, return_dict=False
        )
        return tokens

    async def _generate(
        self, messages: Sequence[BaseMessage], response: str, settings: RSDSettings, n: int
    ) -> list[Generation]:
        from vllm import SamplingParams

        tokens = await self._chat(to_openai(messages), generation_prompt=True)
        tokens += await self.encode(response) if response else []
        async with self._awake() as engine:
            context: int = engine.model_config.max_model_len
            require_room(self.name, len(tokens), context, answer=1)
            output = await self._last(
                engine.generate(
                    {"prompt_token_ids": tokens},
                    SamplingParams(
                        n=n,
                        max_tokens=min(settings.max_step_tokens, context - len(tokens)),
                        stop=[settings.delimiter],
                        temperature=settings.temperature,
                        top_p=settings.top_p,
                        seed=settings.seed,
                        logprobs=0,  # of the token that was chosen, and of no other
                    ),
                    self._number(),
                )
            )
        return [
            Generation(
                text=said.text,
                finish=_finish(said, settings.delimiter),
                usage=TokenUsage(
                    prompt=len(tokens) if index == 0 else 0,  # read once for all n
                    cached=(output.num_cached_tokens or 0) if index == 0 else 0,
                    completion=len(said.token_ids),
                ),
                logprobs=tuple(each[token].logprob for token, each in zip(said.token_ids, said.logprobs, strict=True)),
            )
            for index, said in enumerate(output.outputs)
        ]

    async def _head(self, tokens: list[int]) -> Reading:
        from vllm import PoolingParams

        async with self._awake() as engine:
            require_room(self.name, len(tokens), engine.model_config.max_model_len, answer=0)
            output = await self._last(
                engine.encode(
                    {"prompt_token_ids": tokens}, PoolingParams(task="classify", use_activation=False), self._number()
                )
            )
        usage = TokenUsage(prompt=len(tokens), cached=output.num_cached_tokens or 0)
        return Reading(tuple(output.outputs.data.float().flatten().tolist()), usage)

    async def _labels(self, tokens: list[int], labels: list[int]) -> Reading:
        from vllm import SamplingParams

        async with self._awake() as engine:
            require_room(self.name, len(tokens), engine.model_config.max_model_len, answer=1)
            output = await self._last(
                engine.generate(
                    {"prompt_token_ids": tokens},
                    SamplingParams(max_tokens=1, temperature=0, logprob_token_ids=labels),
                    self._number(),
                )
            )
        said = output.outputs[0].logprobs[0]
        usage = TokenUsage(prompt=len(tokens), cached=output.num_cached_tokens or 0, completion=1)
        return Reading(tuple(said[label].logprob for label in labels), usage)

    async def _last(self, outputs: AsyncIterator[Any]) -> Any:
        """What a request ends with, errors of vLLM's as this package's."""
        from vllm.exceptions import VLLMError

        try:
            last = None
            async for output in outputs:
                last = output
        except (ValueError, RuntimeError, VLLMError) as error:
            raise ModelError(f"{self.name} failed: {error}") from error
        if last is None:
            raise ModelResponseError(f"{self.name} answered nothing")
        return last

    def _number(self) -> str:
        return f"rsd-{next(self._numbers)}"


def _finish(said: Any, delimiter: str) -> Finish:
    if said.finish_reason == "length":
        return "length"
    return "delimiter" if said.stop_reason == delimiter else "eos"
