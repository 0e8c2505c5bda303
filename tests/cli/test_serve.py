"""`rsd serve` as users run it; the servers are fakes (real ones: `make test-vllm`)."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rsd_graph.cli import app
from rsd_graph.cli.serve import _hint
from tests.conftest import free_port

FAKE = Path(__file__).parents[1] / "serving" / "fake_vllm.py"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def serve(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["serve", *arguments])


def test_serve_prints_what_it_would_run() -> None:
    """`--dry-run` plans for GPUs that are not here, and starts nothing."""
    result = serve("--preset", "qwen2.5-math-72b", "--gpus", "4", "--dry-run")
    assert result.exit_code == 0
    assert "# target: http://127.0.0.1:8001\n" in result.output
    assert "CUDA_VISIBLE_DEVICES=0,1,2,3 vllm serve Qwen/Qwen2.5-Math-72B-Instruct" in result.output
    assert result.output.count("vllm serve") == 3
    assert "\x1b" not in result.output
    assert list(Path().iterdir()) == []


def test_a_plan_follows_the_options(tmp_path: Path) -> None:
    """The memory of the GPUs, and a settings file over the preset."""
    assert serve("--preset", "qwen2.5-math-72b", "--gpus", "1", "--gpu-memory", "400", "--dry-run").exit_code == 0
    (tmp_path / "mine.toml").write_text('[target]\nurl = "http://elsewhere:8000"\n[draft]\nport = 9000\n')
    result = serve("--preset", "qwen2.5-math-7b", "--config", "mine.toml", "--gpus", "0", "--dry-run")
    assert [line for line in result.stdout.splitlines() if line.startswith("#")] == [
        "# draft: http://127.0.0.1:9000",
        "# reward: http://127.0.0.1:8002",
    ]


@pytest.mark.parametrize(
    ("preset", "config", "command"),
    [
        (None, None, 'rsd solve "your problem"'),
        ("qwen2.5-7b", None, 'rsd solve --preset qwen2.5-7b "your problem"'),
        (None, Path("my.toml"), 'rsd solve --config my.toml "your problem"'),
        ("qwen2.5-7b", Path("my.toml"), 'rsd solve --preset qwen2.5-7b --config my.toml "your problem"'),
    ],
)
def test_the_hint_repeats_the_options(preset: str | None, config: Path | None, command: str) -> None:
    """The command that it shows uses these servers."""
    assert _hint(preset, config) == f"ready: {command}   (Ctrl-C stops the servers)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to serve"),
        (["--preset", "nothing"], "there is none called 'nothing'"),
        (["--preset", "qwen2.5-math-72b", "--gpus", "1", "--dry-run"], "too small"),
        (["--preset", "qwen2.5-7b", "--gpu-memory", "40"], "say how many"),
        (["--config", "gone.toml"], "cannot read gone.toml"),
        (["--config", "open.toml", "--gpus", "0"], "RSD_API_KEY"),
        (["--preset", "qwen2.5-math-7b", "--gpus", "0"], "no `vllm` command"),
    ],
)
def test_serve_says_what_is_wrong(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything starts, and without a traceback."""
    (tmp_path / "open.toml").write_text('preset = "qwen2.5-math-7b"\n[serve]\nhost = "0.0.0.0"\n')
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.delenv("RSD_API_KEY", raising=False)
    result = serve(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert (result.stdout, result.stderr.count("\n")) == ("", 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_servers_run_until_asked_to_stop(number: signal.Signals, tmp_path: Path) -> None:
    """It says when they are ready and what to do next; asked to stop, it ends well."""
    vllm = tmp_path / "vllm"
    vllm.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
    vllm.chmod(0o755)
    model = "Skywork-o1-Open-PRM-1B"
    tables = [f'[{role}]\nmodel = "{model}"\nport = {free_port()}\n' for role in ("draft", "reward")]
    (tmp_path / "rsd.toml").write_text("".join(tables))
    # as a script's background job, for which the shell has SIGINT ignored
    command = ["/bin/sh", "-c", 'trap "" INT; exec "$0" "$@"', sys.executable, "-m", "rsd_graph.cli", "serve"]
    with subprocess.Popen(command, env={"PATH": str(tmp_path)}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines: list[str] = []
        while not lines or "ready: rsd solve" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        time.sleep(0.1)
        process.send_signal(number)
        rest = process.stdout.read()
    assert process.returncode == 0
    assert rest.count("stopped") == 2
    assert (tmp_path / ".rsd/logs/draft.log").exists()


@pytest.mark.parametrize("memory", ["inf", "nan", "1e300", "-1"])
def test_the_memory_of_a_gpu_is_a_real_one(memory: str) -> None:
    """Refused as an option, without a traceback."""
    result = serve("--preset", "qwen2.5-math-7b", "--gpus", "1", "--gpu-memory", memory, "--dry-run")
    assert (result.exit_code, "Traceback" in result.output) == (2, False)
