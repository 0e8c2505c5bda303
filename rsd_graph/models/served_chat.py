"""A chat model on an OpenAI-compatible server, as LangChain sees it.

`ChatOpenAI` would do, but it also sends that server whatever the environment holds for OpenAI's own: organization,
project, further headers. This one has `ModelServer`'s limits and errors.
"""

from collections.abc import Mapping
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import BaseModel, Field, PrivateAttr

from rsd_graph.models.http import ModelServer, to_openai
from rsd_graph.models.vllm import TokensUsed
from rsd_graph.reply import token_counts


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: TokensUsed = TokensUsed()


class ServedChat(BaseChatModel):
    """A chat model on a server. Call it asynchronously."""

    model: str
    """The name that the server knows it by."""
    options: dict[str, Any] = {}  # noqa: RUF012  # pydantic copies it
    """Further fields of each request."""
    _server: ModelServer = PrivateAttr()

    def __init__(self, server: ModelServer, model: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(model=model, options=dict(options or {}), cache=False)  # type: ignore[call-arg]  # pydantic's
        self._server = server

    @property
    def _llm_type(self) -> str:
        return "rsd-graph-served"

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002  # of the interface
        **kwargs: Any,
    ) -> ChatResult:
        body = {"model": self.model, "messages": to_openai(messages), **self.options, **kwargs}
        if stop:
            body["stop"] = stop
        answer = await self._server.post("/v1/chat/completions", body, _Completion)
        choice = answer.choices[0]
        message = AIMessage(
            choice.message.content or "",
            response_metadata={"logprobs": choice.logprobs, "finish_reason": choice.finish_reason},
            usage_metadata=token_counts(answer.usage.read),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError("call it asynchronously")
