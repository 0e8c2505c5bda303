"""The command as users run it, against servers that speak llama.cpp's protocol (real weights: test_end_to_end)."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rsd_graph.cli import app
from tests.conftest import Events, FakeServer

SURE, UNSURE = -0.001, -30.0


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(text: str, stop_type: str = "word", logprob: float = SURE) -> dict[str, Any]:
    """One answer of llama.cpp's `/completion`."""
    return {
        "content": text,
        "stop_type": stop_type,
        "tokens_evaluated": 10,
        "tokens_predicted": 4,
        "timings": {"cache_n": 3},
        "completion_probabilities": [{"logprob": logprob}],
    }


def llamacpp(server: FakeServer, *answers: Any) -> str:
    server.answer("/props", {"default_generation_settings": {}})
    server.answer("/apply-template", {"prompt": "p"})
    server.answer("/completion", *answers)
    return server.url


def rsd(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["solve", *arguments], input=stdin)


@pytest.fixture
def target() -> Iterator[FakeServer]:
    fake = FakeServer()
    yield fake
    fake.close()


def test_a_solution_is_shown_step_by_step(server: FakeServer, target: FakeServer) -> None:
    """Each step with its author and reward, the rejected draft too, then the answer and the bill."""
    draft = llamacpp(server, said("2+2 is 5", logprob=UNSURE), said(r"so \boxed{4}", "eos"))
    run = rsd("2+2?", "--draft", draft, "--target", llamacpp(target, said("2+2 is 4")))
    assert run.exit_code == 0
    shown = run.stdout
    order = ["1  draft", "rejected", "2+2 is 5", "1  target", "2+2 is 4", "2  draft", r"so \boxed{4}", "answer  4"]
    assert [shown.index(part) for part in order] == sorted(shown.index(part) for part in order)
    assert "8 draft tokens · 4 target tokens · 4 discarded" in shown
    assert "1 of 2 steps by the draft" in shown


def test_a_terminal_shows_the_targets_words_as_they_come(server: FakeServer, target: FakeServer) -> None:
    """The server ends its step only after its first words are on the screen."""
    reached = threading.Event()
    draft = llamacpp(server, said("2+2 is 5", logprob=UNSURE), said(r"so \boxed{4}", "eos"))
    pieces = [{"content": "the sum"}, {"content": " of two"}, said(" and two is 4")]
    url = llamacpp(target, Events(pieces, reached=reached))
    screen, terminal = pty.openpty()
    command = [sys.executable, "-m", "rsd_graph.cli", "solve", "2+2?", "--draft", draft, "--target", url]
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal) as run:
        os.close(terminal)
        shown = b""
        with suppress(OSError):  # how Linux tells that the program has closed its end
            while part := os.read(screen, 4096):
                shown += part
                if b"the sum of two" in shown:
                    reached.set()
    os.close(screen)
    assert run.returncode == 0, shown.decode()
    assert b"the sum of two and two is 4" in shown


def test_a_file_gets_long_lines_whole(server: FakeServer) -> None:
    """Nothing is cut or wrapped where there is no terminal."""
    long = "word " * 100 + "end"
    url = llamacpp(server, said(long, "eos"))
    assert f"     {long}\n\n" in rsd("2+2?", "--draft", url, "--target", url).stdout


def test_json_gives_events_and_a_result(server: FakeServer) -> None:
    """One object a line; the last one is the result, with usage and FLOPs."""
    draft = llamacpp(server, said("one"), said(r"\boxed{4}", "eos"))
    Path("rsd.toml").write_text(
        "\n".join(f'[{role}]\nurl = "{draft}"\nparameters = 1e9' for role in ("draft", "target"))
    )
    run = rsd("-", "--json", stdin="2+2?\n")
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["proposed", "scored", "kept"] * 2 + ["finished", "result"]
    assert (lines[-1]["answer"], lines[-1]["stop"]) == ("4", "eos")
    assert lines[-1]["flops"]["draft"] == 2 * 1e9 * 22
    assert server.bodies("/apply-template")[0]["messages"][-1]["content"] == "2+2?\n"


MISTAKES = [
    (["--threshold", "1.5"], "settings.threshold"),
    (["--threshold", "high"], "settings.threshold"),
    (["--weighting", "foo"], "settings.weighting"),
    (["--max-steps", "0"], "settings.max_steps"),
    (["--seed", "-1"], "settings.seed"),
    (["--reward", "foo"], "reward.kind"),
    (["--reward", "trained:"], "reward.kind"),
    (["--reward", "gone.safetensors"], "gone.safetensors: No such file"),
    (["--preset", "foo"], "preset: there is none called 'foo'; there are qwen2.5-math-7b"),
    (["--draft", "http://127.0.0.1:1"], "no answer from http://127.0.0.1:1"),
    (["--draft", "ftp://127.0.0.1"], "draft.url"),
    (["--draft", "gone.gguf", "--target", "gone.gguf"], "gone.gguf: No such file"),
    (["--config", "gone.toml"], "cannot read gone.toml"),
    (["--config", "broken.toml"], "broken.toml is not TOML"),
    (["--config", "unknown.toml"], "draft.modle"),
]


@pytest.fixture
def broken_files() -> None:
    """Settings files that cannot be used."""
    Path("broken.toml").write_text("[draft\n")
    Path("unknown.toml").write_text('[draft]\nmodle = "typo"\n')


@pytest.mark.usefixtures("broken_files")
@pytest.mark.parametrize(("options", "message"), MISTAKES)
def test_a_mistake_is_one_line(options: list[str], message: str) -> None:
    """On standard error, with exit code 1, and without a traceback."""
    run = rsd("2+2?", *options)
    assert (run.exit_code, run.stdout) == (1, "")
    assert run.stderr.startswith("rsd: ")
    assert message in run.stderr
    assert run.stderr.count("\n") == 1


@pytest.mark.usefixtures("broken_files")
@pytest.mark.parametrize(("options", "message"), MISTAKES)
def test_a_mistake_is_one_json_object(options: list[str], message: str) -> None:
    """For programs, on standard output, with the error's name and the same exit code."""
    run = rsd("2+2?", "--json", *options)
    assert (run.exit_code, run.stderr) == (1, "")
    line = json.loads(run.stdout)
    assert line.keys() == {"event", "error", "message", "steps"}
    assert (line["event"], line["steps"]) == ("error", [])
    assert line["error"].endswith("Error")
    assert message in line["message"]


def test_options_override_the_settings_file(server: FakeServer, target: FakeServer) -> None:
    """Models, reward and settings; what is not given stays as the file has it."""
    Path("rsd.toml").write_text(
        '[draft]\nurl = "http://127.0.0.1:1"\n[target]\nurl = "http://127.0.0.1:1"\n'
        "[settings]\nmax_steps = 1\ntemperature = 0.5\nseed = 3\n"
    )
    draft = llamacpp(server, said("one"))
    options = ["--draft", draft, "--target", llamacpp(target, said("two")), "--reward", "confidence"]
    assert rsd("2+2?", *options).exit_code == 3
    assert rsd("2+2?", *options, "--temperature", "0.25").exit_code == 3
    assert [body["temperature"] for body in server.bodies("/completion")] == [0.5, 0.25]
    assert target.bodies("/completion") == []


def test_an_empty_problem_is_refused(server: FakeServer) -> None:
    """Also one that comes from standard input."""
    url = llamacpp(server, said("x"))
    for run in (rsd("", "--draft", url, "--target", url), rsd("-", "--draft", url, "--target", url, stdin=" \n")):
        assert run.exit_code == 1
        assert "must be non-empty text" in run.stderr


def test_standard_input_that_is_no_text_is_refused() -> None:
    """In one line, whatever the locale."""
    run = CliRunner().invoke(app, ["solve", "-"], input=b"\xff\xfe")
    assert run.exit_code == 1
    assert run.stderr.startswith("rsd: standard input is not UTF-8")


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        ((500, {"error": {"message": "out of memory"}}), 1, "500: "),
        (b"", 1, "no answer from"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Type: application/json\r\n\r\n{"a', 1, "cannot be read"),
        ((400, {"error": {"message": "exceeds the available context size"}}), 3, "longer than the model's context"),
        (said("\n", "word"), 3, "neither model wrote anything"),
    ],
)
def test_a_server_that_fails_midway_loses_nothing(server: FakeServer, answer: Any, code: int, message: str) -> None:
    """The step before the failure has been shown, and the failure is one line."""
    url = llamacpp(server, said("first step"), answer)
    run = rsd("2+2?", "--draft", url, "--target", url)
    assert run.exit_code == code
    assert "first step" in run.stdout
    assert message in run.stderr + run.stdout
    failed = rsd("2+2?", "--json", "--draft", llamacpp(server, said("first step"), answer), "--target", url)
    last = json.loads(failed.stdout.splitlines()[-1])
    assert [step["text"] for step in last["steps"]] == ["first step"]


def test_a_pipe_gets_no_colours(server: FakeServer) -> None:
    """Neither steps nor answer hold an escape sequence where there is no terminal."""
    url = llamacpp(server, said("2+2 is 5", logprob=UNSURE), said(r"so \boxed{4}", "eos"))
    run = rsd("2+2?", "--draft", url, "--target", url)
    assert run.exit_code == 0
    assert "\x1b" not in run.output


def test_a_model_that_never_stops_is_stopped(server: FakeServer) -> None:
    """By the step limit, which is named, with an exit code of its own."""
    url = llamacpp(server, said("and so on"))
    run = rsd("2+2?", "--draft", url, "--target", url, "--max-steps", "5")
    assert run.exit_code == 3
    assert "--max-steps" in run.stdout
    run = rsd("2+2?", "--json", "--draft", url, "--target", url, "--max-tokens", "8")
    assert run.exit_code == 3
    assert json.loads(run.stdout.splitlines()[-1])["stop"] == "max_tokens"


def test_ctrl_c_keeps_what_was_shown(server: FakeServer) -> None:
    """The steps so far are on the terminal, one line says so, and the exit code is 130."""
    reached = threading.Event()

    def hang(_: object) -> dict[str, Any]:
        reached.set()
        threading.Event().wait(30)
        return said("late")

    url = llamacpp(server, said("first step"), hang)
    command = [sys.executable, "-m", "rsd_graph.cli", "solve", "2+2?", "--draft", url, "--target", url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert reached.wait(60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert "first step" in out
    assert err == "rsd: interrupted after 1 step\n"
    assert process.returncode == 130


def reviewed(server: FakeServer, target: FakeServer) -> list[str]:
    """Options of a run whose first step the draft gets wrong."""
    draft = llamacpp(server, said("2+2 is 5", logprob=UNSURE), said(r"so \boxed{4}", "eos"))
    return ["2+2?", "--draft", draft, "--target", llamacpp(target, said("2+2 is 4"))]


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ("a\n", "target 2+2 is 4"),
        ("\n", "target 2+2 is 4"),
        ("d\n", "draft 2+2 is 5"),
        ("x\ne\nis 2+2\n", "target is 2+2"),
    ],
)
def test_a_review_asks_what_becomes_of_a_step(server: FakeServer, target: FakeServer, answer: str, kept: str) -> None:
    """The target's step is shown and asked about; a letter that is none is asked for again."""
    run = rsd(*reviewed(server, target), "--review", "rejected", stdin=answer)
    assert run.exit_code == 0, run.stderr
    shown = " ".join(run.stdout.split())
    assert "step 1: the draft's was rejected; the target wrote this" in shown
    assert "[a]ccept · take the [d]raft's · [e]dit · [r]edraw · [s]top" in shown
    author, text = kept.split(" ", 1)
    assert f"1 {author}" in shown.split("[s]top")[-1]
    assert text in shown.split("[s]top")[-1]


def test_a_review_that_stops_the_run_keeps_what_there_is(server: FakeServer, target: FakeServer) -> None:
    run = rsd(*reviewed(server, target), "--review", "rejected", stdin="s\n")
    assert run.exit_code == 3
    assert "stopped in the review" in run.stdout


def test_a_review_that_nobody_answers_is_an_error(server: FakeServer, target: FakeServer) -> None:
    """Also for a program; and where the problem takes standard input."""
    options = reviewed(server, target)
    assert "standard input ended before step 1 was reviewed" in rsd(*options, "--review", "rejected").stderr
    run = rsd(*options, "--review", "all", "--json")
    assert run.exit_code == 1
    assert "standard input ended before step 1" in json.loads(run.stdout.splitlines()[-1])["message"]
    assert "pass the problem in quotes" in rsd("-", "--review", "all", stdin="2+2?").stderr


def test_a_program_answers_a_review_in_json(server: FakeServer, target: FakeServer) -> None:
    run = rsd(
        *reviewed(server, target), "--review", "rejected", "--json", stdin='oh\n{"action": "edit", "text": "four"}\n'
    )
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    first, again = [line for line in lines if line["event"] == "review"]
    assert "error" not in first
    assert "'oh'" in again["error"]
    step = lines[-1]["steps"][0]
    assert (step["text"], step["edited"]) == ("four", True)
