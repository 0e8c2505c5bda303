"""What models, servers, files and arguments say, as a terminal gets it."""

import io
import json
import logging
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from rsd_graph.cli import app
from rsd_graph.cli.errors import print_error
from rsd_graph.cli.evaluate_reward_view import print_tables
from rsd_graph.cli.progress import Stages
from rsd_graph.cli.serve_view import ServeView
from rsd_graph.cli.solve_view import JSONView, Result, TerminalView
from rsd_graph.cli.terminal_text import harmless, plain, say
from rsd_graph.errors import ModelError
from rsd_graph.evaluation.metrics import Bin
from rsd_graph.serving.plan import ServerPlan
from rsd_graph.state import RSDOutput, Step, TokenUsage, Usage
from tests.conftest import FakeServer

HOSTILE = (
    "\x1b[2J\x1b[H",  # clears the screen
    "\x1b]0;title\x07",  # renames the window
    "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;ZWNobw==\x07",  # writes to the clipboard
    "\x9b2J\x9d0;title\x9c",  # the same in C1
    "right\rwrong",
    "wrong\x08\x08\x08\x08\x08right",
    "\x7f\x00\x05\x0b\x0c\x0e\x85",
    "abc\u202edef\u202c\u2066x\u2069\u200e\u200f\u061c",
    "\u200b\u2060\ufeff\xad\u2028\u2029",
    "a\u200db" + "".join(chr(0xE0000 + ord(letter)) for letter in "hidden"),
    "\ud83d alone",
)
FRIENDLY = (
    "plain [red]text[/red] [link=http://evil]x[/link] \\boxed{4}\n\n\tsecond",
    "שלום עולם, العربية 123, فارسی می\u200cخواهم",  # noqa: RUF001  # Arabic
    "日本語 ﷽ é e\u0301 ½ ∑ → █",
    "👩🏽\u200d🚀 👨\u200d👩\u200d👧 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3 🇩🇪",
)


def obeyed(shown: str) -> list[str]:
    """The characters that a terminal obeys or hides."""
    return [
        each
        for each in shown
        if (unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp"} and each not in "\n\t")
        or (unicodedata.category(each) == "Cf" and each not in "\u200c\u200d" and each not in ARABIC)
    ]


ARABIC = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd" + "".join(
    map(chr, range(0x13430, 0x13440))
)
"""Format characters that have a shape of their own: signs around digits and words."""

TEXTS = st.one_of(st.text(st.characters()), st.lists(st.sampled_from(HOSTILE + FRIENDLY)).map("".join))
QUICK = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@contextmanager
def captured() -> Iterator[list[str]]:
    """What is printed on both streams, without a terminal."""
    out, err, shown = io.StringIO(), io.StringIO(), [""]
    with redirect_stdout(out), redirect_stderr(err):
        yield shown
    shown[0] = out.getvalue() + err.getvalue()


@given(TEXTS)
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    """Save line feeds and tabs; and what is harmless already stays so."""
    shown = harmless(text)
    assert obeyed(shown) == []
    assert harmless(shown) == shown
    shown.encode()  # any terminal's encoding can at least be tried


@pytest.mark.parametrize("text", FRIENDLY)
def test_letters_of_every_script_stay(text: str) -> None:
    """And emoji, with what joins them; and text that looks like markup."""
    assert harmless(text) == text
    assert plain(text).plain == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b2J", "\\x9b2J"),
        ("\x07\x08\x7f\x00", "\\x07\\x08\\x7f\\x00"),
        ("a\rb\r\nc", "a\\rb\nc"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\U000e0041", "\\U000e0041"),
        ("a\u200db", "a\\u200db"),
        ("☺\ufe0f\ufe0f", "☺\ufe0f\\ufe0f"),
        ("\udce9", "\\udce9"),
    ],
)
def test_what_is_made_harmless_can_still_be_seen(text: str, shown: str) -> None:
    """As an escape; an end of line of Windows is an end of line."""
    assert harmless(text) == shown


def output(text: str) -> RSDOutput:
    return {
        "response": text,
        "answer": text,
        "steps": [Step(text, "draft", 0.5, tokens=1)],
        "stop": "eos",
        "usage": Usage(draft=TokenUsage(1, 0, 1), target=TokenUsage(), discarded=0, question=1, response=1),
        "messages": [],
    }


@QUICK
@given(TEXTS)
def test_no_view_passes_control_characters_on(text: str) -> None:
    """Steps, answers, errors, progress, servers and their logs, tables: on both streams."""
    server = ServerPlan("draft", text, text, ("vllm", "serve", text))
    with captured() as shown:
        view = TerminalView()
        view.event({"event": "proposed", "step": 0, "text": text, "finish": "eos", "tokens": 1})
        view.event({"event": "scored", "step": 0, "reward": 0.1, "accepted": False})
        view.event({"event": "kept", "step": 0, "text": text, "author": "target", "reward": 0.1})
        view.result(Result(output(text), 1.0, None))
        view.error(ModelError(text))
        print_error(text)
        say(text)
        Stages(Console(stderr=True)).stage(text, 1, 2)
        servers = ServeView([server], text)
        servers.state(server, "starting", text)
        servers.log(server, text)
        servers.ready()
        Console().print(servers._table())
        print_tables(cast("Any", Measured()), text)
    assert obeyed(shown[0]) == []


class Measured:
    """Stands in for an evaluation."""

    correct = (True, False)
    milliseconds = 1.0

    def areas(self) -> dict[str, float]:
        return {"last step": 0.5}

    def reliability(self) -> list[Bin]:
        return [Bin(0.0, 0.5, 1, 0.2, 0.0)]

    def tokens(self, *_: int) -> float:
        return 1.0


@QUICK
@given(TEXTS)
def test_a_terminal_gets_only_richs_own_sequences(text: str) -> None:
    """Colours, and nothing that the text could have brought."""
    out = io.StringIO()
    with captured():
        view = TerminalView()
    view._out = Console(file=out, force_terminal=True, color_system="standard", width=60, highlight=False)
    view._waiting = None
    view.event({"event": "kept", "step": 0, "text": text, "author": "target", "reward": 0.1})
    view.result(Result(output(text), 1.0, None))
    assert obeyed(re.sub(r"\x1b\[[\d;]*m", "", out.getvalue())) == []


@given(TEXTS)
def test_json_keeps_the_exact_text(text: str) -> None:
    """In its own escapes: a program reads what the model wrote."""
    with captured() as shown:
        view = JSONView()
        view.event({"event": "kept", "step": 0, "text": text, "author": "draft", "reward": 0.1})
        view.error(ModelError(text))
    assert obeyed(shown[0]) == []
    kept, error = map(json.loads, shown[0].splitlines())
    assert (kept["text"], error["message"]) == (text, text)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "arguments",
    [
        ["solve", "x", "--no-such-{}"],
        ["solve", "x", "{}"],
        ["solve", "x", "--threshold", "{}"],
        ["solve", "x", "--reward", "{}"],
        ["solve", "x", "--draft", "http://{}"],
        ["solve", "x", "--config", "{}"],
        ["serve", "--preset", "{}"],
        ["serve", "--gpus", "{}"],
        ["evaluate-reward", "--solutions", "{}"],
        ["export-reward", "{}", "folder"],
        ["train-reward", "{}"],
        ["train-reward", "--labels", "{}"],
        ["{}"],
    ],
)
def test_an_error_repeats_an_argument_harmlessly(arguments: list[str], text: str) -> None:
    """Whoever reports it: a usage error is Typer's."""
    result = CliRunner().invoke(app, [each.format(text) for each in arguments])
    assert result.exit_code in (1, 2)
    assert not result.exception or isinstance(result.exception, SystemExit)
    assert obeyed(result.output) == []


def test_a_traceback_and_a_log_are_harmless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bug ends with its whole traceback, whatever the error says; libraries log to standard error."""

    def fail(*_: object) -> None:
        logging.getLogger("some.library").error("from %s", "".join(HOSTILE))
        raise ZeroDivisionError("".join(HOSTILE))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rsd_graph.cli.solve.load_config", fail)
    monkeypatch.setattr(logging.getLogger("some.library"), "propagate", False)
    result = CliRunner().invoke(app, ["solve", "x"])
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "ZeroDivisionError: \\x1b[2J" in result.stderr
    assert "from \\x1b[2J" in result.stderr
    assert obeyed(result.output) == []


def test_servers_say_nothing_that_a_terminal_obeys(server: FakeServer, tmp_path: Path, monkeypatch: Any) -> None:
    """A whole run: steps, the answer, and the error of a server that refuses."""
    monkeypatch.chdir(tmp_path)
    text = "".join(HOSTILE[:-1]) + "\\boxed{4\x1b[2J}"
    server.answer("/props", {"default_generation_settings": {}})
    server.answer("/apply-template", {"prompt": "x"})
    completion = {"content": text, "stop_type": "eos", "tokens_evaluated": 1, "tokens_predicted": 1}
    server.answer(
        "/completion",
        completion | {"timings": {"cache_n": 0}, "completion_probabilities": [{"logprob": -0.1}]},
        (400, {"error": {"message": text}}),
    )
    arguments = ["solve", "x", "--draft", server.url, "--target", server.url, "--reward", "confidence"]
    kept, refused = (CliRunner().invoke(app, arguments) for _ in range(2))
    assert (kept.exit_code, refused.exit_code) == (0, 1)
    assert "answer  4\\x1b[2J" in kept.stdout
    assert "rsd: " in refused.stderr
    assert "\\x1b[2J" in refused.stderr
    assert obeyed(kept.output) == obeyed(refused.output) == []
