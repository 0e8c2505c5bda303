from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from rsd_graph.rewards.trained.file import RewardFile
from rsd_graph.training.backbone import Backbone
from rsd_graph.training.options import Options
from rsd_graph.training.pipeline import train
from rsd_graph.training.workdir import WorkDir
from tests.training.examples import some_solutions


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small matrices: two threads spend their time waiting for each other, above all beside other processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(limits=1):
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def backbone(small_weights: Path) -> Backbone:
    """The small model in transformers. LoRA changes a backbone: train on a copy."""
    return Backbone(small_weights)


@pytest.fixture(scope="session")
def trained(small_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> RewardFile:
    """A reward of the family `lora` on three layers of the small model, two of them changed."""
    options = Options(layers=0.75, changed=2, rank=4, epochs=1)
    solutions = some_solutions(60)
    labels = [[0.5, float(solution.correct)] for solution in solutions]
    workdir = WorkDir(tmp_path_factory.mktemp("run"), options, {})
    return train(small_weights, solutions, labels, options, workdir)
