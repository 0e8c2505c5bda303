import numpy as np
import pytest
import torch

from rsd_graph.training.backbone import Backbone
from rsd_graph.training.hidden_states import SolutionStates, compute_hidden_states
from rsd_graph.training.probe import BATCH, Probe
from tests.training.examples import some_solutions


@pytest.fixture(scope="module")
def computed(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> list[SolutionStates]:
    solutions = some_solutions(30)
    labels = [[0.5, float(solution.correct)] for solution in solutions]
    return compute_hidden_states(backbone, solutions, labels, 2, tmp_path_factory.mktemp("states"))


def test_the_probe_separates_right_from_wrong(backbone: Backbone, computed: list[SolutionStates]) -> None:
    """On solutions that it was not fitted to, by their last steps."""
    probe = Probe(backbone, 2, 2)
    area = probe.fit(computed[:20], computed[20:])
    assert area > 0.8
    ends = probe.all_logits(computed[20:])[1::2]
    right = np.array([solution.correct for solution in computed[20:]])
    assert ends[right].mean() > ends[~right].mean()


def test_a_batch_gives_what_single_solutions_give(backbone: Backbone, computed: list[SolutionStates]) -> None:
    """Padding changes nothing, and the layers resume exactly where the recorded states end."""
    probe = Probe(backbone, 2, 3)
    with torch.no_grad():
        probe.scale.copy_(torch.randn(probe.scale.shape, generator=torch.Generator().manual_seed(0)))
    together = probe.all_logits(computed[: BATCH + 1])
    single = np.concatenate([probe.all_logits([each]) for each in computed[: BATCH + 1]])
    np.testing.assert_allclose(together, single, rtol=1e-3, atol=1e-3)
