"""The stages of a training run, in order: sample, label, compute hidden states, train, calibrate."""

import random
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Protocol

from rsd_graph._internal.progress import Progress, silent
from rsd_graph.data.problems import Problem
from rsd_graph.data.solutions import Solution, merge_cut_steps, read_solutions
from rsd_graph.errors import ConfigurationError
from rsd_graph.protocols import StepGenerator
from rsd_graph.rewards.trained.file import RewardFile
from rsd_graph.rewards.trained.format import Card
from rsd_graph.training.backbone import Backbone
from rsd_graph.training.fit import Fit, fit, split
from rsd_graph.training.hidden_states import compute_hidden_states
from rsd_graph.training.labels import Labels, by_answer, by_continuation, by_first_error
from rsd_graph.training.options import Hyperparameters, Options
from rsd_graph.training.samples import sample, with_references
from rsd_graph.training.workdir import WorkDir

HELD_OUT = 0.2
"""Share of the problems that are held out, to choose and calibrate on."""
CONTINUATION_TEMPERATURE = 0.7
"""Of Monte Carlo continuations, which must differ."""


class Models(Protocol):
    """The models that write solutions and continuations."""

    @property
    def draft(self) -> StepGenerator:
        """Writes the solutions, and continues them for labels by `monte-carlo`."""
        ...

    @property
    def target(self) -> StepGenerator:
        """Continues solutions for labels by `target`."""
        ...


MakeModels = Callable[[AbstractSet[Literal["draft", "target"]]], AbstractAsyncContextManager[Models]]
"""Makes the models of these roles, and closes them at the end; the other roles' servers may be down."""


async def gather(
    make_models: MakeModels,
    problems: Sequence[Problem],
    solutions: Sequence[Solution] | None,
    options: Options,
    workdir: WorkDir,
    progress: Progress = silent,
) -> tuple[list[Solution], list[Labels]]:
    """The first two stages: solutions to train on, and the labels of their steps.

    Args:
        make_models: Called once, and only where a model has work to do.
        problems: What to solve; with `solutions`, where to look up right answers.
        solutions: What the draft has written already; None to sample.
        options: Of this run.
        workdir: Keeps solutions and labels.
        progress: Told about both stages.

    Raises:
        ConfigurationError: there is no solution, or a right answer that the labels need is not known.
    """
    roles: set[Literal["draft", "target"]] = set()
    if solutions is None or options.labels == "monte-carlo":
        roles.add("draft")
    if options.labels == "target":
        roles.add("target")
    if not roles:
        known = ready(solutions or [])
        return known, by_answer(known)
    async with make_models(roles) as models:
        if solutions is None:
            solutions = await sample_solutions(models.draft, problems, options, workdir, progress)
        known = ready(solutions)
        if options.labels == "answer":
            return known, by_answer(known)
        known = with_references(known, problems)
        model = models.target if options.labels == "target" else models.draft
        return known, await label_steps(model, known, options, workdir, progress)


async def sample_solutions(
    draft: StepGenerator,
    problems: Sequence[Problem],
    options: Options,
    workdir: WorkDir,
    progress: Progress = silent,
) -> list[Solution]:
    """The first stage: a solution of each chosen problem that the folder does not hold yet.

    The problems are the first ones of a fixed random order: a larger limit adds to those that a smaller one chose.
    """
    order = list(problems)
    random.Random(options.seed).shuffle(order)  # noqa: S311  # repeatable, not secret
    chosen = order[: options.limit]
    await sample(draft, chosen, options.settings(), workdir.solutions, progress)
    wanted = {problem.prompt for problem in chosen}
    return [solution for solution in read_solutions(workdir.solutions) if solution.problem in wanted]


async def label_steps(
    model: StepGenerator,
    solutions: Sequence[Solution],
    options: Options,
    workdir: WorkDir,
    progress: Progress = silent,
) -> list[Labels]:
    """The second stage, for labels by continuation: which steps are right.

    Args:
        model: Continues the solutions: the target for `target`, the draft for `monte-carlo`.
        solutions: As `ready` returns them, with references.
        options: Of this run.
        workdir: Keeps the labels.
        progress: Told how many solutions are labelled.
    """
    settings = options.settings()
    if options.labels == "target":
        greedy = settings.model_copy(update={"temperature": 0.0})
        return await by_first_error(model, solutions, greedy, workdir.labels, progress)
    various = settings.model_copy(update={"temperature": CONTINUATION_TEMPERATURE})
    return await by_continuation(model, solutions, options.continuations, various, workdir.labels, progress)


def train(
    draft: Path,
    solutions: Sequence[Solution],
    labels: Sequence[Labels],
    options: Options,
    workdir: WorkDir,
    progress: Progress = silent,
) -> RewardFile:
    """The last stages: compute hidden states, train, calibrate.

    Args:
        draft: A GGUF file or a Hugging Face folder.
        solutions: As `ready` returns them.
        labels: Of their steps.
        options: Of this run.
        workdir: Keeps the hidden states and every epoch.
        progress: Told about each stage.

    Raises:
        ConfigurationError: there is too little to train on.
    """
    progress("loading the draft", 0, 1)
    backbone = Backbone(draft)
    progress("loading the draft", 1, 1)
    chosen = options.hyperparameters(backbone.depth)
    parameters = backbone.parameters(chosen.last)  # before LoRA adds its own
    folder = workdir.hidden_states(chosen.first)
    computed = compute_hidden_states(backbone, solutions, labels, chosen.first, folder, progress)
    training, held_out = split(computed, HELD_OUT, options.seed)
    fitted = fit(backbone, training, held_out, chosen, workdir.checkpoint, progress)
    card = _card(backbone, parameters, fitted, chosen, options, solutions)
    return RewardFile(card, fitted.scale, fitted.updates)


def _card(
    backbone: Backbone,
    parameters: int,
    fitted: Fit,
    chosen: Hyperparameters,
    options: Options,
    solutions: Sequence[Solution],
) -> Card:
    lora = chosen.first < chosen.last
    return Card(
        base=backbone.base,
        family="lora" if lora else "probe",
        layers=chosen.last,
        parameters=parameters,
        centre=fitted.centre,
        template=backbone.template,
        rank=chosen.rank if lora else 0,
        seed=options.seed,
        curve=fitted.curve,
        training={
            "solutions": len(solutions),
            "right": sum(solution.correct for solution in solutions),
            "labels": options.labels,
            **fitted.figures,
            "rsd-graph": version("rsd-graph"),
        },
    )


def ready(solutions: Sequence[Solution]) -> list[Solution]:
    """The solutions to label and to train on, in an order that does not depend on which was finished first.

    Raises:
        ConfigurationError: there is none.
    """
    if not solutions:
        raise ConfigurationError("there is no solution with a step to train on")
    return sorted(map(merge_cut_steps, solutions), key=lambda solution: solution.identity)
