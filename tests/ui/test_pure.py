"""What the page shows, without a page: stories, cards, text, the drawing and the key."""

import asyncio
import json
import sqlite3
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from rsd_graph.errors import ConfigurationError
from rsd_graph.settings import RSDSettings
from rsd_graph.testing import ScriptedModel, ScriptedReward
from rsd_graph.ui.cards import card_html, growing_html, reward_bar
from rsd_graph.ui.drawing import drawing, edges_of
from rsd_graph.ui.key import KeyGate
from rsd_graph.ui.origin import LoopbackOnly
from rsd_graph.ui.serve import opened
from rsd_graph.ui.story import Card, Draft, Story, read_events, read_file, told
from rsd_graph.ui.texts import as_html

EVENTS: list[dict[str, Any]] = [
    {"event": "problem", "problem": "2+2?", "settings": {"threshold": 0.6}},
    {"event": "proposed", "step": 0, "text": "5", "finish": "delimiter", "tokens": 1},
    {"event": "scored", "step": 0, "reward": 0.2, "accepted": False},
    {"event": "replaced", "step": 0, "text": "4", "finish": "delimiter", "tokens": 1},
    {"event": "kept", "step": 0, "text": "4", "author": "target", "reward": 0.2},
    {"event": "proposed", "step": 1, "text": "so 4", "finish": "eos", "tokens": 2},
    {"event": "scored", "step": 1, "reward": 0.9, "accepted": True},
    {"event": "kept", "step": 1, "text": "so 4", "author": "draft", "reward": 0.9},
    {"event": "finished", "stop": "eos", "answer": "4", "steps": 2},
]
SAFE = {"strong", "pre", "code"}


class Elements(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.said = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.said += data


def test_a_story_is_told_by_events() -> None:
    story = told(EVENTS)
    assert story.cards == [
        Card(0, "target", "4", 0.2, rejected=Draft("5", 0.2, False)),
        Card(1, "draft", "so 4", 0.9),
    ]
    assert (story.threshold, story.answer, story.status) == (0.6, "4", "done")


def test_an_edited_step_keeps_the_draft_that_it_replaced() -> None:
    question = {"event": "review", "kind": "review", "step": 1}
    answered = {"event": "answered", "answer": {"action": "edit", "text": "mine"}}
    story = told([*EVENTS[:7], question, answered, {**EVENTS[7], "text": "mine"}])
    assert story.cards[1] == Card(1, "draft", "mine", 0.9, edited=True, rejected=Draft("so 4", 0.9, True))
    assert told([*EVENTS[:7], question]).status == "waits for you"


def test_what_has_become_of_a_run() -> None:
    assert Story().status == "running"
    assert told([{"event": "error", "message": "gone"}]).status == "failed"
    assert told([{"event": "error", "message": "gone"}, {"event": "started"}]).status == "running"
    assert told([{"event": "interrupted"}]).status == "interrupted"
    assert told([{"event": "finished", "stop": "max_steps", "answer": None}]).status == "max steps"


def test_a_file_of_rsd_solve_is_read(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    file.write_text("".join(json.dumps(event) + "\n" for event in EVENTS[1:]))
    story = told(read_file(file))
    assert (story.problem, len(story.cards)) == ("run.jsonl", 2)


@pytest.mark.parametrize(
    ("text", "where"),
    [("{", "line 1"), ('{"event": "kept"}', "line 1"), ("[]", "line 1"), ("", "no run"),
     ('{"event": "problem", "problem": "p", "settings": {"threshold": 7}}', "line 1: threshold"),
     ('{"event": "loading"}', "no run"), ('\n\n{"event": "proposed"}', "line 3")],
)  # fmt: skip
def test_a_file_that_holds_no_run_is_named(text: str, where: str) -> None:
    with pytest.raises(ConfigurationError, match=where):
        read_events(text, "it.jsonl")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.jsonl"):
        read_file(tmp_path / "gone.jsonl")


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", '<img src=x onerror="alert(1)">', "**<b onclick=x>**", "[x](javascript:alert(1))",
     "```html\n<script>\n```", "```<script>\nx", r"\(\href{javascript:alert(1)}{x}\)",
     r"$\text{<img src=x onerror=x>}$", r"\[\style{color:red}{x}\]", r"$\class{x}{y}$",
     "$</math><script>alert(1)</script>$", "\\boxed{<script>}"],
)  # fmt: skip
def test_text_of_a_model_is_never_html(text: str) -> None:
    """Nothing but bold, code and mathematics comes out, and no attribute that does something."""
    elements = Elements(as_html(text))
    assert all(name in SAFE or name.startswith("m") for name in elements.names), elements.names
    assert not {"script", "img", "a", "style", "iframe", "object"} & elements.names
    assert not [name for name, _ in elements.attributes if name.startswith("on") or name in {"href", "style", "src"}]


@given(st.text(alphabet=st.sampled_from(list("<>&\"'$\\()[]{}`*\n abx^_")), max_size=60))
def test_any_text_is_shown_and_only_text(text: str) -> None:
    elements = Elements(as_html(text))
    assert all(name in SAFE or name.startswith("m") for name in elements.names), elements.names
    if not {"$", "\\", "`", "*"} & set(text):
        assert elements.said == text


def test_mathematics_and_code_are_shown_as_such() -> None:
    assert "<mfrac>" in as_html(r"it is \[\frac{1}{2}\]")
    assert "<msup>" in as_html("and $x^2$ too")
    assert 'notation="box"' in as_html(r"so \boxed{72}.")
    assert as_html("costs $5 and $6") == "costs $5 and $6"
    assert as_html("```python\nprint('<b>')\n```") == (
        '<pre class="code"><code data-language="python">print(&#x27;&lt;b&gt;&#x27;)</code></pre>'
    )


def test_no_text_makes_the_page_slow() -> None:
    """Beyond so many formulas, and so long ones, text stays text."""
    assert as_html("$x$ " * 5000).count("<math") == 200
    assert "<math" not in as_html("$" + "x" * 5000 + "$")


def test_cards_show_rewards_beside_the_threshold() -> None:
    html = card_html(told(EVENTS).cards[0], 0.6)
    assert "given up" not in html
    assert html.count('aria-valuenow="0.200"') == 1
    assert "left:60.0%" in html
    assert "not scored" in reward_bar(None, 0.6)
    assert 'class="bar kept"' in reward_bar(0.6, 0.6)
    assert "given up before it was whole" in card_html(
        Card(0, "target", "4", 0.1, rejected=Draft("5", 0.1, False, True)), 0.6
    )


def test_a_budget_moves_the_threshold_from_card_to_card() -> None:
    """Down after the target's first step, as it did in the run; without a budget, it stays."""
    problem = {"event": "problem", "problem": "2+2?", "settings": {"threshold": 0.6, "budget": 0.5}}
    story = told([problem, *EVENTS[1:]])
    assert [story.threshold_at(index) for index in range(3)] == pytest.approx([0.6, 0.5, 0.6])
    assert told(EVENTS).threshold_at(1) == 0.6
    assert told([problem, *[EVENTS[4]] * 40]).threshold_at(40) == 0


def test_the_step_that_is_being_written_is_shown() -> None:
    story = told(EVENTS[:3])
    assert "the target writes" in growing_html(story, "target", "fo")
    assert "not finished" in growing_html(story, None, "")
    assert growing_html(told(EVENTS), None, "") == ""
    assert growing_html(Story(), None, "") == ""


def test_the_drawing_lights_up() -> None:
    edges = [("__start__", "draft"), ("draft", "score"), ("score", "check"), ("strange", "check")]
    assert 'class="node score active"' in drawing(edges, "score")
    assert "review" not in drawing(edges, None)
    assert ("score", "review") in edges_of(edges, {"review": "all"})
    assert ("score", "review") in edges_of(edges, {"interrupt_below": 0.0})
    assert ("check", "tool") in edges_of(edges, {"tools": "python"})
    assert edges_of(edges, {}) == edges


def test_only_those_who_know_the_key_get_in() -> None:
    inner = Starlette(routes=[Route("/run/{id}", lambda _: PlainTextResponse("inside"))])
    client = TestClient(KeyGate(inner, "s3cret"), follow_redirects=False)
    assert client.get("/run/1").status_code == 401
    assert client.get("/run/1?key=wrong").status_code == 401
    assert "inside" not in client.get("/run/1?key=").text
    client.cookies.set("rsd_key", "s3cret")
    assert client.get("/run/1").status_code == 401
    client.cookies.clear()
    let_in = client.get("/run/1?key=s3cret")
    assert (let_in.status_code, let_in.headers["location"]) == (303, "/run/1")
    assert client.get("/run/1").text == "inside"


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8600", 200), ("localhost", 200), ("[::1]:8600", 200), ("evil.example", 421), ("", 421),
     ("127.0.0.1.evil.example:8600", 421)],
)  # fmt: skip
def test_without_a_key_the_page_answers_to_this_machine_alone(host: str, status: int) -> None:
    """A web site cannot reach it under a name of its own."""
    inner = Starlette(routes=[Route("/", lambda _: PlainTextResponse("inside"))])
    client = TestClient(LoopbackOnly(inner))
    assert client.get("/", headers={"host": host}).status_code == status


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    file = tmp_path / "runs.sqlite"
    file.write_text("this is no database, but long enough to be read as one " * 20)

    async def go(database: Path) -> None:
        async with opened(tuple(models), RSDSettings(), database):
            pass

    models: list[Any] = [None, None, None]
    for database in (file, tmp_path):
        with pytest.raises(ConfigurationError, match="the runs in"):
            asyncio.run(go(database))


def test_a_database_is_ready_before_the_first_run(tmp_path: Path) -> None:
    """Its journal cannot be changed while the page writes, as it does when a run begins."""

    async def go() -> None:
        models: Any = (ScriptedModel([]), ScriptedModel([]), ScriptedReward([]))
        async with opened(models, RSDSettings(), tmp_path / "runs.sqlite"):
            with closing(sqlite3.connect(tmp_path / "runs.sqlite")) as reader:
                assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
                assert reader.execute("SELECT count(*) FROM checkpoints").fetchone() == (0,)

    asyncio.run(go())
