"""The application as the official client sees it, over a real connection."""

import asyncio
import threading
from typing import Any

import httpx2
import openai
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from openai import AsyncOpenAI

from rsd_graph import Generation, RSDSettings, TokenUsage, create_rsd_graph
from rsd_graph.gateway import Limits, create_app
from rsd_graph.models.llamacpp import LlamaCpp
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.conftest import Events, FakeServer
from tests.gateway.serving import ask, client, graph_of, running, step

KEY = "sk-right"


def test_an_answer_in_one_piece() -> None:
    """The kept steps, the ending, and the tokens of all three models, those in a prefix cache apart."""
    draft = [step("bad", tokens=TokenUsage(5, 2, 3)), step(r"so \boxed{4}", "eos", tokens=TokenUsage(7, 5, 4))]
    graph = graph_of(draft, [step("2+2 is 4", tokens=TokenUsage(5, 0, 6))], [0.1, 0.9])
    with running(graph) as url:
        answer = client(url).chat.completions.create(**ask("2+2?"))
    assert answer.choices[0].message.content == "2+2 is 4\n\nso \\boxed{4}"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "rsd"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (17, 13, 30)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 7
    assert not hasattr(answer, "rsd")


def test_a_stream_is_the_answer_in_pieces() -> None:
    """The role first, then a piece for each kept step, then the ending, then the tokens if they are asked for."""
    graph = graph_of([step("one"), step("bad"), step("three", "eos")], [step("two")], [0.9, 0.1, 0.9])
    with running(graph) as url:
        chunks = list(
            client(url).chat.completions.create(**ask("p", stream=True, stream_options={"include_usage": True}))
        )
    first, *middle, last, usage = chunks
    assert (first.choices[0].delta.role, first.choices[0].delta.content) == ("assistant", "")
    assert [chunk.choices[0].delta.content for chunk in middle] == ["one", "\n\ntwo", "\n\nthree"]
    assert last.choices[0].finish_reason == "stop"
    assert usage.choices == []
    assert usage.usage is not None
    assert len({chunk.id for chunk in chunks}) == 1
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)


def test_the_targets_words_come_as_it_writes_them(server: FakeServer) -> None:
    """The target's server ends the step only after the client has its first words."""
    reached = threading.Event()
    last = {"content": " 4.", "stop_type": "eos", "tokens_evaluated": 5, "tokens_predicted": 3}
    server.answer("/apply-template", {"prompt": "p"})
    server.answer("/completion", Events([{"content": "It"}, {"content": " is"}, last], reached=reached))
    graph = create_rsd_graph(ScriptedModel([step("d")]), LlamaCpp(server.url), ScriptedReward([0.1]))
    pieces: list[str] = []
    with running(graph) as url:
        for chunk in client(url).chat.completions.create(**ask("p", stream=True)):
            pieces += [choice.delta.content for choice in chunk.choices if choice.delta.content]
            if "".join(pieces) == "It is":
                reached.set()
    assert "".join(pieces) == "It is 4."
    assert len(pieces) >= 2


def test_a_stream_without_usage_has_none() -> None:
    """It ends with the ending."""
    with running(graph_of([step("one", "eos")])) as url:
        chunks = list(client(url).chat.completions.create(**ask("p", stream=True)))
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_details_tell_authors_rewards_and_rejected_drafts() -> None:
    """In a field `rsd`, when `extra_body` asks for it: of each step, of the answer, and tokens by role."""

    def graph() -> Any:
        return graph_of([step("bad"), step(r"\boxed{4}", "eos")], [step("good")], [0.25, 0.75])

    asked = ask("p", extra_body={"rsd": {"details": True}})
    told = [
        {"index": 0, "text": "good", "author": "target", "reward": 0.25, "rejected": "bad"},
        {"index": 1, "text": r"\boxed{4}", "author": "draft", "reward": 0.75, "rejected": None},
    ]
    with running(graph()) as url:
        answer: Any = client(url).chat.completions.create(**asked)
    assert answer.rsd["steps"] == told
    assert (answer.rsd["stop"], answer.rsd["answer"]) == ("eos", "4")
    assert answer.rsd["usage"]["target"] == {"prompt": 10, "cached": 3, "completion": 4}
    assert answer.rsd["usage"]["discarded"] == 4
    with running(graph()) as url:
        chunks: list[Any] = list(client(url).chat.completions.create(**asked, stream=True))
    notes = [chunk.rsd for chunk in chunks if hasattr(chunk, "rsd")]
    assert [note["step"] for note in notes[:-1]] == told
    assert notes[-1] == {key: value for key, value in answer.rsd.items() if key != "steps"}


def test_reasoning_has_a_field_of_its_own() -> None:
    """Under both names that clients look for, and never in one delta with content."""
    graph = graph_of([step("<think>Let me"), step("see.</think>\n\nIt is 4.", "eos")])
    with running(graph) as url:
        message: Any = client(url).chat.completions.create(**ask("p")).choices[0].message
        deltas: list[Any] = [
            chunk.choices[0].delta for chunk in client(url).chat.completions.create(**ask("p", stream=True))
        ]
    assert (message.content, message.reasoning_content, message.reasoning) == ("It is 4.", *["Let me\n\nsee."] * 2)
    thoughts = [delta for delta in deltas if hasattr(delta, "reasoning")]
    assert "".join(delta.reasoning for delta in thoughts) == "Let me\n\nsee."
    assert [delta.content for delta in thoughts] == [None] * len(thoughts)
    assert "".join(delta.content or "" for delta in deltas) == "It is 4."


def test_settings_come_from_the_request() -> None:
    """OpenAI's fields, and all others in `extra_body`; those of the graph hold where the request names none."""
    draft = ScriptedModel([step("one", "eos")])
    graph = create_rsd_graph(draft, draft, ScriptedReward([0.5]), settings=RSDSettings(threshold=0.4, seed=3))
    with running(graph) as url:
        client(url).chat.completions.create(
            **ask("p", max_tokens=77, temperature=0.5, top_p=0.9, extra_body={"rsd": {"system_prompt": "Be brief."}})
        )
        client(url).chat.completions.create(**ask("p", seed=-1, max_completion_tokens=5))
    (messages, _, first), (_, _, second) = draft.calls
    assert messages[0].text == "Be brief."
    assert (first.max_tokens, first.temperature, first.top_p, first.threshold) == (77, 0.5, 0.9, 0.4)
    assert (second.max_tokens, second.temperature) == (5, 0)


@pytest.mark.parametrize("setting", [{"review": "all"}, {"interrupt_below": 0.3}])
def test_a_client_cannot_have_a_run_pause(setting: dict[str, Any]) -> None:
    """Nobody could answer."""
    asked: Any = ask("p", extra_body={"rsd": setting})
    with running(graph_of([step("x", "eos")], [], [0.9])) as url, pytest.raises(openai.BadRequestError, match="pauses"):
        client(url).chat.completions.create(**asked)


def test_a_client_cannot_have_code_run_where_it_is_off() -> None:
    """Neither by the setting nor beside others; where the graph is made to run code, it can be chosen."""
    program = [step("```python\nprint(6 * 7)\n```"), step(r"so \boxed{42}", "eos")]
    asked: Any = ask("6 * 7?", extra_body={"rsd": {"tools": "python"}})
    with running(graph_of(program, [], [0.9])) as url, pytest.raises(openai.BadRequestError, match="runs no code"):
        client(url).chat.completions.create(**asked)
    graph = create_rsd_graph(
        ScriptedModel(program), ScriptedModel([]), ScriptedReward([0.9]), settings=RSDSettings(tools="python")
    )
    with running(graph) as url:
        answer = client(url).chat.completions.create(**ask("6 * 7?"))
    assert answer.choices[0].message.content is not None
    assert "```output\n42\n```" in answer.choices[0].message.content


def test_the_conversation_is_the_history() -> None:
    """Messages before the last are earlier turns; text parts are text; a developer's message is a system message."""
    draft = ScriptedModel([step("one", "eos")])
    turns = [
        {"role": "developer", "content": "Rule."},
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": [{"type": "text", "text": "And"}, {"type": "text", "text": "3+3?"}]},
    ]
    with running(create_rsd_graph(draft, draft, ScriptedReward([1.0]))) as url:
        client(url).chat.completions.create(**ask("", messages=turns))
    messages = draft.calls[0][0]
    assert [(message.type, message.text) for message in messages[1:]] == [
        ("human", "2+2?"),
        ("ai", "4"),
        ("human", "And\n3+3?"),
    ]
    assert messages[0].text.endswith("Rule.")


@pytest.mark.parametrize(("stop", "reason"), [("max_steps", "length"), ("max_tokens", "length"), ("eos", "stop")])
def test_limits_end_with_length(stop: str, reason: str) -> None:
    """Clients continue, or warn, when they see it."""
    script = [step("one", "eos" if stop == "eos" else "delimiter")]
    settings = {} if stop == "eos" else {stop: 2}
    with running(graph_of(script)) as url:
        answer: Any = client(url).chat.completions.create(**ask("p", extra_body={"rsd": {**settings, "details": True}}))
    assert answer.rsd["stop"] == stop
    assert answer.choices[0].finish_reason == reason


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_text_ends_the_response_and_the_run(stream: bool) -> None:
    """It is not part of the response, even if it spans two steps; no model is asked again."""
    draft = ScriptedModel([step("It is 4. Ques"), step("tion: x"), step("more")])
    with running(create_rsd_graph(draft, draft, ScriptedReward([1.0]))) as url:
        asked = ask("p", stop=["s\n\ntion:", "never"], stream=stream)
        answer: Any = client(url).chat.completions.create(**asked)
        if stream:
            chunks = list(answer)
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
            reason = chunks[-1].choices[0].finish_reason
        else:
            text, reason = answer.choices[0].message.content, answer.choices[0].finish_reason
    assert (text, reason) == ("It is 4. Que", "stop")
    assert len(draft.calls) <= 3


def test_the_async_client_streams_many_at_once() -> None:
    """200 requests at once, half of them streams: none is lost, and none gets another's answer."""
    model = ScriptedModel(lambda messages, response, _: step(messages[-1].text, "eos" if response else "delimiter"))
    graph = create_rsd_graph(model, model, ScriptedReward(lambda steps, _: 0.1 if steps else 0.9))

    async def one(own: AsyncOpenAI, number: int) -> str:
        stream = number % 2 == 0
        answer: Any = await own.chat.completions.create(**ask(f"problem {number}", stream=stream))
        if not stream:
            return str(answer.choices[0].message.content)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in answer])

    async def run(url: str) -> list[str]:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as own:
            return list(await asyncio.gather(*[one(own, number) for number in range(200)]))

    with running(graph) as url:
        answers = asyncio.run(run(url))
    assert answers == [f"problem {number}\n\nproblem {number}" for number in range(200)]


def test_models_and_health() -> None:
    """What clients and load balancers ask first."""
    with running(graph_of([step("one", "eos")]), name="mine") as url:
        assert [model.id for model in client(url).models.list()] == ["mine"]
        assert client(url).models.retrieve("mine").id == "mine"
        with pytest.raises(openai.NotFoundError, match="serves 'mine'"):
            client(url).models.retrieve("gpt-4o")
        with pytest.raises(openai.NotFoundError, match=r"'rsd' does not exist.*'mine'"):
            client(url).chat.completions.create(**ask("p"))
        assert httpx2.get(f"{url}/health").json() == {"status": "ok"}


def test_a_key_is_required_everywhere_but_for_health() -> None:
    """A missing and a wrong one get 401 in OpenAI's shape; the right one works."""
    with running(graph_of([step("one", "eos")]), api_key=KEY) as url:
        for key in ("wrong", KEY + "x", KEY[:-1], "schlüssel".encode().decode("latin-1")):
            headers = [(b"authorization", f"Bearer {key}".encode("latin-1"))]
            assert httpx2.post(f"{url}/v1/chat/completions", headers=headers).status_code == 401
        with pytest.raises(openai.AuthenticationError, match="key is wrong") as raised:
            client(url, api_key="wrong").chat.completions.create(**ask("p"))
        assert raised.value.code == "invalid_api_key"
        for path in ("/v1/models", "/v1/models/rsd", "/metrics"):
            assert httpx2.get(url + path).status_code == 401
        assert httpx2.get(f"{url}/health").status_code == 200
        client(url, api_key=KEY).chat.completions.create(**ask("p"))


@pytest.mark.parametrize("key", ["", "two words", "schlüssel", "line\n"])
def test_a_key_that_no_client_can_send_is_refused(key: str) -> None:
    """Above all an empty one, which would let everybody in."""
    with pytest.raises(ValueError, match="printable ASCII"):
        create_app(graph_of([]), api_key=key)


def test_addresses_that_are_not_served_are_told_in_openais_shape() -> None:
    """404 and 405 too."""
    with running(graph_of([])) as url:
        for status, answer in (
            (404, httpx2.get(f"{url}/v1/embeddings")),
            (405, httpx2.get(f"{url}/v1/chat/completions")),
        ):
            assert answer.status_code == status
            assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_graph_with_a_checkpointer_is_served_too() -> None:
    """Each request is a thread of its own."""
    model = ScriptedModel([step("one", "eos")])
    graph = create_rsd_graph(model, model, ScriptedReward([1.0]), checkpointer=InMemorySaver())
    with running(graph) as url:
        contents = [client(url).chat.completions.create(**ask("p")).choices[0].message.content for _ in range(2)]
    assert contents == ["one", "one"]


def test_metrics_count_what_happened() -> None:
    """Acceptance, steps, tokens by role, seconds by node, endings and requests."""
    graph = graph_of([step("bad"), step("good", "eos")], [step("better")], [0.1, 0.9])
    with running(graph) as url:
        client(url).chat.completions.create(**ask("p"))
        with pytest.raises(openai.BadRequestError):
            client(url).chat.completions.create(**ask("p", n=2))
        page = httpx2.get(f"{url}/metrics").text.splitlines()
    for line in (
        'rsd_proposals_total{accepted="true"} 1.0',
        'rsd_proposals_total{accepted="false"} 1.0',
        'rsd_steps_total{author="draft"} 1.0',
        'rsd_steps_total{author="target"} 1.0',
        'rsd_tokens_total{kind="completion",role="draft"} 8.0',
        'rsd_tokens_total{kind="cached",role="target"} 3.0',
        "rsd_discarded_tokens_total 4.0",
        'rsd_runs_total{stop="eos"} 1.0',
        "rsd_active_runs 0.0",
        'rsd_requests_total{status="200"} 1.0',
        'rsd_requests_total{status="400"} 1.0',
        'rsd_node_seconds_count{node="target"} 1.0',
        'rsd_node_seconds_count{node="check"} 2.0',
    ):
        assert line in page


def test_limits_are_checked() -> None:
    """A limit of nothing would refuse everybody."""
    with pytest.raises(ValueError, match="`seconds` must be above 0, got 0"):
        Limits(seconds=0)


def test_a_generation_without_usage_counts_nothing() -> None:
    """Backends may report no tokens."""
    with running(graph_of([Generation("one", "eos")])) as url:
        answer = client(url).chat.completions.create(**ask("p"))
    assert answer.usage is not None
    assert answer.usage.total_tokens == 0
