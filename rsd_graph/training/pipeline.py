"""The whole recipe, stage after stage, in a folder that a stopped run goes on in."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from rsd_graph._internal.files import parse_json, private_folder, read_regular, write_atomically
from rsd_graph.data.problems import Problem
from rsd_graph.data.solutions import Solution, joined, read_solutions
from rsd_graph.errors import ConfigurationError
from rsd_graph.protocols import StepGenerator
from rsd_graph.rewards.trained.file import RewardFile
from rsd_graph.rewards.trained.format import Card
from rsd_graph.settings import RSDSettings
from rsd_graph.training.backbone import Backbone
from rsd_graph.training.fitting import Plan, fit, split
from rsd_graph.training.hidden_states import read
from rsd_graph.training.labels import Labelling, Labels, by_answer, by_continuation, by_first_error
from rsd_graph.training.samples import sample

HELD_OUT = 0.2
"""Share of the problems to choose and calibrate by."""
CONTINUATION_TEMPERATURE = 0.7
"""Of Monte-Carlo continuations, which have to differ."""
FREE = {"limit", "layers", "family", "changed", "rank", "epochs"}
"""Options that may differ between runs in one folder: what earlier ones have written serves all of them."""

LARGEST_NOTE = 1 << 20
"""Bytes of a folder's `run.json`."""


class Options(BaseModel):
    """What makes a run what it is."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=1000, ge=1)
    """Problems to sample, taken at random."""
    labels: Labelling = "answer"
    continuations: int = Field(default=4, ge=1)
    """Of each step, for `monte-carlo`."""
    layers: float = Field(default=0.58, gt=0, le=1)
    """Share of the draft's layers that are kept."""
    family: Literal["lora", "probe"] = "lora"
    """Change the last of those, or only read the state behind them."""
    changed: int = Field(default=4, ge=1)
    """Layers that `lora` changes."""
    rank: int = Field(default=8, ge=1)
    epochs: int = Field(default=3, ge=1)
    temperature: float = Field(default=0.0, ge=0, le=2)
    """Of the solutions: as the reward's user will have the draft write."""
    max_tokens: int = Field(default=600, ge=1)
    """Of one solution."""
    seed: int = Field(default=0, ge=0, lt=2**31)

    def plan(self, depth: int) -> Plan:
        """How to train a draft of so many layers."""
        last = max(1, round(depth * self.layers))
        first = last
        if self.family == "lora":
            first = min(last, max(1, last - self.changed))  # the embeddings alone are no state worth keeping
        return Plan(first=first, last=last, rank=self.rank, epochs=self.epochs, seed=self.seed)

    def settings(self) -> RSDSettings:
        """Settings of the sampling."""
        return RSDSettings(temperature=self.temperature, max_tokens=self.max_tokens, seed=self.seed)


class Watch(Protocol):
    """Whoever watches the training."""

    def stage(self, name: str, done: float, total: float) -> None:
        """So much of this stage is done."""
        ...


class Folder:
    """Where runs of one draft on the same problems keep what they have done.

    Args:
        path: Made if it is not there.
        options: Of this run.
        made_of: What tells the draft, the data and, where it labels, the target from others.

    Raises:
        ConfigurationError: it holds what runs with other options have written, or cannot be written.
    """

    def __init__(self, path: Path, options: Options, made_of: dict[str, str]) -> None:
        self.path = path
        wanted = {**options.model_dump(exclude=FREE), **made_of}
        note = path / "run.json"
        try:
            private_folder(path)
            if not note.exists():
                write_atomically(note, json.dumps(wanted, indent=1).encode())
            found = parse_json(read_regular(note, LARGEST_NOTE))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"cannot use the folder {path}: {error}") from error
        if not isinstance(found, dict):
            raise ConfigurationError(f"cannot use the folder {path}: its {note.name} holds no object")
        if other := [key for key in wanted if found.get(key) != wanted[key]]:
            key = other[0]
            takes = f" (--solutions {self.solutions} takes what was solved)" if self.solutions.exists() else ""
            raise ConfigurationError(
                f"{path} holds a run with {key} = {found.get(key)}, and this one has {wanted[key]}: go on with the "
                f"same, or choose another folder with --work{takes}"
            )

    @property
    def solutions(self) -> Path:
        """What the draft wrote."""
        return self.path / "solutions.jsonl"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other runs out.

        Raises:
            ConfigurationError: one is at work in the folder.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.path / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ConfigurationError(
                f"another run is at work in {self.path}: wait for it, or choose another folder with --work"
            ) from None
        try:
            yield
        finally:
            lock.release()


async def sample_solutions(
    draft: StepGenerator, problems: Sequence[Problem], options: Options, folder: Folder, watch: Watch
) -> list[Solution]:
    """The first stage: a solution of each chosen problem that the folder holds none of.

    The first so many of one random order: a larger limit adds to what a smaller one has chosen.
    """
    order = list(problems)
    random.Random(options.seed).shuffle(order)  # noqa: S311  # repeatable, not secret
    chosen = order[: options.limit]
    await sample(draft, chosen, options.settings(), folder.solutions, _stage(watch, "solving problems"))
    wanted = {problem.text for problem in chosen}
    return [solution for solution in read_solutions(folder.solutions) if solution.problem in wanted]


async def label_steps(
    model: StepGenerator | None, solutions: list[Solution], options: Options, folder: Folder, watch: Watch
) -> list[Labels]:
    """The second stage: which steps are right.

    Args:
        model: What continues; None takes the final answer for the label.
        solutions: As `ready` returns them.
        options: Of this run.
        folder: Keeps the labels.
        watch: Told how far it is.
    """
    if model is None:
        return by_answer(solutions)
    settings, file = options.settings(), folder.path / "labels.jsonl"
    progress = _stage(watch, "labelling steps")
    if options.labels == "target":
        greedy = settings.model_copy(update={"temperature": 0.0})
        return await by_first_error(model, solutions, greedy, file, progress)
    various = settings.model_copy(update={"temperature": CONTINUATION_TEMPERATURE})
    return await by_continuation(model, solutions, options.continuations, various, file, progress)


def train(
    draft: Path, solutions: list[Solution], labels: Sequence[Labels], options: Options, folder: Folder, watch: Watch
) -> RewardFile:
    """The last stages: read, train, calibrate.

    Args:
        draft: A GGUF file or a Hugging Face folder.
        solutions: As `ready` returns them.
        labels: Of their steps.
        options: Of this run.
        folder: Keeps what was read, and every epoch.
        watch: Told how far it is.

    Raises:
        ConfigurationError: there is too little to train on.
    """
    watch.stage("loading the draft", 0, 1)
    backbone = Backbone(draft)
    watch.stage("loading the draft", 1, 1)
    plan = options.plan(backbone.depth)
    parameters = backbone.parameters(plan.last)  # before training puts its own beside them
    states = read(
        backbone,
        solutions,
        labels,
        plan.first,
        folder.path / f"states-{plan.first}",
        _stage(watch, "reading the solutions"),
    )
    training, held_out = split(states, HELD_OUT, options.seed)
    fitted = fit(
        backbone,
        training,
        held_out,
        plan,
        folder.path / "adapter.pt",
        lambda part: watch.stage("training", part, 1),
    )
    watch.stage("training", 1, 1)
    figures: dict[str, Any] = {
        "solutions": len(solutions),
        "right": sum(solution.correct for solution in solutions),
        "labels": options.labels,
        **fitted.figures,
    }
    card = Card(
        base=backbone.base,
        family="lora" if plan.first < plan.last else "probe",
        layers=plan.last,
        parameters=parameters,
        centre=fitted.centre,
        template=backbone.template,
        rank=plan.rank if plan.first < plan.last else 0,
        seed=options.seed,
        curve=fitted.curve,
        training={**figures, "rsd-graph": version("rsd-graph")},
    )
    return RewardFile(card, fitted.scale, fitted.updates)


def ready(solutions: Sequence[Solution]) -> list[Solution]:
    """The solutions to label and to train on, in an order that does not depend on which was finished first.

    Raises:
        ConfigurationError: there is none.
    """
    if not solutions:
        raise ConfigurationError("there is no solution with a step to train on")
    return sorted(map(joined, solutions), key=lambda solution: solution.identity)


def _stage(watch: Watch, name: str) -> Callable[[int, int], None]:
    return lambda done, total: watch.stage(name, done, total)
