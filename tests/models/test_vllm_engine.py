"""vLLM itself is not needed: stand-ins for the few of its names that the engine uses note what they are asked."""

import asyncio
import sys
from collections.abc import AsyncIterator
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
from langchain_core.messages import HumanMessage

from rsd_graph import Generation, RSDSettings, TokenUsage
from rsd_graph._internal import background
from rsd_graph.errors import ConfigurationError, ContextOverflowError, ModelError, ModelResponseError, WeightsError
from rsd_graph.models.sleep import SleepCoordinator
from rsd_graph.models.vllm_engine import OfflineEngine
from rsd_graph.protocols import Reading

MESSAGES = [HumanMessage("2+2?")]


class FakeTokenizer:
    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return [*([1] if add_special_tokens else []), *text.encode()]

    def apply_chat_template(self, turns: Any, *, add_generation_prompt: bool, return_dict: bool) -> list[int]:
        assert not return_dict
        return [100 + len(turns), *([0] if add_generation_prompt else [])]


class Numbers:
    """As much of a tensor as is used."""

    def __init__(self, values: list[float]) -> None:
        self._values = values

    def __getattr__(self, name: str) -> Any:
        return {"float": lambda: self, "flatten": lambda: self, "tolist": lambda: self._values}[name]


class FakeAsyncLLM:
    """Stands for vLLM's engine."""

    made: ClassVar[list["FakeAsyncLLM"]] = []
    outputs: ClassVar[list[Any]] = []
    """What every request ends with; an exception is raised."""

    def __init__(self, flags: list[str]) -> None:
        if "broken" in flags:
            raise ValueError("no such model")
        self.flags = flags
        self.asked: list[tuple[list[int], Any, str]] = []
        self.diary: list[str] = []
        self.model_config = SimpleNamespace(max_model_len=16)
        self.made.append(self)

    @classmethod
    def from_engine_args(cls, flags: list[str]) -> "FakeAsyncLLM":
        return cls(flags)

    def get_tokenizer(self) -> FakeTokenizer:
        return FakeTokenizer()

    async def generate(self, prompt: dict[str, list[int]], parameters: Any, number: str) -> AsyncIterator[Any]:
        self.asked.append((prompt["prompt_token_ids"], parameters, number))
        for output in self.outputs:
            if isinstance(output, Exception):
                raise output
            yield output

    encode = generate

    async def sleep(self, level: int) -> None:
        self.diary.append(f"sleep {level}")

    async def wake_up(self) -> None:
        self.diary.append("wake up")

    def shutdown(self) -> None:
        self.diary.append("shutdown")


class Parser:
    def __init__(self, **_: Any) -> None: ...

    def parse_args(self, flags: list[str]) -> list[str]:
        if "--wrong" in flags:
            raise SystemExit(2)
        return flags


class VLLMError(Exception):
    pass


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> type[FakeAsyncLLM]:
    """As much of the package as is imported."""

    def module(name: str, **members: Any) -> None:
        made = ModuleType(name)
        made.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, made)

    arguments = SimpleNamespace(add_cli_args=lambda parser: parser, from_cli_args=lambda flags: flags)
    module("vllm", SamplingParams=lambda **options: options, PoolingParams=lambda **options: options)
    module("vllm.exceptions", VLLMError=VLLMError)
    module("vllm.utils")
    module("vllm.utils.argparse_utils", FlexibleArgumentParser=Parser)
    module("vllm.engine")
    module("vllm.engine.arg_utils", AsyncEngineArgs=arguments)
    module("vllm.v1")
    module("vllm.v1.engine")
    module("vllm.v1.engine.async_llm", AsyncLLM=FakeAsyncLLM)
    FakeAsyncLLM.made.clear()
    FakeAsyncLLM.outputs = []
    return FakeAsyncLLM


def said(text: str, tokens: list[int], finish: str = "stop", stop: str | None = None) -> SimpleNamespace:
    logprobs = [{token: SimpleNamespace(logprob=-token / 10)} for token in tokens]
    return SimpleNamespace(text=text, token_ids=tokens, logprobs=logprobs, finish_reason=finish, stop_reason=stop)


def output(*outputs: Any, cached: int | None = 2) -> SimpleNamespace:
    return SimpleNamespace(outputs=list(outputs), num_cached_tokens=cached)


def generate(engine: OfflineEngine, response: str = "", n: int = 1, **settings: Any) -> list[Generation]:
    return asyncio.run(engine.generate(MESSAGES, response, settings=RSDSettings(**settings), n=n))


def test_without_vllm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than an import error."""
    monkeypatch.setitem(sys.modules, "vllm.engine.arg_utils", None)
    with pytest.raises(ConfigurationError, match=r"rsd-graph\[vllm\]"):
        asyncio.run(OfflineEngine("x").start())


def test_the_prompt_is_the_template_and_the_response(vllm: type[FakeAsyncLLM]) -> None:
    """As token ids; the settings go along, and every request has a number of its own."""
    vllm.outputs = [output(said("x", [5]))]
    engine = OfflineEngine("model", flags=["--seed", "1"])
    generate(engine, "ab", max_step_tokens=7, temperature=0.5, top_p=0.9, seed=3)
    generate(engine)
    (made,) = vllm.made
    assert made.flags == ["--model", "model", "--seed", "1"]
    (tokens, parameters, first), (_, _, second) = made.asked
    assert tokens == [101, 0, 97, 98]
    assert parameters == {
        "n": 1,
        "max_tokens": 7,
        "stop": ["\n\n"],
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 3,
        "logprobs": 0,
    }
    assert first != second


@pytest.mark.parametrize(
    ("finish", "stop", "expected"),
    [("stop", "\n\n", "delimiter"), ("stop", None, "eos"), ("length", None, "length")],
)
def test_the_three_endings_are_distinguished(
    vllm: type[FakeAsyncLLM], finish: str, stop: str | None, expected: str
) -> None:
    """Delimiter, end of text and token limit; tokens are counted, and each has its log-probability."""
    vllm.outputs = [output(said("partial", [5])), output(said("four", [5, 6], finish, stop))]
    usage = TokenUsage(prompt=2, cached=2, completion=2)
    expected_generation = Generation("four", expected, usage, (-0.5, -0.6))  # type: ignore[arg-type]
    assert generate(OfflineEngine("model")) == [expected_generation]


def test_several_candidates_read_the_prompt_once(vllm: type[FakeAsyncLLM]) -> None:
    """The prompt's tokens are counted for the first of n candidates only."""
    vllm.outputs = [output(said("a", [5]), said("b", [5, 6]), cached=None)]
    first, second = generate(OfflineEngine("model"), n=2)
    assert (first.usage, second.usage) == (TokenUsage(2, 0, 1), TokenUsage(0, 0, 2))


def test_a_step_ends_where_the_context_does(vllm: type[FakeAsyncLLM]) -> None:
    """A prompt that leaves no room is refused."""
    vllm.outputs = [output(said("x", [5]))]
    engine = OfflineEngine("model")
    generate(engine, "x" * 13, max_step_tokens=7)
    assert vllm.made[0].asked[0][1]["max_tokens"] == 1
    with pytest.raises(ContextOverflowError, match="has 16 tokens, and the context of model is 16"):
        generate(engine, "x" * 14)


def test_the_head_is_read_without_activation(vllm: type[FakeAsyncLLM]) -> None:
    """The family applies it; a prompt may fill the whole context."""
    vllm.outputs = [SimpleNamespace(outputs=SimpleNamespace(data=Numbers([-1.5])), num_cached_tokens=3)]
    engine = OfflineEngine("model")
    assert asyncio.run(engine.head([7] * 16)) == Reading((-1.5,), TokenUsage(16, 3))
    assert vllm.made[0].asked[0][:2] == ([7] * 16, {"task": "classify", "use_activation": False})
    with pytest.raises(ContextOverflowError):
        asyncio.run(engine.head([7] * 17))


def test_labels_are_read_by_their_ids(vllm: type[FakeAsyncLLM]) -> None:
    """In the order asked for; one token is generated."""
    likely = {8: SimpleNamespace(logprob=-0.5), 7: SimpleNamespace(logprob=-2.0)}
    vllm.outputs = [output(SimpleNamespace(logprobs=[likely]))]
    engine = OfflineEngine("model")
    assert asyncio.run(engine.label_logprobs([1, 2, 3], [7, 8])) == Reading((-2.0, -0.5), TokenUsage(3, 2, 1))
    assert vllm.made[0].asked[0][1] == {"max_tokens": 1, "temperature": 0, "logprob_token_ids": [7, 8]}
    with pytest.raises(ContextOverflowError):  # there is no room for the answer
        asyncio.run(engine.label_logprobs([1] * 16, [7]))


@pytest.mark.usefixtures("vllm")
def test_texts_and_chats_are_encoded_by_the_models_tokenizer() -> None:
    """Special tokens of the tokenizer's own only on request."""
    engine = OfflineEngine("model")
    assert asyncio.run(engine.encode("a")) == [97]
    assert asyncio.run(engine.encode("a", special_tokens=True)) == [1, 97]
    assert asyncio.run(engine.chat([{"role": "user", "content": "x"}], generation_prompt=False)) == [101]


@pytest.mark.parametrize(
    ("outputs", "error", "message"),
    [([VLLMError("dead")], ModelError, "model failed: dead"), ([], ModelResponseError, "answered nothing")],
)
def test_an_engine_that_fails_is_a_typed_error(
    vllm: type[FakeAsyncLLM], outputs: list[Any], error: type[Exception], message: str
) -> None:
    """Errors of vLLM's own do not reach the caller."""
    vllm.outputs = outputs
    with pytest.raises(error, match=message):
        generate(OfflineEngine("model"))


@pytest.mark.usefixtures("vllm")
def test_an_engine_that_does_not_load_says_why() -> None:
    """A wrong flag is the configuration's fault; anything else the weights'."""
    with pytest.raises(ConfigurationError, match=r"model: vLLM does not accept the flags \['--wrong'\]"):
        asyncio.run(OfflineEngine("model", flags=["--wrong"]).start())
    with pytest.raises(WeightsError, match="vLLM cannot load broken: no such model"):
        asyncio.run(OfflineEngine("broken").start())


def test_engines_sleep_while_another_works(vllm: type[FakeAsyncLLM]) -> None:
    """With a coordinator; closing one shuts it down, and it starts anew when it is needed."""

    async def coordinator() -> SleepCoordinator:
        return SleepCoordinator()

    shared = background.run(coordinator())
    draft, target = (OfflineEngine(name, coordinator=shared) for name in ("draft", "target"))
    for engine in (draft, target, draft):
        asyncio.run(engine.start())
    first, second = vllm.made
    assert "--enable-sleep-mode" in first.flags
    assert (first.diary, second.diary) == (["sleep 1", "wake up"], ["sleep 1"])
    asyncio.run(draft.aclose())
    assert first.diary[-1] == "shutdown"
    asyncio.run(OfflineEngine("never started").aclose())
