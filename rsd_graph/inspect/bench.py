"""Several strategies on the same problems, in one eval set of inspect_ai: what `rsd bench` runs."""

import ast
import asyncio
import difflib
import inspect
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

from inspect_ai import Task, eval_set, task_with
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog, EvalSampleSummary, read_eval_log, read_eval_log_sample_summaries

from rsd_graph.data.datasets import DATASETS, require_named
from rsd_graph.errors import ConfigurationError, RSDError
from rsd_graph.inspect.backends import fresh_for_each, reached
from rsd_graph.inspect.options import Chosen
from rsd_graph.inspect.solvers import SOLVERS, chosen_for
from rsd_graph.inspect.tasks import TASKS, problems
from rsd_graph.strategies.table import STRATEGIES

ATTEMPTS = 2
"""How often inspect_ai goes on by itself with problems that failed; requests are retried before that."""
SHOWN = 1000
"""Characters of a problem that the summary of a solution is sure to hold."""
MADE_WITH = "rsd made with"
"""The key in the metadata of a log: of what the run was made, as a hash, because options may be secret."""


_Solved = tuple[Path, EvalLog, list[EvalSampleSummary]]
"""The file of a log, its header, and what was solved in it."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What to run."""

    data: str
    """The name of a data set, or a file of problems."""
    strategies: Sequence[str]
    """Each a name with options, such as `rsd threshold=0.8`."""
    models: Mapping[str, str] = field(default_factory=dict)
    """`draft`, `target`, `reward`, `preset` and `config`, as on the command line of `rsd`."""
    file: str | None = None
    """The data set, in its publisher's format; by default it comes from the hub."""
    limit: int | None = None
    """The first so many problems; by default all."""
    epochs: int = 1
    in_flight: int = 8
    """Problems that are solved at once."""


def run_bench(bench: Bench, logs: Path, display: Literal["rich", "plain", "none"] = "rich") -> None:
    """Run the strategies one after the other. Problems that are already in the folder of logs are not solved again.

    Args:
        bench: What to run.
        logs: A folder that belongs to this set of runs alone.
        display: How inspect_ai shows the progress.

    Raises:
        ConfigurationError: there is no such data set, strategy or option; a strategy is there twice; or the folder
            holds other runs, or the same with other models or settings; or a strategy cannot run on these models.
        RSDError: a server does not answer; or problems are left that could not be solved.
    """
    parsed = [_parsed(strategy, bench.models) for strategy in bench.strategies]
    solvers = [SOLVERS[name](**options) for name, options in parsed]  # before anything is downloaded
    chosen = [(name, chosen_for(name, options)) for name, options in parsed]
    made_with = [_made_with(name, each, bench) for name, each in chosen]
    _require_distinct(bench.strategies, made_with)
    solved = list(_solved(logs))
    _require_same(solved, made_with)
    tasks = [
        task_with(_task(bench), solver=each, metadata={MADE_WITH: made})
        for each, made in zip(solvers, made_with, strict=True)
    ]
    _require_unchanged(solved, tasks[0].dataset)
    asyncio.run(_require_models(chosen))
    try:
        with fresh_for_each(bench.in_flight):
            _, finished = eval_set(
                tasks,
                log_dir=str(logs),
                model="none/none",
                limit=bench.limit,
                epochs=bench.epochs,
                max_samples=bench.in_flight,
                max_tasks=1,  # seconds compare only if each strategy has the machine to itself
                retry_attempts=ATTEMPTS,
                display=display,
                ctl_server=False,
                score_display=False,
            )
    except Exception as error:
        if type(error).__name__ == "PrerequisiteError":  # inspect_ai's own; it names what is wrong
            raise ConfigurationError(f"{logs}: {_plain(str(error))}") from error
        raise
    _require_whole(finished)


def _parsed(strategy: str, models: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The name of a strategy that is written as `rsd threshold=0.8`, and its options with those that say which models.

    Raises:
        ConfigurationError: there is no such strategy, or it cannot be read.
    """
    try:
        name, *said = shlex.split(strategy) or [""]
    except ValueError as error:  # a quote that nothing closes
        raise ConfigurationError(f"cannot read the strategy {strategy!r}: {error}") from error
    if name not in SOLVERS:
        near = difflib.get_close_matches(name, SOLVERS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(SOLVERS)}"
        raise ConfigurationError(f"there is no strategy {name!r}; {hint}")
    options: dict[str, Any] = dict(models)
    for word in said:
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigurationError(f"{strategy!r}: {word!r} should be name=value, such as threshold=0.8")
        options[key.replace("-", "_")] = _value(value)
    return name, options


async def _require_models(strategies: Sequence[tuple[str, Chosen]]) -> None:
    """Refuse models that a strategy cannot run on, and servers that are down.

    Here that is one line, and before the first strategy has run; inspect_ai would show a traceback for each problem.
    """
    for name, chosen in strategies:
        async with reached(chosen.config) as models:
            await STRATEGIES[name].requires(models, **chosen.own)


def _made_with(name: str, chosen: Chosen, bench: Bench) -> str:
    """A hash of what decides how the strategy solves the problems: data set, options, models and settings."""
    own = inspect.signature(STRATEGIES[name].make).bind(**chosen.own)
    own.apply_defaults()
    parts = [
        name, bench.data, bench.file, own.arguments, chosen.settings.model_dump(mode="json", exclude_defaults=True),
        chosen.config.model_dump(mode="json", exclude={"settings"}, exclude_defaults=True),
    ]  # fmt: skip
    return blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def _require_distinct(strategies: Sequence[str], made_with: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for strategy, made in zip(strategies, made_with, strict=True):
        if made in first:
            raise ConfigurationError(f"{first[made]!r} and {strategy!r} are the same: leave one of them out")
        first[made] = strategy


def _require_same(logs: Iterable[_Solved], made_with: Sequence[str]) -> None:
    """Refuse to resume runs of something else: inspect_ai does not know what `rsd.toml` says.

    A run that has solved nothing may be repeated with other models: perhaps they were what was wrong.
    """
    for file, log, solved in logs:
        made = (log.eval.metadata or {}).get(MADE_WITH)
        if solved and made is not None and made not in made_with:
            raise ConfigurationError(
                f"{file} is of another data set, strategy, model or setting than those of this command and of "
                "rsd.toml: go back to them, or choose another folder with --out"
            )


def _require_unchanged(logs: Iterable[_Solved], problems: Sequence[Sample]) -> None:
    """Refuse to resume with a data set that has changed: inspect_ai knows its problems by their ids alone."""
    asked = {problem.id: problem for problem in problems}
    for file, _, solved in logs:
        for each in solved:
            if each.id in asked and _differs(each, asked[each.id]):
                raise ConfigurationError(
                    f"{file}: problem {each.id} was another one when it was solved: the data set has changed since; "
                    "choose another folder with --out"
                )


def _solved(logs: Path) -> Iterator[_Solved]:
    """The logs in the folder."""
    for file in sorted(logs.glob("*.eval")):
        try:
            log = read_eval_log(file, header_only=True)
            solved = [each for each in read_eval_log_sample_summaries(file) if each.error is None]
        except Exception:  # noqa: BLE001, S112  # cut when the process was killed: inspect_ai solves it again
            continue
        yield file, log, solved


def _differs(solved: EvalSampleSummary, problem: Sample) -> bool:
    """Whether the problem is not the one that was solved, as far as a summary, which cuts long texts, tells."""
    pairs = (solved.input, problem.input), (solved.target, problem.target)
    return any(str(before)[:SHOWN] != str(now)[:SHOWN] for before, now in pairs)


def _task(bench: Bench) -> Task:
    if bench.data in DATASETS:
        return TASKS[bench.data](**({} if bench.file is None else {"data": bench.file}))
    if bench.file is not None:
        require_named(bench.data)
    return problems(bench.data)


def _value(text: str) -> int | float | bool | str:
    if text in {"true", "false"}:
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _require_whole(logs: Sequence[EvalLog]) -> None:
    for log in logs:
        if log.status == "success":
            continue
        wrong = log.error.message if log.error else log.status
        solved = sum(1 for sample in log.samples or () if sample.error is None)
        solver_name = log.plan.steps[0].solver if log.plan.steps else log.eval.solver
        run = f"{log.eval.task}, {solver_name}" if solver_name else log.eval.task
        raise RSDError(f"{run}: {solved} problems are solved, then: {_plain(wrong):.500}")


def _plain(message: str) -> str:
    """What inspect_ai says, without its markup; of an exception that it quotes, the text, which stands last."""
    quoted = re.fullmatch(r"\w+\((.+)\)", message.strip(), re.DOTALL)
    try:
        text = str(ast.literal_eval(f"({quoted[1]},)")[-1]) if quoted else message
    except (SyntaxError, ValueError):  # what it quotes is no literal
        text = message
    return text.replace("[bold]", "").replace("[/bold]", "").strip()
