"""Logs of inspect_ai, read as runs of strategies."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inspect_ai.log import EvalLog, EvalSample, read_eval_log
from pydantic import TypeAdapter

from rsd_graph.costs import Parameters
from rsd_graph.errors import ConfigurationError
from rsd_graph.evaluation.comparison import Run, Solved
from rsd_graph.inspect.record import STORE
from rsd_graph.state import Usage

_usage = TypeAdapter(Usage)


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Read the runs in these logs. A sample that failed, or is not finished, is left out.

    Args:
        paths: Logs, or folders of them.

    Raises:
        ConfigurationError: a log cannot be read or holds no run of a strategy, or two are of the same one; it is named.
    """
    runs: dict[tuple[str, str], Run] = {}
    for file in [file for path in paths for file in _files(path)]:
        run = _run(file)
        if (run.data, run.name) in runs:
            raise ConfigurationError(f"{file}: there are two runs of {run.name} on {run.data}; pass one of them")
        runs[run.data, run.name] = run
    return list(runs.values())


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted([*path.glob("*.eval"), *path.glob("*.json")])
    if not files:
        raise ConfigurationError(f"{path} holds no log")
    return files


def _run(file: Path) -> Run:
    try:
        log = read_eval_log(file)
    except Exception as error:  # a damaged log fails in many ways: zip, JSON, validation
        raise ConfigurationError(f"cannot read the log {file}: {error!s:.300}") from error
    recorded = [(sample, sample.store[STORE]) for sample in log.samples or () if _counts(sample)]
    if not recorded:
        raise ConfigurationError(f"{file} holds no finished sample of a strategy of this package")
    name = _name(recorded[0][1])
    several = len({sample.epoch for sample, _ in recorded}) > 1
    solved = {
        f"{sample.id}/{sample.epoch}" if several else str(sample.id): _solved(sample, record)
        for sample, record in recorded
    }
    return Run(_data(log), name, solved)


def _counts(sample: EvalSample) -> bool:
    return sample.error is None and bool(sample.scores) and STORE in sample.store


def _data(log: EvalLog) -> str:
    return log.eval.dataset.name or log.eval.task


def _name(record: Mapping[str, Any]) -> str:
    """The strategy, with what tells it from others of its kind."""
    settings = record["settings"]
    said = {**record["options"]}
    if record["strategy"] == "rsd":
        said = {"threshold": settings["threshold"], **said}
        if settings["weighting"] != "step":
            said["weighting"] = settings["weighting"]
    return " ".join([record["strategy"], *(f"{name}={value}" for name, value in said.items())])


def _solved(sample: EvalSample, record: Mapping[str, Any]) -> Solved:
    (score, *_) = (sample.scores or {}).values()
    sizes = record["parameters"]
    return Solved(
        right=score.value == "C",
        seconds=record["seconds"],
        usage=_usage.validate_python(record["usage"]),
        parameters=Parameters(**sizes) if sizes else None,
        by_draft=[step["author"] == "draft" for step in record["steps"] if step["author"] != "tool"],
    )
