"""A comparison as plots: SVG that stands in a page, light or dark, and as a file of its own."""

import io
from collections.abc import Callable, Sequence
from typing import Any

from rsd_graph.evaluation.comparison import Run, labelled

INK = "#1a2b3c"
"""Drawn with this colour, shown with that of the text around the picture."""
ENDS = ("draft", "target")
"""The strategies of two runs that a line joins, if they have the same models and options."""
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#999933", "#888888")
"""Paul Tol's bright scheme, which colour-blind readers can tell apart, on white and on black."""


def accuracy_against(runs: Sequence[Run], cost: Callable[[Run], float | None], what: str) -> str | None:
    """Accuracy, with its Wilson interval, against what a problem costs.

    A straight line joins draft and target: a strategy below it is worse than choosing one of the two by lot for each
    problem.

    Args:
        runs: Of one data set.
        cost: What to draw to the right.
        what: What that is, and its unit.

    Returns:
        The picture as SVG; None if no run's cost is known.
    """
    known = [(run, label, at) for run, label in labelled(runs) if (at := cost(run)) is not None]
    if not known:
        return None

    def draw(axes: Any) -> None:
        lines: dict[object, dict[str, tuple[float, float]]] = {}
        for run, _, at in known:
            if run.strategy in ENDS:
                lines.setdefault((run.pair, run.options), {})[run.strategy] = (at, run.accuracy.value)
        for line in lines.values():
            if len(line) == len(ENDS):
                axes.plot(*zip(*line.values(), strict=True), ":", color=INK, alpha=0.6, zorder=1)
        for number, (run, label, at) in enumerate(known):
            found = run.accuracy
            axes.errorbar(
                at, found.value, yerr=[[found.value - found.low], [found.high - found.value]], fmt="o", capsize=3,
                color=_colour(number), label=label,
            )  # fmt: skip
        axes.set(xlabel=what, ylabel="accuracy", ylim=(0, 1))
        axes.set_xlim(left=0)

    return _svg(draw, title=runs[0].data)


def over_positions(runs: Sequence[Run]) -> str | None:
    """The share of steps kept from the draft, and the mean reward of its proposals, by position.

    Returns:
        The picture as SVG; None if nothing was scored.
    """
    from matplotlib.ticker import MaxNLocator

    scored = [(number, run, label) for number, (run, label) in enumerate(labelled(runs)) if run.decides]
    if not scored:
        return None

    def draw(axes: Any) -> None:
        for number, run, label in scored:
            found = run.positions()
            where = range(1, len(found) + 1)
            axes.plot(where, [at.by_draft for at in found], "o-", color=_colour(number), label=f"{label}: kept")
            rewards = [float("nan") if at.reward is None else at.reward for at in found]
            axes.plot(where, rewards, "s--", color=_colour(number), alpha=0.6, label=f"{label}: reward")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="step", ylabel="share kept from the draft, mean reward", ylim=(0, 1.02))

    return _svg(draw, title=runs[0].data)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _svg(draw: Callable[[Any], None], title: str) -> str:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style: dict[str, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "rsd",
        "font.family": "sans-serif",
        **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with mpl.rc_context(style):  # type: ignore[arg-type]  # names that matplotlib knows
        figure = Figure(figsize=(8, 3.8), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        draw(axes)
        axes.set_title(title)
        axes.legend(fontsize=8, frameon=False, labelcolor=INK, loc="center left", bbox_to_anchor=(1, 0.5))
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    _, start, svg = text.getvalue().partition("<svg")
    return start + svg.replace(INK, "currentColor")
