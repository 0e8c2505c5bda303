"""vLLM, and any server with the OpenAI completions API that says why it stopped.

`/v1/completions` is called rather than `/v1/chat/completions`: a chat template may trim what a model has to continue.
The prompt is the server's own rendering of the chat, followed by the response so far.

- vLLM renders with `/tokenize`, which takes chat messages and returns the template's token ids; the response's own
  tokens follow them. https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
- llama.cpp's server renders with `/apply-template`, as text. (`LlamaCpp` is the better client for it.)
- For a server that can do neither, pass `template`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from rsd_graph import background
from rsd_graph.errors import ModelResponseError
from rsd_graph.models.server import ModelServer, field_of, to_openai
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Finish, Generation, TokenUsage

Prompt = str | list[int]


class VLLM:
    """A step generator on an OpenAI-compatible server.

    Args:
        url: The server's address, with or without `/v1`.
        model: The name it serves the model under; by default the first that it lists.
        api_key: Sent as a bearer token.
        timeout: Seconds to wait for one step.
        parameters: Number of the model's parameters, for the FLOPs count; unknown by default.
        template: Renders the messages to the text that the response follows; by default the server does it.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        timeout: float = 600,
        parameters: float | None = None,
        template: Callable[[Sequence[BaseMessage]], str] | None = None,
    ) -> None:
        self.name = model or url
        self.parameters = parameters
        self._model = model
        self._template = template
        self._server = ModelServer(url, api_key=api_key, timeout=timeout)

    async def generate(
        self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
    ) -> list[Generation]:
        """See `StepGenerator.generate`."""
        return await background.call(self._generate(messages, response, settings, n))

    async def aclose(self) -> None:
        """Close the connections."""
        await background.call(self._server.close())

    async def _generate(
        self, messages: Sequence[BaseMessage], response: str, settings: RSDSettings, n: int
    ) -> list[Generation]:
        if self._model is None:
            self._model = self.name = await self._server.first_model()
        answer = await self._server.post(
            "/v1/completions",
            {
                "model": self._model,
                "prompt": await self._prompt(messages, response),
                "max_tokens": settings.max_step_tokens,
                "stop": [settings.delimiter],
                "temperature": settings.temperature,
                "top_p": settings.top_p,
                "seed": settings.seed,
                "n": n,
                "logprobs": 1,
                "add_special_tokens": False,  # the rendering holds them already
            },
        )
        return self._read(answer, settings.delimiter, n)

    async def _prompt(self, messages: Sequence[BaseMessage], response: str) -> Prompt:
        if self._template:
            return self._template(messages) + response
        chat = {"model": self._model, "messages": to_openai(messages), "add_generation_prompt": True}
        try:
            rendered = (await self._server.post("/tokenize", chat)).get("tokens")
            if rendered:  # llama.cpp also has the endpoint, ignores the messages and returns no tokens
                return [*rendered, *await self._tokens(response)]
            return str(field_of(await self._server.post("/apply-template", chat), "prompt", where=self.name)) + response
        except ModelResponseError as error:
            raise ModelResponseError(
                f"{self._server.url} renders no chat, neither at /tokenize (vLLM) nor at /apply-template (llama.cpp): "
                f"{error}. Pass `template`, a function from messages to the prompt's text."
            ) from error

    async def _tokens(self, response: str) -> list[int]:
        if not response:
            return []
        body = {"model": self._model, "prompt": response, "add_special_tokens": False}
        tokens: list[int] = field_of(await self._server.post("/tokenize", body), "tokens", where=self.name)
        return tokens

    def _read(self, answer: dict[str, Any], delimiter: str, n: int) -> list[Generation]:
        where = f"{self.name}/v1/completions"
        choices = field_of(answer, "choices", where=where)
        usage = answer.get("usage") or {}
        details = usage.get("prompt_tokens_details") or {}
        generations = []
        for index, choice in enumerate(choices):
            logprobs = (choice.get("logprobs") or {}).get("token_logprobs")
            written = usage.get("completion_tokens", 0) if n == 1 else len(logprobs or ())
            prompt = usage.get("prompt_tokens", 0) if index == 0 else 0  # read once for all n
            generations.append(
                Generation(
                    text=field_of(choice, "text", where=where),
                    finish=_finish(choice, delimiter, where),
                    usage=TokenUsage(
                        prompt=prompt,
                        cached=(details.get("cached_tokens") or 0) if index == 0 else 0,
                        completion=written,
                    ),
                    logprobs=tuple(value for value in logprobs if value is not None) if logprobs else None,
                )
            )
        return generations


def _finish(choice: dict[str, Any], delimiter: str, where: str) -> Finish:
    """Tell end of text from the delimiter: vLLM gives the stop string as `stop_reason`, SGLang as `matched_stop`."""
    match choice.get("finish_reason"):
        case "length":
            return "length"
        case "stop":
            for field in ("stop_reason", "matched_stop"):
                if field in choice:
                    return "delimiter" if choice[field] == delimiter else "eos"
            raise ModelResponseError(
                f"{where} does not say whether it stopped at the delimiter or at the end of the text (no "
                "`stop_reason`): for a llama.cpp server use `LlamaCpp`"
            )
        case other:
            raise ModelResponseError(f"{where} answered with finish_reason {other!r}, expected 'stop' or 'length'")
