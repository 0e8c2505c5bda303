"""Steps that a token limit cut: the model resumed inside the step, so several records make one step."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

from rsd_graph.state import Finish


class _Finished(Protocol):
    @property
    def finish(self) -> Finish: ...


S = TypeVar("S", bound=_Finished)


def group_cut_steps(steps: Iterable[S]) -> list[list[S]]:
    """The steps in groups, in order: one that a token limit cut is in one group with what continues it.

    The output of code is in one group with the step that has the code.
    """
    groups: list[list[S]] = []
    for step in steps:
        is_output = getattr(step, "author", None) == "tool"
        if groups and (is_output or groups[-1][-1].finish == "length"):
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups
