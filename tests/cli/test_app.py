import os
import re
import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner, Result

from rsd_graph.cli import app, reflowed

OPTIONS = {
    "solve": {
        "problem", "--draft", "--target", "--reward", "--preset", "--threshold", "--budget", "--weighting",
        "--max-steps", "--max-tokens", "--temperature", "--seed", "--tools", "--review", "--interrupt-below",
        "--config", "--json",
    },
    "serve": {"--preset", "--config", "--dry-run", "--gpus", "--gpu-memory"},
    "ui": {
        "file", "--host", "--port", "--database", "--api-key-env", "--draft", "--target", "--reward", "--preset",
        "--threshold", "--tools", "--config",
    },
    "gateway": {
        "--api-key-env", "--config", "--draft", "--host", "--max-runs", "--max-steps", "--max-tokens",
        "--name", "--port", "--preset", "--reward", "--seed", "--target", "--temperature", "--threshold",
        "--timeout", "--budget", "--weighting", "--workers",
    },
    "bench": {
        "data", "--strategy", "--data", "--limit", "--epochs", "--in-flight", "--out", "--against", "--draft",
        "--target", "--reward", "--preset", "--config",
    },
    "check-data": {"data", "--data", "--seed", "--skip-broken"},
    "report": {"logs", "--against", "--out"},
    "calibrate": {"logs", "--share", "--thresholds"},
    "estimate": {
        "logs", "--hardware", "--draft", "--target", "--reward", "--batch", "--precision", "--price", "--no-cache",
        "--shared", "--config",
    },
    "sample": {
        "data", "--data", "--out", "--limit", "--draft", "--temperature", "--max-tokens", "--seed", "--config",
    },
    "fit-confidence": {"solutions"},
    "evaluate-reward": {"--solutions", "--reward", "--limit", "--picture", "--config", "--json"},
    "train-reward": {
        "problems", "--out", "--weights", "--solutions", "--limit", "--labels", "--continuations", "--family",
        "--layers", "--epochs", "--temperature", "--max-tokens", "--seed", "--work", "--config",
    },
    "export-reward": {"reward", "folder", "--weights"},
    "sandbox": {"action"},
}  # fmt: skip


def rsd(*arguments: str, columns: int = 80) -> Result:
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(app, arguments)


def test_commands_and_options_are_a_contract() -> None:
    """Scripts call them: nothing is renamed or lost, and a new one is written down here."""
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    assert {
        name: {parameter.opts[0] for parameter in command.params} for name, command in group.commands.items()
    } == OPTIONS


def test_help_is_for_newcomers() -> None:
    """It says what the thing does, what to type first, and which commands there are."""
    run = rsd("--help")
    assert run.exit_code == 0
    assert "Reward-Guided Speculative Decoding" in run.stdout
    assert 'rsd solve "' in run.stdout
    assert all(command in run.stdout for command in OPTIONS)


def test_without_a_command_the_help_is_shown() -> None:
    """As a usage error."""
    run = rsd()
    assert run.exit_code == 2
    assert "Commands" in run.output


@pytest.mark.parametrize("command", OPTIONS)
def test_every_option_is_explained(command: str) -> None:
    """`--help` has a sentence for each, and says what the exit codes mean."""
    run = rsd(command, "--help", columns=300)
    assert run.exit_code == 0
    assert "Exit code: 0 " in run.stdout
    explained = {
        line.strip("│* ").split()[0].removesuffix("..."): line
        for line in run.stdout.splitlines()
        if line.startswith("│")
    }
    for option in OPTIONS[command]:
        assert re.search(r">.*\w\W*\.", explained[option]), explained[option]


@pytest.mark.parametrize("command", OPTIONS)
@pytest.mark.parametrize("columns", [40, 80])
def test_help_fits_the_terminal(command: str, columns: int) -> None:
    """Also a narrow one."""
    assert max(map(len, rsd(command, "--help", columns=columns).stdout.splitlines())) <= columns


def test_help_loses_nothing_to_markup() -> None:
    """What stands in brackets or backticks is shown as it is written."""
    assert '"steps" (list of texts)' in rsd("evaluate-reward", "--help", columns=300).stdout
    assert "`rsd train-reward`" in rsd("solve", "--help", columns=300).stdout


def test_paragraphs_of_help_flow() -> None:
    """A line break of the source is a space; a blank line stays."""
    assert reflowed("One.\n\n    Two is\n    long.\n    ") == "One.\n\nTwo is long."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["foo"], "No such command 'foo'"),
        (["--foo"], "No such option: --foo"),
        (["solve"], "Missing argument 'problem'"),
        (["solve", "2+2?", "--foo"], "No such option: --foo"),
        (["solve", "2+2?", "--draft"], "--draft"),
        (["solve", "2", "+", "2?"], "unexpected extra argument"),
        (["serve", "--gpus", "many"], "--gpus"),
        (["serve", "--gpus", "-1"], "--gpus"),
        (["evaluate-reward"], "Missing option '--solutions'"),
        (["evaluate-reward", "--solutions", "a.jsonl", "--limit", "0"], "--limit"),
        (["train-reward", "a.jsonl", "--labels", "foo"], "'monte-carlo'"),
        (["train-reward", "a.jsonl", "--temperature", "3"], "--temperature"),
        (["export-reward"], "Missing argument 'reward'"),
        (["export-reward", "a.safetensors"], "Missing argument 'folder'"),
    ],
)
def test_a_wrong_call_names_what_is_wrong(arguments: list[str], message: str) -> None:
    """On standard error, with exit code 2."""
    run = rsd(*arguments, columns=200)
    assert (run.exit_code, run.stdout) == (2, "")
    assert message in run.stderr


def test_the_version_is_that_of_the_package() -> None:
    """And nothing else is printed."""
    run = rsd("--version")
    assert (run.exit_code, run.stdout) == (0, f"{version('rsd-graph')}\n")


def test_the_module_is_the_command() -> None:
    """`python -m rsd_graph.cli`; what goes into a pipe has no colours, on either stream."""
    environment = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "PY_COLORS")}
    command = [sys.executable, "-m", "rsd_graph.cli", "solve", "2+2?", "--threshold", "2"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment | {"TERM": "xterm"})
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "rsd: settings.threshold: input should be less than or equal to 1, got '2'\n"
