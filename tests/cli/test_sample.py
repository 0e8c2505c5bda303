import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rsd_graph.cli import app
from rsd_graph.config import load_config
from rsd_graph.data.solutions import read_solutions


def rsd(*words: object) -> Result:
    return CliRunner().invoke(app, [*map(str, words)])


@pytest.fixture
def problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """More than enough to fit a curve to, half of them answered by 1, half by 2."""
    monkeypatch.chdir(tmp_path)
    file = Path("problems.jsonl")
    rows = [{"question": f"What is {n}?", "answer": str(1 + n % 2)} for n in range(60)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_a_curve_is_fitted_to_what_the_draft_has_solved(problems: Path, digit_weights: Path) -> None:
    """Problems are solved once, whatever the limit was before; the printed lines are for rsd.toml as they stand."""
    command = ["sample", problems, "--draft", digit_weights, "--max-tokens", 1]
    assert rsd(*command, "--limit", 6).exit_code == 0
    first = Path("solutions.jsonl").read_text()
    done = rsd(*command)
    right = sum(each.correct for each in read_solutions(Path("solutions.jsonl")))
    assert done.stdout == f"solutions.jsonl: 60 solutions, {right} right\n"
    assert Path("solutions.jsonl").read_text().startswith(first)

    fitted = rsd("fit-confidence", "solutions.jsonl")
    assert fitted.exit_code == 0, fitted.output
    assert f"60 solutions, {right} right; area under the ROC curve on held-out problems: 0." in fitted.stdout
    lines = fitted.stdout[fitted.stdout.index("[draft]") :]
    Path("rsd.toml").write_text(lines)
    curve = load_config(None).draft.confidence
    assert curve is not None
    assert curve.model_dump() == tomllib.loads(lines)["draft"]["confidence"]


def test_solutions_of_different_settings_are_not_mixed(problems: Path, small_weights: Path) -> None:
    """A curve of the confidence changes none of them."""
    out = Path("new/folder/solutions.jsonl")
    command = ["sample", problems, "--limit", 2, "--out", out, "--draft", small_weights, "--max-tokens"]
    assert rsd(*command, 1).exit_code == 0
    before = out.read_text()
    other = rsd(*command, 2)
    assert (other.exit_code, other.stdout) == (1, "")
    assert "solutions.jsonl holds solutions of another draft, or with other settings" in other.stderr
    assert out.read_text() == before
    Path("rsd.toml").write_text(f'[draft]\npath = "{small_weights}"\nconfidence = {{ intercept = 1, slope = 1 }}\n')
    assert rsd("sample", problems, "--limit", 2, "--out", out, "--max-tokens", 1).exit_code == 0
    assert out.read_text() == before


def test_choices_are_shown_and_graded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_weights: Path) -> None:
    """As `rsd bench` does: the draft sees them, and the letter of the right one is the reference."""
    monkeypatch.chdir(tmp_path)
    row = {"question": "2+2?", "choices": ["3", "4"], "answer": 1, "subject": "high_school_mathematics"}
    Path("choices.jsonl").write_text(json.dumps(row) + "\n")
    done = rsd("sample", "choices.jsonl", "--draft", small_weights, "--max-tokens", 1)
    assert done.exit_code == 0, done.output
    (solution,) = read_solutions(Path("solutions.jsonl"))
    assert "Answer with the letter" in solution.problem
    assert solution.reference in "AB"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sample", "gone.jsonl"], "gone.jsonl"),
        (["sample", "gsm9k"], "did you mean gsm8k"),
        (["sample", "gsm9k", "--data", "problems.jsonl"], "there is no data set 'gsm9k'"),
        (["sample", "problems.jsonl", "--temperature", "-1"], "temperature"),
        (["fit-confidence", "gone.jsonl"], "cannot read gone.jsonl"),
        (["fit-confidence", "problems.jsonl"], "is not a recorded solution"),
    ],
)
@pytest.mark.usefixtures("problems")
def test_a_mistake_is_one_line(words: list[str], message: str) -> None:
    """Before any model is loaded."""
    run = rsd(*words)
    assert (run.exit_code, run.stdout) == (1, "")
    assert message in run.stderr
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("count", "logprobs", "message"), [(30, [-1.0], "got 15 right and 15 wrong"), (60, None, "gives none")]
)
def test_solutions_that_no_curve_can_be_fitted_to_are_refused(
    tmp_path: Path, count: int, logprobs: list[float] | None, message: str
) -> None:
    """Too few of them, or without log-probabilities."""
    file = tmp_path / "solutions.jsonl"
    step = {"text": "s", "finish": "eos", "logprobs": logprobs}
    solutions = [{"problem": str(n), "correct": n % 2 == 1, "steps": [step]} for n in range(count)]
    file.write_text("".join(json.dumps(each) + "\n" for each in solutions))
    run = rsd("fit-confidence", file)
    assert (run.exit_code, run.stdout) == (1, "")
    assert message in run.stderr
