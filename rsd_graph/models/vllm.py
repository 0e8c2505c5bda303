"""vLLM, and any other server with the OpenAI completions API that says why it stopped.

This calls `/v1/completions` rather than `/v1/chat/completions`: a chat template may trim the text that the model has to
continue. The prompt is the server's own rendering of the chat, followed by the response so far.

- vLLM renders with `/tokenize`, which takes chat messages and returns the template's token ids; the response's own
  tokens follow them. `models.prompts` sends both as text where that is the same.
  https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
- llama.cpp's server renders with `/apply-template`, as text. (`LlamaCpp` is the better client for it.)
- For a server that can do neither, pass `template`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from rsd_graph.errors import ModelResponseError, ModelUnavailableError
from rsd_graph.models.characters import require_plausible, whole, with_a_character
from rsd_graph.models.chats import AcceptedChats, Chat
from rsd_graph.models.context import as_much_as_fits, require_room
from rsd_graph.models.http import ModelCard, ModelServer, RenderedChat, TokenIds, to_openai
from rsd_graph.models.logprobs import checked_logprob
from rsd_graph.models.prompts import Prompt, Prompts, Rendered
from rsd_graph.models.retries import RetryPolicy
from rsd_graph.models.shared import Shared
from rsd_graph.models.written import Written
from rsd_graph.protocols import control_tokens_shown, logprobs_wanted, stop_texts
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Finish, Generation, TokenUsage
from rsd_graph.text_sink import text_sink


class _Logprobs(BaseModel):
    token_logprobs: list[float | None] | None = None  # llama.cpp has other fields here


class _Choice(BaseModel):
    text: str
    finish_reason: str | None
    stop_reason: str | int | None = None
    matched_stop: str | int | None = None
    logprobs: _Logprobs | None = None


class _PromptDetails(BaseModel):
    cached_tokens: int | None = None


class TokensUsed(BaseModel):
    """How vLLM reports usage. It reports cached tokens only with `--enable-prompt-tokens-details`."""

    prompt_tokens: int = 0
    completion_tokens: int | None = 0
    prompt_tokens_details: _PromptDetails | None = None

    @property
    def read(self) -> TokenUsage:
        """The same, as this package's record."""
        cached = self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else None
        return TokenUsage(self.prompt_tokens, cached or 0, self.completion_tokens or 0)


class _Completion(BaseModel):
    choices: list[_Choice]
    usage: TokensUsed = TokensUsed()


class _Chunk(BaseModel):
    """An event of a streamed completion: a piece of its text, or at the end its usage."""

    choices: list[_Choice]
    usage: TokensUsed | None = None


class _Heard:
    """Puts a streamed completion together, and shows its text.

    Text of a server that does not say why it stopped is not shown: the answer is going to be refused.

    Args:
        read: Validates an event.
        written: Shows the text.
    """

    def __init__(self, read: Callable[[object], _Chunk], written: Written) -> None:
        self._read = read
        self._written = written
        self._text: list[str] = []
        self._logprobs: list[float | None] = []
        self._choice: _Choice | None = None
        self._usage = TokensUsed()

    def __call__(self, event: Any) -> None:
        """Take an event."""
        chunk = self._read(event)
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices:
            self._text.append(choice.text)
            self._logprobs += (choice.logprobs and choice.logprobs.token_logprobs) or ()
            if self._choice is None or self._choice.finish_reason is None:
                self._choice = choice
            if _says_why(choice):
                self._written.add(choice.text)

    def answer(self) -> _Completion:
        """What the server would have said without streaming."""
        if self._choice is None:
            return _Completion(choices=[], usage=self._usage)
        whole = {"text": "".join(self._text), "logprobs": _Logprobs(token_logprobs=self._logprobs)}
        return _Completion(choices=[self._choice.model_copy(update=whole)], usage=self._usage)


class _Text(BaseModel):
    """The answer of `/detokenize`."""

    prompt: str


class ServedModel:
    """One model of a server: its card and its tokenizer.

    Args:
        server: The server.
        name: The server's name for the model; None for the first that it lists.
        chat_template_kwargs: Passed to the model's chat template.
    """

    def __init__(
        self, server: ModelServer, name: str | None, chat_template_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        self.name = name or server.url
        """What to call it in messages: the server's name for it, once known."""
        self._server = server
        self._asked = name
        self._card: Shared[None, ModelCard] = Shared(1)
        self._known: ModelCard | None = None
        self.options = {"chat_template_kwargs": dict(chat_template_kwargs)} if chat_template_kwargs else {}
        """Go with every chat."""
        self.chats = AcceptedChats()

    async def card(self) -> ModelCard:
        """What the server says of the model; requested once. Raises as `ModelServer.post` does."""
        if self._known is None:  # asked for in every request
            self._known = await self._card.get(None, lambda: self._server.model(self._asked))
            self.name = self._known.id
        return self._known

    async def encode(self, text: str, *, special_tokens: bool = False) -> list[int]:
        """Token ids of a text. Raises as `ModelServer.post` does."""
        return await self._tokenize({"prompt": text, "add_special_tokens": special_tokens})

    async def chat(self, chat: Chat, *, generation_prompt: bool) -> list[int]:
        """Token ids of a conversation in the model's chat template. Raises as `ModelServer.post` does."""

        async def render(form: Chat) -> list[int]:
            return await self._tokenize(
                {"messages": list(form), "add_generation_prompt": generation_prompt, **self.options}
            )

        return await self.chats.render(chat, render)

    async def decode(self, tokens: list[int]) -> str:
        """The text of token ids. Raises as `ModelServer.post` does."""
        body = {"model": (await self.card()).id, "tokens": tokens}
        return (await self._server.post("/detokenize", body, _Text)).prompt

    async def _tokenize(self, what: dict[str, Any]) -> list[int]:
        body = {"model": (await self.card()).id, **what}
        return (await self._server.post("/tokenize", body, TokenIds)).tokens


class VLLM:
    """A step generator on an OpenAI-compatible server.

    Args:
        url: The server's address, with or without `/v1`.
        model: The name it serves the model under; by default the first that it lists.
        api_key: Sent as a bearer token.
        timeout: Seconds that one step may take, all its requests together.
        parameters: Number of the model's parameters, for the FLOPs count; unknown by default.
        template: Renders the messages to the text that precedes the response; by default the server does it.
        chat_template_kwargs: Passed to the model's chat template, such as `{"enable_thinking": False}`.
        retry: How long to keep asking when it does not answer.
    """

    provider = "vllm"
    """What traces call it: `ls_provider`."""

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        timeout: float = 600,
        parameters: float | None = None,
        template: Callable[[Sequence[BaseMessage]], str] | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.parameters = parameters
        self._template = template
        self._is_uncounted = False
        """Whether the server reports no usage: its log-probabilities count the tokens."""
        self._server = ModelServer(url, api_key=api_key, timeout=timeout, retry=retry)
        self._served = ServedModel(self._server, model, chat_template_kwargs)
        self._prompts = Prompts(
            lambda chat: self._served.chat(chat, generation_prompt=True), self._served.encode, self._served.decode
        )

    @property
    def name(self) -> str:
        """What to call it in messages and tables."""
        return self._served.name

    async def start(self) -> None:
        """Nothing to load: the server runs elsewhere."""

    async def aclose(self) -> None:
        """Close the connections."""
        await self._server.aclose()

    async def speculates(self) -> bool | None:
        """See `Speculator`. vLLM has metrics of speculative decoding only where it speculates."""
        try:
            metrics = await self._server.text("/metrics")
        except ModelUnavailableError:
            raise
        except ModelResponseError:
            return None
        if "vllm:spec_decode_" in metrics:
            return True
        return False if "vllm:" in metrics else None  # not vLLM, or one started with `--disable-log-stats`

    async def generate(
        self, messages: Sequence[BaseMessage], response: str, *, settings: RSDSettings, n: int = 1
    ) -> list[Generation]:
        """See `StepGenerator.generate`."""
        with self._server.step():
            prompt, rendered = await self._prompt(messages, response, settings.max_step_tokens)
            wanted = self._wanted(prompt, (await self._served.card()).max_model_len, settings.max_step_tokens)
            generations = await with_a_character(
                lambda limit: as_much_as_fits(
                    lambda tokens: self._complete(prompt, settings, n, tokens), limit, lambda: self._room(prompt)
                ),
                wanted,
            )
        if rendered is not None and generations:
            rendered.count(response, generations[0].usage.prompt)
        return generations

    async def _complete(self, prompt: Prompt, settings: RSDSettings, n: int, limit: int) -> list[Generation]:
        # of several candidates, vLLM reports the tokens of all together: the log-probabilities count those of each
        logprobs = n > 1 or self._is_uncounted or logprobs_wanted.get()
        body = {
            "model": (await self._served.card()).id,
            "prompt": prompt,
            "max_tokens": limit,
            "stop": stop_texts(settings.delimiter),
            **({"skip_special_tokens": False} if control_tokens_shown.get() else {}),
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            # only the settings decide how to sample: vLLM would take missing values from the model's own files
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "seed": settings.seed,
            "n": n,
            "logprobs": 1 if logprobs else None,
            "add_special_tokens": False,  # the rendering has them already
        }
        answer = await self._asked(body, n, limit)
        self._is_uncounted = not answer.usage.completion_tokens
        return self._read(answer, settings.delimiter, n, limit)

    async def _asked(self, body: dict[str, Any], n: int, limit: int) -> _Completion:
        """The answer, streamed if somebody is to see the text of a single candidate: events cost time."""
        path, sink = "/v1/completions", text_sink() if n == 1 else None
        if sink is None:
            return await self._server.post(path, body, _Completion, tokens=n * limit)
        heard = await self._server.stream(
            path,
            {**body, "stream": True, "stream_options": {"include_usage": True}},
            lambda: _Heard(
                lambda event: self._server.read(path, _Chunk, event), Written(sink, limit, f"{self._server.url}{path}")
            ),
            tokens=limit,
        )
        return heard.answer()

    def _wanted(self, prompt: Prompt, context: int | None, wanted: int) -> int:
        """Tokens that the step may take. Checked here, as vLLM's refusal differs from version to version."""
        if context is None or isinstance(prompt, str):
            return wanted
        require_room(self.name, len(prompt), context, answer=1)
        return min(wanted, context - len(prompt))

    async def _room(self, prompt: Prompt) -> int | None:
        """How many tokens fit after the prompt; None if the server does not tell."""
        context = (await self._served.card()).max_model_len
        if context is None:
            return None
        try:
            tokens = prompt if isinstance(prompt, list) else await self._served.encode(prompt)
        except ModelUnavailableError:
            raise
        except ModelResponseError:  # it has no tokenizer to ask
            return None
        return context - len(tokens) if tokens else None

    async def _prompt(
        self, messages: Sequence[BaseMessage], response: str, wanted: int
    ) -> tuple[Prompt, Rendered | None]:
        if self._template:
            return self._template(messages) + response, None
        chat = to_openai(messages)
        try:
            rendered = await self._prompts.rendered(chat)
            if not rendered.ids and rendered.text is None:
                # llama.cpp has the endpoint too, but ignores the messages and returns no tokens
                rendered.text = await self._served.chats.render(chat, self._apply_template)
            return await self._text_or_ids(chat, rendered, response, wanted), rendered
        except ModelUnavailableError:
            raise
        except ModelResponseError as error:
            raise ModelResponseError(
                f"{self._server.url} cannot render a chat, neither at /tokenize (vLLM) nor at /apply-template "
                f"(llama.cpp): {error}. Pass `template`, a function from messages to the prompt's text."
            ) from error

    async def _text_or_ids(self, chat: Chat, rendered: Rendered, response: str, wanted: int) -> Prompt:
        """As text where that is the same, unless the context may be too short: ids can be counted."""
        if not rendered.ids:
            return (rendered.text or "") + response
        context = (await self._served.card()).max_model_len
        fits = context is None or rendered.most_tokens(response) + wanted <= context
        text = await self._prompts.text(chat, rendered, response) if fits and response else None
        return await self._prompts.ids(rendered, response) if text is None else text

    async def _apply_template(self, chat: Chat) -> str:
        body = {
            "model": (await self._served.card()).id,
            "messages": list(chat),
            "add_generation_prompt": True,
            **self._served.options,
        }
        return (await self._server.post("/apply-template", body, RenderedChat)).prompt

    def _read(self, answer: _Completion, delimiter: str, n: int, limit: int) -> list[Generation]:
        usage = answer.usage.read
        where = f"{self._server.url}/v1/completions"
        generations = []
        for index, choice in enumerate(answer.choices):
            require_plausible(choice.text, limit, where)
            finish = _finish(choice, delimiter, where)
            logprobs = choice.logprobs.token_logprobs if choice.logprobs else None
            generations.append(
                Generation(
                    text=whole(choice.text, finish),
                    finish=finish,
                    usage=TokenUsage(
                        prompt=usage.prompt if index == 0 else 0,  # read once for all n
                        cached=usage.cached if index == 0 else 0,
                        completion=usage.completion if n == 1 else len(logprobs or ()),
                    ),
                    logprobs=self._logprobs(logprobs),
                )
            )
        return generations

    def _logprobs(self, reported: list[float | None] | None) -> tuple[float, ...] | None:
        """Each a number: only a prompt's first token may have none, and no prompt was asked for."""
        if not reported:
            return None
        return tuple(checked_logprob(value, self.name, ModelResponseError) for value in reported)


def _finish(choice: _Choice, delimiter: str, where: str) -> Finish:
    """Delimiter or end of text? vLLM gives the stop string as `stop_reason`, SGLang as `matched_stop`."""
    match choice.finish_reason:
        case "length":
            return "length"
        case "stop" if _says_why(choice):
            said = {choice.stop_reason, choice.matched_stop}
            return "eos" if said.isdisjoint(stop_texts(delimiter)) else "delimiter"
        case "stop":
            raise ModelResponseError(
                f"{where} does not say whether it stopped at the delimiter or at the end of text (no `stop_reason`): "
                "for a llama.cpp server use `LlamaCpp`"
            )
        case other:
            raise ModelResponseError(f"{where} answered with finish_reason {other!r}, expected 'stop' or 'length'")


def _says_why(choice: _Choice) -> bool:
    """Whether the server has a field for the reason; before the end, it is empty."""
    return not choice.model_fields_set.isdisjoint(("stop_reason", "matched_stop"))
