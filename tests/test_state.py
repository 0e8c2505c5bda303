import base64
import dataclasses
from typing import Any, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from rsd_graph import Generation, RSDSettings, Score, Step, TokenUsage, Usage
from rsd_graph.state import RSDInput, RSDOutput, RSDState, join_steps, prefix

WRITTEN_BY_0_1 = """
hKVzdGVwc5HHXQKTr3JzZF9ncmFwaC5zdGF0ZaRTdGVwhaR0ZXh0qTIgKyAyID0gNKZhdXRob3KmdGFyZ2V0pnJld2FyZMs/0AAAAAAAAKZmaW5p
c2ipZGVsaW1pdGVypnRva2VucweldXNhZ2XH/wKTr3JzZF9ncmFwaC5zdGF0ZaVVc2FnZYalZHJhZnTHOQKTr3JzZF9ncmFwaC5zdGF0ZapUb2tl
blVzYWdlg6Zwcm9tcHQepmNhY2hlZAqqY29tcGxldGlvbgWmdGFyZ2V0xzkCk69yc2RfZ3JhcGguc3RhdGWqVG9rZW5Vc2FnZYOmcHJvbXB0CKZj
YWNoZWQAqmNvbXBsZXRpb24HpnJld2FyZMc5ApOvcnNkX2dyYXBoLnN0YXRlqlRva2VuVXNhZ2WDpnByb21wdASmY2FjaGVkAapjb21wbGV0aW9u
AalkaXNjYXJkZWQFqHF1ZXN0aW9uDKhyZXNwb25zZQeocHJvcG9zYWzHgwKTr3JzZF9ncmFwaC5zdGF0ZapHZW5lcmF0aW9uhKR0ZXh0qVxib3hl
ZHs0faZmaW5pc2ijZW9zpXVzYWdlxzkCk69yc2RfZ3JhcGguc3RhdGWqVG9rZW5Vc2FnZYOmcHJvbXB0FKZjYWNoZWQMqmNvbXBsZXRpb24DqGxv
Z3Byb2JzwKhzZXR0aW5nc8gBMQWUsnJzZF9ncmFwaC5zZXR0aW5nc6tSU0RTZXR0aW5nc4ypdGhyZXNob2xkyz/gAAAAAAAAqXdlaWdodGluZ6Rz
dGVwqGNvbnN0YW50yz/gAAAAAAAApWFscGhhy0AkAAAAAAAAqWRlbGltaXRlcqIjI6ltYXhfc3RlcHNkqm1heF90b2tlbnPNEACvbWF4X3N0ZXBf
dG9rZW5zzQIAq3RlbXBlcmF0dXJlywAAAAAAAAAApXRvcF9wyz/wAAAAAAAApHNlZWQArXN5c3RlbV9wcm9tcHTZRlBsZWFzZSByZWFzb24gc3Rl
cCBieSBzdGVwLCBhbmQgcHV0IHlvdXIgZmluYWwgYW5zd2VyIHdpdGhpbiBcYm94ZWR7fS6zbW9kZWxfdmFsaWRhdGVfanNvbg==
"""

texts = st.lists(st.text(alphabet="ab \\n", min_size=1), max_size=6)


@given(texts)
def test_the_response_is_the_joined_steps(parts: list[str]) -> None:
    """Kept steps are joined by the delimiter, without a trailing one, whatever white space they hold."""
    steps = [Step(text, "draft") for text in parts]
    assert join_steps(steps, "\n\n") == "\n\n".join(parts)
    assert prefix(steps, "\n\n") == "".join(part + "\n\n" for part in parts)


def test_a_step_cut_by_a_token_limit_is_continued() -> None:
    """No delimiter follows a cut step; the next one continues at the cut."""
    steps = [Step("one", "draft"), Step("tw", "draft", finish="length"), Step("o", "target", finish="eos")]
    assert prefix(steps[:2], "\n\n") == "one\n\ntw"
    assert join_steps(steps[:2], "\n\n") == "one\n\ntw"
    assert join_steps(steps, "\n\n") == "one\n\ntwo"


counts = st.integers(0, 1000)
token_usages = st.builds(TokenUsage, counts, counts, counts)
usages = st.builds(Usage, token_usages, token_usages, token_usages, counts, counts, counts)


@given(usages, usages, usages)
def test_usage_adds_up_field_by_field(first: Usage, second: Usage, third: Usage) -> None:
    """Every count of every role, in any order and grouping; an empty usage changes nothing."""
    total = dataclasses.asdict(first + second)
    for name, value in total.items():
        mine, other = dataclasses.asdict(first)[name], dataclasses.asdict(second)[name]
        expected = {key: mine[key] + other[key] for key in mine} if isinstance(mine, dict) else mine + other
        assert value == expected
    assert first + second == second + first
    assert (first + second) + third == first + (second + third)
    assert first + Usage() == first


def test_cached_prompt_tokens_are_not_computed() -> None:
    """What went through the model: the prompt without its cached part, and the completion."""
    assert TokenUsage(prompt=100, cached=60, completion=30).computed == 70


@pytest.mark.parametrize("record", [Step("a", "draft"), Generation("a", "eos"), Score(0.5), Usage(), TokenUsage()])
def test_records_cannot_be_changed(record: Any) -> None:
    """Checkpoints, events and forks of a run share them."""
    for each in dataclasses.fields(record):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, each.name, None)
    with pytest.raises((AttributeError, TypeError)):
        record.other = 1  # no record takes a field that it does not have


def test_a_generation_and_a_score_need_only_what_they_say() -> None:
    """A user's own model gives text and finish, or a reward; counts default to 0, log-probabilities to None."""
    assert Generation(text="a", finish="eos") == Generation("a", "eos", TokenUsage(0, 0, 0), None)
    assert Score(reward=0.5) == Score(0.5, TokenUsage(0, 0, 0))


def test_the_state_holds_what_goes_in_and_what_comes_out() -> None:
    """A parent graph that has these keys in its own state can embed the graph as it is."""
    assert get_type_hints(RSDInput).keys() == {"problem", "history", "messages"}
    assert get_type_hints(RSDOutput).keys() == {"response", "answer", "steps", "stop", "usage", "messages"}
    assert get_type_hints(RSDState).keys() > get_type_hints(RSDInput).keys() | get_type_hints(RSDOutput).keys()


def test_numbers_of_numpy_become_pythons() -> None:
    """Whoever makes the record: a checkpoint can hold no others. A usage of None is one without counts."""
    usage = TokenUsage(np.int64(3), np.int32(1), np.uint8(2))  # type: ignore[arg-type]
    generation = Generation("a", "eos", usage, np.array([-0.5, -0.25], dtype=np.float32))  # type: ignore[arg-type]
    step = Step("a", "draft", np.float64(0.5), tokens=np.int64(2))  # type: ignore[arg-type]
    assert (generation, step) == (
        Generation("a", "eos", TokenUsage(3, 1, 2), (-0.5, -0.25)),
        Step("a", "draft", 0.5, tokens=2),
    )
    numbers = [*dataclasses.astuple(usage), *(generation.logprobs or ()), step.reward, step.tokens]
    assert {type(number) for number in numbers} == {int, float}
    assert Generation("a", "eos", logprobs=[np.float32(-0.5), -1]).logprobs == (-0.5, -1)  # type: ignore[arg-type]
    assert type(Score(np.float16(0.5)).reward) is float  # type: ignore[arg-type]
    assert Generation("a", "eos", usage=None).usage == Score(0.5, usage=None).usage == TokenUsage()  # type: ignore[arg-type]


def test_a_checkpoint_of_an_earlier_version_is_read() -> None:
    """Checkpoints name the module, class and fields of each record: none of them may move or be renamed."""
    state = JsonPlusSerializer().loads_typed(("msgpack", base64.b64decode(WRITTEN_BY_0_1)))
    assert state == {
        "steps": [Step("2 + 2 = 4", "target", 0.25, "delimiter", 7)],
        "usage": Usage(TokenUsage(30, 10, 5), TokenUsage(8, 0, 7), TokenUsage(4, 1, 1), 5, 12, 7),
        "proposal": Generation(r"\boxed{4}", "eos", TokenUsage(20, 12, 3)),
        "settings": RSDSettings(threshold=0.5, delimiter="##"),
    }
