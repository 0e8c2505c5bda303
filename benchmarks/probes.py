"""Which hidden states of the draft tell best whether a step is right: layer, pooling, probe, amount of data.

    rsd train-reward gsm8k-train.jsonl --work reward        # samples the training solutions
    rsd sample gsm8k-test-200.jsonl --max-tokens 768 --out test.jsonl
    python benchmarks/probes.py reward/solutions.jsonl test.jsonl

Each probe is trained on the first file, with the final answer's correctness as the label of every step, and tested on
the second. The table shows the area under the ROC curve (AUC) of every prefix, and of solutions by their last and by
their lowest step. The regularisation is chosen in three folds of the training problems. Hidden states are kept in
`--cache`.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rsd_graph._internal.files import atomic_path
from rsd_graph.data.solutions import Solution, merge_cut_steps, read_solutions
from rsd_graph.evaluation.metrics import Area, area_under_roc
from rsd_graph.models.weights import DRAFT, locate
from rsd_graph.training.backbone import Backbone
from rsd_graph.training.hidden_states import tokenized

STRENGTHS = (1e-5, 1e-4, 3e-4, 1e-3, 1e-2)


class Steps:
    """All steps of some solutions, one row each."""

    def __init__(self, solutions: Sequence[Solution], pooled_states: list[dict[str, np.ndarray]]) -> None:
        self.owner = np.repeat(np.arange(len(solutions)), [len(each.steps) for each in solutions])
        self.correct = np.array([each.correct for each in solutions])
        problems = {each.problem: index for index, each in enumerate(solutions)}
        self.problem = np.array([problems[each.problem] for each in solutions])[self.owner]
        self.features = {
            key: np.concatenate([each[key] for each in pooled_states]).astype(np.float32) for key in pooled_states[0]
        }
        self.features["log-probabilities"] = np.array(
            [_of_tokens(step.logprobs, index) for each in solutions for index, step in enumerate(each.steps)]
        )
        self.labels = self.correct[self.owner]

    def of(self, *keys: str) -> np.ndarray:
        """These features side by side."""
        return np.concatenate([self.features[key] for key in keys], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("training", type=Path, help="solutions of training problems, to train on")
    parser.add_argument("test", type=Path, help="solutions to test the probes on")
    parser.add_argument(
        "--layers", type=int, nargs="+", default=[4, 8, 12, 14, 16, 20, 24], help="layers after which to probe"
    )
    parser.add_argument("--weights", type=Path, help="the draft: a GGUF file or a folder (default: the embedded draft)")
    parser.add_argument("--cache", type=Path, default=Path("probes"), help="keeps the hidden states (default: probes)")
    parser.add_argument(
        "--growth",
        type=int,
        nargs="*",
        default=[100, 200, 400, 800, 1600, 3200],
        help="numbers of solutions to train on",
    )
    parser.add_argument("--plot", type=Path, help="also plot the AUC over the number of solutions into this file")
    options = parser.parse_args()
    files = {"training": options.training, "test": options.test}
    solutions = {name: [merge_cut_steps(each) for each in read_solutions(file)] for name, file in files.items()}
    backbone = Backbone(options.weights or locate(DRAFT))
    training, test = (
        Steps(found, read_states(backbone, found, options.layers, options.cache / name))
        for name, found in solutions.items()
    )
    table = Table("probe", "every prefix", "last step", "lowest step", title=f"{len(training.correct)} solutions")
    for layer in options.layers:
        for pooling in ("mean", "last"):
            row(table, f"layer {layer}, {pooling}", linear, training, test, f"{pooling} {layer}")
    best = max(
        options.layers,
        key=lambda layer: in_folds(training.of(f"mean {layer}"), training.labels, training.problem, strength=3e-4),
    )
    row(table, "log-probabilities and position", linear, training, test, "log-probabilities")
    row(table, f"layer {best}, mean, with them", linear, training, test, f"mean {best}", "log-probabilities")
    row(table, f"layer {best}, mean and last", linear, training, test, f"mean {best}", f"last {best}")
    row(table, f"layer {best}, mean, MLP", perceptron, training, test, f"mean {best}")
    Console(width=120).print(table)
    points = growth(training, test, options.growth, f"mean {best}")
    for count, area in points:
        print(f"{count} solutions: AUC of every prefix {area:.3f}")
    if options.plot:
        plot(points, best, options.plot)


def read_states(
    backbone: Backbone, solutions: Sequence[Solution], layers: Sequence[int], cache: Path
) -> list[dict[str, np.ndarray]]:
    """For each solution, the mean and last hidden state of every step after every layer, shape (steps, hidden size)."""
    cache.mkdir(parents=True, exist_ok=True)
    found = []
    for solution in track(solutions, description=f"hidden states, {cache.name}"):
        file = cache / f"{solution.identity} {'-'.join(map(str, layers))}.npz"
        if not file.exists():
            tokens, ends = tokenized(backbone, solution)
            arrays: dict[str, Any] = pooled(backbone, tokens, ends, len(backbone.prompt(solution.problem)), layers)
            with atomic_path(file) as unfinished, unfinished.open("wb") as out:
                np.savez(out, **arrays)
        with np.load(file) as kept:
            keys = [f"{pooling} {layer}" for layer in layers for pooling in ("mean", "last")]
            found.append({key: kept[key] for key in keys})
    return found


def pooled(
    backbone: Backbone, tokens: Sequence[int], ends: Sequence[int], start: int, layers: Sequence[int]
) -> dict[str, np.ndarray]:
    arrays = {}
    for layer, states in zip(layers, backbone.states(tokens, layers), strict=True):
        begins = [start, *(end + 1 for end in ends[:-1])]
        means = torch.stack([states[begin : end + 1].mean(0) for begin, end in zip(begins, ends, strict=True)])
        arrays[f"mean {layer}"] = means.half().numpy()
        arrays[f"last {layer}"] = states[ends].half().numpy()
    return arrays


def linear(x: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """An L2-regularised logistic regression, whose strength is chosen in three folds."""
    scores = [in_folds(x, labels, groups, strength) for strength in STRENGTHS]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTHS[int(np.argmax(scores))], max_iter=1000))
    model.fit(x, labels)
    return lambda new: np.asarray(model.decision_function(new))


def in_folds(x: np.ndarray, labels: np.ndarray, groups: np.ndarray, strength: float) -> float:
    """Mean AUC of the logistic regression in three folds of the problems."""
    areas = []
    for known, unknown in GroupKFold(3).split(x, labels, groups):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
        model.fit(x[known], labels[known])
        areas.append(area_under_roc(model.decision_function(x[unknown]).tolist(), labels[unknown].tolist()))
    return float(np.mean(areas))


def perceptron(x: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:  # noqa: ARG001
    """A small network on the 64 principal components, with early stopping."""
    network = MLPClassifier((32,), alpha=1.0, early_stopping=True, random_state=0)
    model = make_pipeline(StandardScaler(), PCA(64, random_state=0), network)
    model.fit(x, labels)
    return lambda new: np.asarray(model.predict_proba(new)[:, 1])


def row(
    table: Table,
    name: str,
    fit: Callable[..., Callable[[np.ndarray], np.ndarray]],
    training: Steps,
    test: Steps,
    *keys: str,
) -> None:
    values = fit(training.of(*keys), training.labels, training.problem)(test.of(*keys))
    last = np.array([values[test.owner == index][-1] for index in range(len(test.correct))])
    lowest = np.array([values[test.owner == index].min() for index in range(len(test.correct))])
    table.add_row(
        name,
        area(values, test.labels, test.owner),
        area(last, test.correct, np.arange(len(last))),
        area(lowest, test.correct, np.arange(len(last))),
    )


def growth(training: Steps, test: Steps, counts: Sequence[int], key: str) -> list[tuple[int, float]]:
    """AUC of every test prefix after training on the first so many solutions."""
    points = []
    for count in sorted({min(count, len(training.correct)) for count in counts}):
        chosen = training.owner < count
        probe = linear(training.of(key)[chosen], training.labels[chosen], training.problem[chosen])
        points.append((count, area_under_roc(probe(test.of(key)).tolist(), test.labels.tolist())))
    return points


def plot(points: Sequence[tuple[int, float]], layer: int, picture: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    axes.semilogx(*zip(*points, strict=True), "o-", color="tab:purple")
    axes.set(
        xlabel="training solutions",
        ylabel="AUC of every prefix",
        title=f"linear probe, layer {layer}, mean over the step",
    )
    figure.savefig(picture)


def area(values: np.ndarray, correct: np.ndarray, groups: np.ndarray) -> str:
    return str(Area.of(values.tolist(), correct.tolist(), groups.tolist(), rounds=1000))


def _of_tokens(logprobs: Sequence[float] | None, index: int) -> list[float]:
    """A step's log-probabilities, in three numbers, and its position."""
    own = np.array(logprobs or [0.0])
    return [np.log1p(-own.sum()), own.mean(), own.min(), float(index)]


if __name__ == "__main__":
    main()
