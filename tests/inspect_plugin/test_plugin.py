"""The plug-in as inspect_ai finds it: tasks, solvers, the scorer and the model, on scripted models."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.log import EvalError, EvalLog, read_eval_log, write_eval_log
from typer.testing import CliRunner, Result

from rsd_graph.cli import app
from rsd_graph.errors import ConfigurationError
from rsd_graph.inspect.bench import MADE_WITH, Bench, _plain, _require_same, _solved, run_bench
from rsd_graph.inspect.logs import read_runs
from rsd_graph.inspect.options import read_options
from rsd_graph.inspect.registry import SOLVERS, TASKS, RSDModel
from rsd_graph.models.llamacpp import DRAFT_TOKENS
from tests.inspect_plugin.benched import STRATEGIES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The logs of `evaluated.py`, which is a process of its own: inspect_ai leaves streams open."""
    made = tmp_path_factory.mktemp("logs")
    subprocess.run([sys.executable, "-m", "tests.inspect_plugin.evaluated", str(made)], check=True)
    return made


def log_of(folder: Path, name: str) -> EvalLog:
    (file,) = (folder / name).glob("*.eval")
    log = read_eval_log(str(file), resolve_attachments=True)
    assert log.status == "success", log.error
    return log


def values(log: EvalLog, scorer: str = "final_answer") -> list[Any]:
    return [sample.scores[scorer].value for sample in log.samples or () if sample.scores]


def test_it_is_found_by_its_entry_point() -> None:
    (found,) = entry_points(group="inspect_ai", name="rsd_graph")
    assert found.load().TASKS is TASKS


def test_rsd_solves_a_data_set(folder: Path) -> None:
    """Right and wrong answers, a span for each step with both texts, tokens by role, and the record of the run."""
    log = log_of(folder, "rsd")
    assert log.samples
    assert values(log) == ["C", "I"]
    sample = log.samples[0]
    record = sample.store["rsd"]
    assert [(step["author"], step["replaced"]) for step in record["steps"]] == [("target", True), ("draft", False)]
    assert record["settings"]["threshold"] == 0.8
    spans = [event.name for event in sample.events if event.event == "span_begin" and event.type == "rsd_step"]
    assert spans == ["step 1: target, reward 0.20", "step 2: draft, reward 0.90"]
    said = [str(event.data) for event in sample.events if event.event == "info"]
    assert "Rejected, by the draft:\n\n> 2+2 is 5\n\nKept instead:\n\n> 2+2 is 4" in said[0]
    assert set(sample.role_usage) >= {"draft", "target"}
    assert sample.role_usage["draft"].output_tokens == 10


@pytest.mark.parametrize(
    ("name", "right", "tokens", "discarded"),
    [
        ("draft", 1, 5, 0),
        ("target", 1, 5, 0),
        ("rsd", 1, 15, 5),
        ("majority", 1, 15, 10),
        ("best-of-n", 1, 20, 10),
        ("process-best-of-n", 1, 20, 10),
        ("beam", 1, 40, 30),
        ("spec-reason", 1, 25, 5),
        ("speculative", 1, 5, 0),
    ],
)
def test_every_strategy_is_a_solver(folder: Path, name: str, right: int, tokens: int, discarded: int) -> None:
    """With every token that it cost, those of candidates that were not chosen too."""
    log = log_of(folder, name)
    assert log.samples
    assert values(log).count("C") == right
    record = log.samples[0].store["rsd"]
    assert record["strategy"] == name
    usage = record["usage"]
    assert usage["draft"]["completion"] + usage["target"]["completion"] == tokens
    assert usage["discarded"] == discarded


def test_the_log_shows_the_threshold_that_decides(folder: Path) -> None:
    """Of SpecReason, as a reward: it is not that of the settings."""
    log = log_of(folder, "spec-reason")
    assert log.samples
    assert log.samples[0].store["rsd"]["settings"]["threshold"] == 5 / 9
    said = [str(event.data) for event in log.samples[0].events if event.event == "info"]
    assert "reward 0.444, threshold 0.556" in said[0]


def test_every_solver_is_tested() -> None:
    assert set(SOLVERS) == {
        "speculative",
        "draft",
        "target",
        "rsd",
        "majority",
        "best-of-n",
        "process-best-of-n",
        "beam",
        "spec-reason",
    }


def test_any_task_runs_on_a_pair(folder: Path) -> None:
    """As a model: the conversation is answered, with the tokens of all roles."""
    log = log_of(folder, "model")
    assert log.samples
    assert values(log, "includes") == ["C"]
    assert log.samples[0].output.completion == "2+2 is 4\n\nSo \\boxed{4}"
    usage = log.samples[0].output.usage
    assert usage
    assert (usage.input_tokens, usage.input_tokens_cache_read, usage.output_tokens) == (18, 12, 15)


def test_epochs_have_seeds_of_their_own(folder: Path) -> None:
    log_of(folder, "epochs")
    assert len(json.loads((folder / "seeds.json").read_text())) == 2


def test_a_log_of_the_first_epoch_alone_is_one_of_several(folder: Path, tmp_path: Path) -> None:
    """A run that was killed early is merged with the one that finished it: both name their samples alike."""
    log = log_of(folder, "epochs")
    log.samples = [sample for sample in log.samples or () if sample.epoch == 1]
    write_eval_log(log, str(tmp_path / "killed.eval"))
    (whole,), (killed,) = read_runs([folder / "epochs"]), read_runs([tmp_path])
    assert (list(killed.solved), list(whole.solved)) == (["1/1"], ["1/1", "1/2"])
    assert list(whole.problems) == list(killed.problems) == ["1"]


def test_speculation_is_asked_for_where_the_target_runs_here(tmp_path: Path) -> None:
    """Unless rsd.toml says how; a server is left as it is, and so is every other strategy's target."""
    asked = {"draft": "d.gguf", "target": "t.gguf"}
    assert read_options(asked, speculates=True).config.target.speculative == DRAFT_TOKENS
    assert read_options({}, speculates=True).config.target.speculative == DRAFT_TOKENS
    assert read_options(asked).config.target.speculative is None
    assert read_options({"target": "http://127.0.0.1:1"}, speculates=True).config.target.speculative is None
    (file := tmp_path / "rsd.toml").write_text("[target]\nspeculative = 3")
    assert read_options({"config": str(file)}, speculates=True).config.target.speculative == 3


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"treshold": 0.5}, "did you mean 'threshold'"),
        ({"threshold": 2}, "threshold"),
        ({"review": "all"}, "nobody is there to review"),
    ],
)
def test_a_wrong_option_is_named(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        read_options(given)
    with pytest.raises(ConfigurationError, match=told):
        RSDModel("embedded", **given)


@pytest.mark.parametrize(
    ("name", "own"), [("majority", {"n": 0}), ("best-of-n", {"model": "reward"}), ("spec-reason", {"threshold": 0.7})]
)
def test_what_cannot_be_sampled_is_named(name: str, own: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(own))):
        SOLVERS[name](**own)


def test_what_a_strategy_decides_by_itself_is_refused() -> None:
    """It would be ignored: SpecReason's threshold is a digit, and it knows no budget."""
    with pytest.raises(ConfigurationError, match="spec-reason decides budget, weighting by itself"):
        SOLVERS["spec-reason"](threshold=5, budget=0.3, weighting="step")


def rsd(*words: object) -> Result:
    return CliRunner().invoke(app, [*map(str, words)])


def test_logs_are_compared(folder: Path, tmp_path: Path) -> None:
    """`rsd report` pairs the runs of a data set problem by problem, and writes a page, tables and plots."""
    logs = [folder / name for name in ("draft", "target", "rsd")]
    run = rsd("report", *logs, "--against", "target", "--out", tmp_path / "made")
    assert run.exit_code == 0, run.output
    assert "| gsm8k | rsd threshold=0.8 | 2 | 0.5 |" in run.stdout
    assert "| gsm8k | draft threshold=0.8 | 2 | 1 | 1 | 0 | 1 |" in run.stdout  # each is right where the other is wrong
    assert "inspect eval rsd_graph/gsm8k -Tdata=" in run.stdout
    assert (tmp_path / "made" / "results.csv").read_text().count("\n") == 4
    page = (tmp_path / "made" / "report.html").read_text()
    assert "<svg" in page
    assert (tmp_path / "made" / "seconds-gsm8k.svg").exists()


def test_times_on_other_hardware_are_predicted(folder: Path) -> None:
    """For every run whose calls are known; sizes that no log says must be given."""
    run = rsd("estimate", folder / "rsd", folder / "target", "--hardware", "h100", "--hardware", "4xa100")
    assert run.exit_code == 1
    assert "pass --draft, --target, --reward" in run.stderr.replace("\n", " ")
    sizes = ("--draft", "7b", "--target", "72b", "--reward", "0", "--price", "3")
    run = rsd("estimate", folder / "rsd", folder / "target", "--hardware", "h100", "--hardware", "4xa100", *sizes)
    assert run.exit_code == 0, run.output
    lines = [line for line in run.stdout.splitlines() if line.startswith(("| h100", "| 4xa100"))]
    assert [line.split(" | ")[2] for line in lines] == ["target threshold=0.8", "rsd threshold=0.8"] * 2
    assert "dollars" in run.stdout


def changed_log(folder: Path, made: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The log of RSD with other records."""
    log = log_of(folder, "rsd")
    for sample in log.samples or ():
        change(sample.store["rsd"])
    write_eval_log(log, str(made))
    return made


def test_models_of_several_sizes_have_no_size(folder: Path, tmp_path: Path) -> None:
    """Those of the first run are not those of the others: the user says which are meant."""

    def sized(target: float) -> Callable[[dict[str, Any]], object]:
        sizes = {"draft": 1e9, "target": target, "reward": 0.0}
        return lambda record: record.update(parameters=sizes, models={**record["models"], "target": str(target)})

    logs = [changed_log(folder, tmp_path / f"{target}.eval", sized(target)) for target in (7e9, 72e9)]
    assert rsd("estimate", logs[0]).exit_code == 0
    run = rsd("estimate", *logs)
    assert "the logs are of models of several sizes: pass --target" in run.stderr.replace("\n", " ")
    assert rsd("estimate", *logs, "--target", "72b").exit_code == 0


def test_a_run_on_a_budget_says_so(folder: Path, tmp_path: Path) -> None:
    """Wherever the budget was set: its threshold alone would be taken for the one that decided."""
    budget = changed_log(folder, tmp_path / "x.eval", lambda record: record["settings"].update(budget=0.3))
    (run,) = read_runs([budget])
    assert (run.name, run.threshold) == ("rsd threshold=0.8 budget=0.3", None)


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ('ModelError("no answer: isn\'t it running?")', "no answer: isn't it running?"),
        ("OSError(28, 'No space left on device')", "No space left on device"),
        ("KeyError(<object>)", "KeyError(<object>)"),
        ("[bold]ERROR[/bold]: not distinct\n", "ERROR: not distinct"),
        ("stopped (early)", "stopped (early)"),
    ],
)
def test_what_inspect_says_is_told_plainly(said: str, plain: str) -> None:
    assert _plain(said) == plain


def test_a_threshold_is_chosen_from_recorded_rewards(folder: Path) -> None:
    """Half of the scripted steps have the reward 0.2, and half 0.9."""
    run = rsd("calibrate", folder / "rsd", "--share", "0.5", "--thresholds", "3")
    assert run.exit_code == 0, run.output
    assert [line.split(" | ")[0] for line in run.stdout.splitlines() if line.startswith("| 0")] == [
        "| 0", "| 0.5", "| 0.8"
    ]  # fmt: skip
    assert "threshold 0.900: the target writes 50% of the steps" in run.stdout
    assert rsd("calibrate", folder / "target").exit_code == 1


def test_logs_that_do_not_fit_are_named(folder: Path, tmp_path: Path) -> None:
    """In one line: a log that was cut, two evaluations of one strategy, other logs, an unknown baseline."""
    (whole,) = (folder / "rsd").glob("*.eval")
    cut = tmp_path / "cut.eval"
    cut.write_bytes(whole.read_bytes()[:2000])
    old = changed_log(folder, tmp_path / "old.eval", lambda record: record.pop("usage"))
    other = changed_log(folder, tmp_path / "other.eval", lambda record: record.update(strategy="guess"))
    nested = tmp_path / "bench"
    (nested / "logs").mkdir(parents=True)
    for words, message in (
        ([cut], "cannot read the log"),
        ([whole, folder / "again"], "are two evaluations of rsd threshold=0.8"),
        ([folder / "model"], "there is no finished sample of a strategy"),
        ([tmp_path / "none.eval"], "there is no "),
        ([whole, "--against", "targte"], "there is no run 'targte' to compare with; there are: rsd threshold=0.8"),
        ([old], "does not hold what this version of the package records (KeyError('usage'))"),
        ([other], "is of 'guess', no strategy of this package"),
        ([nested], f"holds no log; did you mean {nested / 'logs'}?"),
    ):
        run = rsd("report", *words, "--out", tmp_path / "made")
        assert run.exit_code == 1
        assert message in run.stderr.replace("\n", "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["gms8k"], "did you mean gsm8k?"),
        (["gsm8k", "-s", "rds"], "there is no strategy 'rds'; did you mean rsd?"),
        (["gsm8k", "-s", "rsd 0.8"], "'0.8' should be name=value"),
        (["gsm8k", "-s", "rsd treshold=0.8"], "did you mean 'threshold'"),
        (["gsm8k", "-s", "majority n=0"], "n must be a whole number from 1"),
        (["gsm8k", "-s", "rsd 'threshold=0.8"], "No closing quotation"),
        (["gsm8k", "-s", "rsd", "-s", "draft", "-s", "rsd threshold=.7"], "'rsd' and 'rsd threshold=.7' are the same"),
        (["gsm8k", "-s", "beam", "-s", "beam width=4"], "'beam' and 'beam width=4' are the same"),
    ],
)
def test_a_wrong_bench_is_named_before_anything_runs(words: list[str], told: str, tmp_path: Path) -> None:
    run = rsd("bench", *words, "--out", tmp_path / "bench")
    assert run.exit_code == 1
    assert told in run.stderr.replace("\n", " ")
    assert not (tmp_path / "bench").exists()


def test_a_bench_is_resumed_with_the_same_models_and_settings_alone(folder: Path, tmp_path: Path) -> None:
    """inspect_ai knows the command, but not `rsd.toml`: half a run of one model would be finished by another."""
    log = log_of(folder, "rsd")
    log.eval.metadata = {MADE_WITH: "other settings"}
    (tmp_path / "logs").mkdir()
    write_eval_log(log, str(tmp_path / "logs" / "rsd.eval"))
    run = rsd("bench", "gsm8k", "-s", "rsd", "--out", tmp_path)
    assert run.exit_code == 1
    assert "is of another data set, strategy, model or setting" in run.stderr.replace("\n", " ")
    for sample in log.samples or ():
        sample.error = EvalError(message="no answer", traceback="", traceback_ansi="")
    write_eval_log(log, str(tmp_path / "logs" / "rsd.eval"))
    _require_same(_solved(tmp_path / "logs"), ["these"])  # nothing was solved: the models may have been what was wrong


def test_a_baseline_that_is_not_run_is_refused_before_anything_runs(tmp_path: Path) -> None:
    """Rather than when the report is made, hours later."""
    run = rsd("bench", "gsm8k", "-s", "rsd threshold=0.5", "--against", "target", "--out", tmp_path / "made")
    assert run.exit_code == 1
    assert "there is no run 'target' among rsd threshold=0.5" in run.stderr.replace("\n", " ")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["-s", "rsd shadow=true", "-s", "target"],
            "shadow: the reward confidence reads the draft's log-probabilities",
        ),
        (["-s", "target", "-s", "rsd draft=http://127.0.0.1:9"], "127.0.0.1:9"),
    ],
)
def test_models_that_a_strategy_cannot_run_on_are_refused_before_anything_runs(
    tmp_path: Path, words: list[str], told: str
) -> None:
    """In one line, rather than a traceback for each problem after the first strategy has taken its hours."""
    problems = tmp_path / "sums.jsonl"
    problems.write_text(json.dumps({"question": "1+1?", "answer": "2"}) + "\n")
    run = rsd("bench", problems, *words, "--out", tmp_path / "made")
    assert (run.exit_code, run.stdout) == (1, "")
    assert told in run.stderr.replace("\n", " ")
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "made").exists()


def bench(folder: Path, seconds: float) -> "subprocess.Popen[bytes]":
    folder.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, "-m", "tests.inspect_plugin.benched", str(folder), str(seconds)])


def test_a_bench_that_is_killed_goes_on(tmp_path: Path) -> None:
    """With `kill -9`, at any moment: nothing is lost, nothing counts twice, and the figures are a quiet run's."""
    moments = random.Random(1)
    for _ in range(2):
        running = bench(tmp_path / "killed", 0.4)
        while not list((tmp_path / "killed").glob("logs/*.eval")):
            assert running.poll() is None
            time.sleep(0.1)
        time.sleep(moments.uniform(0, 4))
        running.kill()
        running.wait()
    assert bench(tmp_path / "killed", 0).wait() == bench(tmp_path / "quiet", 0).wait() == 0
    killed, quiet = ([*read_runs([tmp_path / name / "logs"])] for name in ("killed", "quiet"))
    assert [run.name for run in killed] == ["draft", "target", "rsd threshold=0.5"]
    for one, other in zip(killed, quiet, strict=True):
        assert one.solved.keys() == other.solved.keys()
        assert [(each.right, each.usage) for each in one.solved.values()] == [
            (other.solved[name].right, other.solved[name].usage) for name in one.solved
        ]
    file = tmp_path / "quiet" / "sums.jsonl"
    file.write_text(file.read_text().replace("3+3?", "3+4?"))  # under the same name, and the same ids
    with pytest.raises(ConfigurationError, match="problem 4 was another one when it was solved"):
        run_bench(Bench(str(file), STRATEGIES), tmp_path / "quiet" / "logs", "none")
