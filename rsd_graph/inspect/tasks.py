"""Every data set as a task of inspect_ai: `inspect eval rsd_graph/gsm8k`."""

from collections.abc import Callable, Sequence

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample

from rsd_graph.data.datasets import DATASETS, load_problems
from rsd_graph.data.problems import Problem
from rsd_graph.inspect.scorer import final_answer
from rsd_graph.inspect.solvers import SOLVERS


def _task(name: str) -> Callable[..., Task]:
    """The task of the data set with this name."""

    @task(name=name)
    def dataset(data: str | None = None, seed: int = 0, skip_broken: bool = False) -> Task:
        return problems_task(name, load_problems(data or name, form=name, seed=seed, skip_broken=skip_broken))

    dataset.__doc__ = f"{DATASETS[name].title}: from the hub, or from `-T data=FILE` in its publisher's format."
    return dataset


def problems_task(name: str, problems: Sequence[Problem]) -> Task:
    """These problems as a task; RSD solves them unless another solver is chosen."""
    return Task(
        dataset=MemoryDataset([_sample(problem) for problem in problems], name=name),
        solver=SOLVERS["rsd"](),
        scorer=final_answer(),
    )


@task(name="problems")
def problems(data: str, seed: int = 0, skip_broken: bool = False) -> Task:
    """Any file of JSON lines with a question and an answer: `-T data=FILE`."""
    return problems_task("problems", load_problems(data, seed=seed, skip_broken=skip_broken))


def _sample(problem: Problem) -> Sample:
    return Sample(
        id=problem.id,
        input=problem.prompt,
        target=problem.answer,
        choices=list(problem.choices) or None,
        metadata={
            **({"tolerance": problem.tolerance} if problem.tolerance is not None else {}),
            **({"subject": problem.subject} if problem.subject else {}),
        },
    )


TASKS = {name: _task(name) for name in DATASETS}
