"""The graph as a LangChain chat model."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from time import monotonic
from typing import Any
from uuid import uuid4

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    BaseCallbackManager,
    CallbackManager,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from langgraph.types import StreamMode
from pydantic import ConfigDict, Field, InstanceOf, PrivateAttr, ValidationError, model_validator

from rsd_graph.agents.calls import Graph, for_calls
from rsd_graph.agents.transcript import Transcript
from rsd_graph.errors import ConfigurationError, ModelTimeoutError, describe
from rsd_graph.message_stream import hidden_from_readers
from rsd_graph.settings import RSDSettings

STREAMED: list[StreamMode] = ["messages", "values"]
LANGCHAINS_OWN = {"stream", "ls_structured_output_format", "structured_output_format"}
"""Arguments of a call that LangChain passes on and that mean nothing here."""
OF_THE_MODEL = ("temperature", "top_p", "max_tokens", "seed")
"""Settings that are arguments of the constructor too, because chat models have them."""

OF_THE_GRAPH = {"api_key", "max_retries"}
"""Standard arguments of LangChain's chat models that are accepted without effect: the models of the graph have keys of
their own, and retry by themselves."""


class ChatRSD(BaseChatModel):
    """A chat model that answers by reward-guided speculative decoding.

        model = ChatRSD(graph=create_rsd_graph(draft, target, reward))
        model.invoke("What is 17 * 12 + 5?", threshold=0.5)

    The messages are the input of the graph: the last human message is the problem, those before it are its history.
    What a thinking model writes within `<think>` is the message's reasoning, and not part of its text. The model cannot
    call tools: to use it beside other tools, make it one by `as_tool`.

    Any field of `RSDSettings` can be passed to a call, or bound; an unknown one is refused by name. The graph holds
    live connections: `model_dump` leaves it out, and LangChain's `dumps` does not serialize the model. A cache of
    LangChain's serves one object, never a second one, which may have another graph.

    Raises:
        ConfigurationError: an argument of a call is unknown or out of range.
        InvalidProblemError: the messages end with no question.
        RSDError: a model or the reward could not answer.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", populate_by_name=True)

    graph: InstanceOf[Graph] = Field(exclude=True, repr=False)
    """Made by `create_rsd_graph`. A checkpointer of its own is not used: each call is a run of its own."""
    model: str = Field(default="rsd", alias="model_name")
    """What traces and `response_metadata["model_name"]` call it."""
    settings: RSDSettings | None = None
    """Of each call; fields that are not set are those that the graph was made with."""
    stop: list[str] | None = None
    """Sequences before which a response ends; those of a call take their place."""
    temperature: float | None = None
    """As in `RSDSettings`, and so are the next three."""
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    timeout: float | None = Field(default=None, gt=0)
    """Seconds for a response. Calls that are not async look at it when a piece of the response has come."""
    streaming: bool = False
    """Whether `invoke` streams to its callbacks."""
    thinks_first: bool = False
    """Whether responses begin within a thought, because the chat template ends the prompt with `<think>`."""

    _own: str = PrivateAttr(default_factory=lambda: str(uuid4()))

    @model_validator(mode="before")
    @classmethod
    def _drop_what_the_graph_has(cls, given: Any) -> Any:
        return {name: value for name, value in given.items() if name not in OF_THE_GRAPH}

    @property
    def _llm_type(self) -> str:
        return "rsd"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        given = self.model_dump(include={"model", "stop", "timeout", "thinks_first"})
        return {**given, **self._fields({}), "object": self._own}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        return LangSmithParams({**params, "ls_provider": "rsd"})

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        transcript, context = self._transcript(stop, kwargs), self._context(kwargs)
        ends = monotonic() + self.timeout if self.timeout else None
        graph: Any = for_calls(self.graph)
        given, config = {"messages": messages}, _config(run_manager)
        with closing(graph.stream(given, config, context=context, stream_mode=STREAMED)) as parts:
            for mode, part in parts:
                yield from transcript.read(mode, part)
                if transcript.stopped:
                    break
                if ends and monotonic() > ends:
                    raise ModelTimeoutError(_late(self.timeout))
        yield from transcript.end()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        transcript, context = self._transcript(stop, kwargs), self._context(kwargs)
        given, config = {"messages": messages}, _config(run_manager)
        ends = monotonic() + self.timeout if self.timeout else None
        graph: Any = for_calls(self.graph)
        parts = graph.astream(given, config, context=context, stream_mode=STREAMED)
        async with aclosing(parts):
            while not transcript.stopped and (part := await _next(parts, ends, self.timeout)) is not None:
                for chunk in transcript.read(*part):
                    yield chunk
        for chunk in transcript.end():
            yield chunk

    def _transcript(self, stop: Sequence[str] | None, passed: Mapping[str, Any]) -> Transcript:
        stops = self.stop if stop is None else stop
        return Transcript(str(passed.get("model", self.model)), stops or (), thinking=self.thinks_first)

    def _context(self, passed: Mapping[str, Any]) -> RSDSettings | None:
        own = {name: value for name, value in passed.items() if name not in {"model", *LANGCHAINS_OWN}}
        unknown = sorted(own.keys() - RSDSettings.model_fields.keys())
        if unknown:
            raise ConfigurationError(
                f"ChatRSD does not know {', '.join(unknown)}: a call can pass `model`, `stop` and the fields of "
                "RSDSettings. To use it beside tools, make it a tool by `rsd_graph.agents.as_tool`"
            )
        try:
            return RSDSettings.model_validate(self._fields(own)) if self._fields(own) else None
        except ValidationError as error:
            raise ConfigurationError(f"ChatRSD's settings: {describe(error)}") from error

    def _fields(self, passed: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that are set: by the call, else by an argument of the constructor, else by `settings`."""
        given = self.settings.model_dump(exclude_unset=True) if self.settings else {}
        of_model = {name: getattr(self, name) for name in OF_THE_MODEL if getattr(self, name) is not None}
        return {**given, **of_model, **passed}


def _config(run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None) -> RunnableConfig:
    """Traces of the graph belong to this model's; those who stream get the response from this model, and once."""
    config: RunnableConfig = {"configurable": hidden_from_readers(run_manager.handlers if run_manager else ())}
    if run_manager:
        config["callbacks"] = _children(run_manager)
    return config


def _children(run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun) -> BaseCallbackManager:
    """The callbacks for what this model runs; chat models usually run nothing, and therefore cannot make them."""
    kind = AsyncCallbackManager if isinstance(run_manager, AsyncCallbackManagerForLLMRun) else CallbackManager
    manager = kind(handlers=[], parent_run_id=run_manager.run_id)
    manager.set_handlers(run_manager.inheritable_handlers)
    manager.add_tags(run_manager.inheritable_tags)
    manager.add_metadata(run_manager.inheritable_metadata)
    return manager


async def _next(parts: AsyncIterator[Any], ends: float | None, timeout: float | None) -> Any:  # noqa: ASYNC109
    """What comes next, or None at the end."""
    try:
        async with asyncio.timeout(max(0, ends - monotonic()) if ends else None):
            return await anext(parts, None)
    except TimeoutError as error:
        raise ModelTimeoutError(_late(timeout)) from error


def _late(timeout: float | None) -> str:
    return f"no response within {timeout} s: allow more time (`timeout`), or fewer steps or tokens"
