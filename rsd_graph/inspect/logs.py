"""Logs of inspect_ai, read as runs of strategies."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from inspect_ai.log import EvalLog, EvalSample, read_eval_log
from pydantic import TypeAdapter

from rsd_graph.costs import Parameters
from rsd_graph.errors import ConfigurationError
from rsd_graph.evaluation.comparison import RecordedStep, Run, Solved, Source
from rsd_graph.inspect.options import MODELS
from rsd_graph.inspect.record import STORE
from rsd_graph.state import Usage
from rsd_graph.strategies.table import STRATEGIES

_usage = TypeAdapter(Usage)


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Read the runs in these logs. A sample that failed, or is not finished, is left out.

    Of several logs of one evaluation, as `inspect eval-retry` leaves them, each sample counts as the newest has it.

    Args:
        paths: Logs, or folders of them.

    Raises:
        ConfigurationError: a log cannot be read, or holds records of another version; no log holds a run of a strategy;
            or two evaluations are of the same one. The logs are named.
    """
    logs = sorted((_read(file) for path in paths for file in _files(path)), key=lambda log: log.eval.created)
    runs: dict[tuple[object, ...], tuple[str, Run]] = {}
    for log in logs:
        run = _run_of(log)
        if run is None:
            continue
        key = (run.data, run.name, *run.models.values())
        before = runs.get(key)
        if before and before[0] != log.eval.task_id:
            raise ConfigurationError(
                f"{before[1].source.log} and {run.source.log} are two evaluations of {run.name} on {run.data}: pass "
                "one of them"
            )
        solved = {**(before[1].solved if before else {}), **run.solved}
        runs[key] = log.eval.task_id, replace(run, solved=solved)
    if not runs:
        named = ", ".join(map(str, paths))
        raise ConfigurationError(f"{named}: there is no finished sample of a strategy of this package in there")
    order = list(STRATEGIES)
    return sorted((run for _, run in runs.values()), key=lambda run: (run.data, order.index(run.strategy), run.name))


def _files(path: Path) -> Iterator[Path]:
    if not path.exists():
        raise ConfigurationError(f"there is no {path}")
    if not path.is_dir():
        yield path
        return
    # an eval set keeps notes of its own beside its logs; they are not named as logs are
    files = sorted([*path.glob("*.eval"), *(file for file in path.glob("*.json") if file.name[:4].isdigit())])
    if not files:
        below = f"; did you mean {path / 'logs'}?" if (path / "logs").is_dir() else ""
        raise ConfigurationError(f"{path} holds no log{below}")
    yield from files


def _read(file: Path) -> EvalLog:
    try:
        return read_eval_log(file)
    except Exception as error:  # a damaged log fails in many ways: zip, JSON, validation
        said, *_ = str(error).splitlines() or [type(error).__name__]
        raise ConfigurationError(
            f"cannot read the log {file}: {said:.300}; if its run was killed, `inspect log recover` may mend it"
        ) from error


def _run_of(log: EvalLog) -> Run | None:
    """The run in the log; None if it holds no finished sample of a strategy."""
    try:
        run = _run(log)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        wrong = f"does not hold what this version of the package records ({error!r:.200})"
        raise ConfigurationError(f"the log {log.location} {wrong}: leave it out") from error
    if run is not None and run.strategy not in STRATEGIES:
        wrong = f"is of {run.strategy!r}, no strategy of this package"
        raise ConfigurationError(f"the log {log.location} {wrong}: leave it out")
    return run


def _run(log: EvalLog) -> Run | None:
    recorded = [(sample, sample.store[STORE]) for sample in log.samples or () if _counts(sample)]
    if not recorded:
        return None
    epochs = log.eval.config.epochs or 1
    solved = {
        f"{sample.id}/{sample.epoch}" if epochs > 1 else str(sample.id): _solved(sample, record)
        for sample, record in recorded
    }
    _, first = recorded[0]
    source = Source(
        command=command(log),
        machine=first.get("machine", ""),
        in_flight=log.eval.config.max_samples,
        created=log.eval.created,
        log=Path(log.location.removeprefix("file://")).name,
    )
    return Run(
        log.eval.dataset.name or log.eval.task,
        _name(first, _solver(log)[1]),
        solved,
        first["models"],
        source,
        _threshold(first),
        epochs,
    )


def _threshold(record: Mapping[str, Any]) -> float | None:
    settings = record["settings"]
    fixed = record["strategy"] == "rsd" and settings["weighting"] == "step" and settings.get("budget") is None
    return settings["threshold"] if fixed else None


def command(log: EvalLog) -> str:
    """The command that repeats this evaluation."""
    solver, passed = _solver(log)
    words = ["inspect", "eval", log.eval.task_registry_name or log.eval.task]
    words += [f"-T{name}={value}" for name, value in log.eval.task_args_passed.items()]
    if solver is not None:
        words += ["--solver", solver]
        words += [f"-S{name}={value}" for name, value in passed.items()]
    limits: Mapping[str, Any] = {
        "limit": log.eval.config.limit,
        "epochs": log.eval.config.epochs if log.eval.config.epochs != 1 else None,
        "max-samples": log.eval.config.max_samples,
    }
    words += [f"--{name}={value}" for name, value in limits.items() if value is not None]
    return shlex.join([*words, "--model=none"])


def _solver(log: EvalLog) -> tuple[str | None, Mapping[str, Any]]:
    """The solver, None if the log names none, and the options that it was passed."""
    if not log.plan.steps:
        return None, {}
    step = log.plan.steps[0]
    return step.solver, step.params_passed or {}


def _counts(sample: EvalSample) -> bool:
    return sample.error is None and bool(sample.scores) and STORE in sample.store


def _name(record: Mapping[str, Any], passed: Mapping[str, Any]) -> str:
    """The strategy, with what tells it from others of its kind: its options, and what its settings compare with."""
    settings = record["settings"]
    said = {**record["options"], **{name: value for name, value in passed.items() if name not in MODELS}}
    if record["strategy"] == "rsd":
        told = {"step": ("threshold",), "constant": ("constant",), "logistic": ("threshold", "alpha")}
        said = {**{name: settings[name] for name in told.get(settings["weighting"], ())}, **said}
        if settings["weighting"] != "step":
            said["weighting"] = settings["weighting"]
        if settings.get("budget") is not None:
            said["budget"] = settings["budget"]
    return " ".join([record["strategy"], *(f"{name}={value}" for name, value in said.items())])


def _solved(sample: EvalSample, record: Mapping[str, Any]) -> Solved:
    (score, *_) = (sample.scores or {}).values()
    sizes = record["parameters"]
    return Solved(
        right=score.value == "C",
        seconds=record["seconds"],
        usage=_usage.validate_python(record["usage"]),
        parameters=Parameters(**sizes) if sizes else None,
        steps=[
            RecordedStep(
                step["author"],
                step["tokens"],
                step["reward"],
                rejected=step.get("rejected", 0) if step["replaced"] else None,
                shadow=step.get("shadow"),
            )
            for step in record["steps"]
            if step["author"] != "tool"
        ],
        candidates=max(1, len(record["answers"])),
        ended=datetime.fromisoformat(sample.completed_at).timestamp() if sample.completed_at else None,
    )
