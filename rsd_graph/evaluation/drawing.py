"""Draw an evaluation: the ROC curve and the reliability diagram."""

from pathlib import Path
from typing import Any

from rsd_graph.errors import ConfigurationError
from rsd_graph.evaluation.metrics import area_under_roc, expected_calibration_error, roc_curve
from rsd_graph.evaluation.summary import Evaluation


def check_picture(file: Path) -> None:
    """Refuse a picture that could not be drawn, before any work is done.

    Raises:
        ConfigurationError: the folder does not exist, or the suffix is not that of a known format.
        ImportError: matplotlib is not installed.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    if file.suffix.removeprefix(".") not in known:
        raise ConfigurationError(f"cannot draw {file}: the file name must end in one of {', '.join(sorted(known))}")
    if not file.parent.is_dir():
        raise ConfigurationError(f"cannot draw {file}: the folder {file.parent} does not exist")


def draw(evaluation: Evaluation, file: Path, name: str) -> None:
    """Draw the ROC curve and the reliability diagram side by side.

    Args:
        evaluation: What to draw.
        file: The picture; its suffix says the format.
        name: What to call the reward in the title.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
    _draw_roc(left, evaluation, name)
    _draw_reliability(right, evaluation)
    try:
        figure.savefig(file)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot write the picture {file}: {error}") from error
    finally:
        plt.close(figure)


def _draw_roc(axes: Any, evaluation: Evaluation, name: str) -> None:
    correct = evaluation.correct
    for label, values in (("last step", evaluation.last), ("lowest step", evaluation.lowest)):
        axes.plot(*roc_curve(values, correct), label=f"{label}: AUC {area_under_roc(values, correct):.2f}")
    axes.plot([0, 1], [0, 1], ":", color="grey")
    axes.set(xlabel="wrong solutions accepted", ylabel="right solutions accepted", title=f"ROC, {name}", aspect="equal")
    axes.legend(loc="lower right")


def _draw_reliability(axes: Any, evaluation: Evaluation) -> None:
    table = evaluation.reliability()
    axes.bar(
        [each.low for each in table],
        [each.right for each in table],
        width=0.1,
        align="edge",
        color="tab:blue",
        alpha=0.5,
        edgecolor="white",
    )
    for each in table:
        axes.annotate(str(each.count), (each.low + 0.05, each.right), ha="center", va="bottom", fontsize=8)
    axes.plot([0, 1], [0, 1], ":", color="grey")
    axes.set(
        xlabel="reward of the last step",
        ylabel="share of right solutions",
        title=f"reliability: ECE {expected_calibration_error(table):.2f}",
        xlim=(0, 1),
        ylim=(0, 1.08),
    )
