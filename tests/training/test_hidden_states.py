from pathlib import Path

import pytest
import torch

from rsd_graph import Generation
from rsd_graph.data.solutions import Solution
from rsd_graph.errors import WeightsError
from rsd_graph.training.backbone import Backbone
from rsd_graph.training.hidden_states import compute_hidden_states, tokenized

STEPS = (Generation("We add.", "delimiter", logprobs=(-1.0, -0.5)), Generation("4", "eos", logprobs=(-0.25,)))
SOLUTION = Solution("2+2?", STEPS, correct=True)


def test_steps_end_at_their_delimiters(backbone: Backbone) -> None:
    """As the reward is read: the conversation, then each step with its delimiter after it."""
    tokens, ends = tokenized(backbone, SOLUTION)
    prompt = backbone.prompt("2+2?")
    assert backbone.tokenizer.decode(tokens[len(prompt) :]) == "We add.\n\n4\n\n"
    assert backbone.tokenizer.decode(tokens[len(prompt) : ends[0] + 1]) == "We add.\n\n"
    assert ends[1] == len(tokens) - 1


def test_hidden_states_are_computed_once(backbone: Backbone, tmp_path: Path) -> None:
    """One file per solution is kept, and read again; labels and surprisals come from the solution."""
    told: list[tuple[str, float, float]] = []
    (first,) = compute_hidden_states(backbone, [SOLUTION], [[None, 1.0]], 2, tmp_path, lambda *now: told.append(now))
    assert told == [("computing hidden states", 0, 1), ("computing hidden states", 1, 1)]
    assert [file.name for file in tmp_path.iterdir()] == [f"{SOLUTION.identity}.npy"]
    assert first.labels.isnan().tolist() == [True, False]
    assert first.surprisals is not None
    assert first.surprisals.tolist() == [1.5, 0.25]
    expected = backbone.states(tokenized(backbone, SOLUTION)[0], [2])[0]
    torch.testing.assert_close(first.hidden, expected.half())
    file = next(tmp_path.iterdir())
    written = file.stat().st_mtime_ns
    (again,) = compute_hidden_states(backbone, [SOLUTION], [[None, 1.0]], 2, tmp_path)
    torch.testing.assert_close(again.hidden, first.hidden)
    assert file.stat().st_mtime_ns == written


def test_without_log_probabilities_there_is_no_surprisal(backbone: Backbone, tmp_path: Path) -> None:
    """One step without them is enough."""
    bare = Solution("2+2?", (STEPS[0], Generation("4", "eos")), correct=True)
    (found,) = compute_hidden_states(backbone, [bare], [[1.0, 1.0]], 2, tmp_path)
    assert found.surprisals is None


def test_a_damaged_file_is_named(backbone: Backbone, tmp_path: Path) -> None:
    """The message says what to do."""
    (tmp_path / f"{SOLUTION.identity}.npy").write_bytes(b"half a file")
    with pytest.raises(WeightsError, match=f"{SOLUTION.identity}.npy is damaged .* delete it"):
        compute_hidden_states(backbone, [SOLUTION], [[1.0, 1.0]], 2, tmp_path)
