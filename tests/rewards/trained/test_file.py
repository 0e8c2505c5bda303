from pathlib import Path

import numpy as np
import pytest

from rsd_graph.errors import ChecksumError, RewardError, WeightsError
from rsd_graph.rewards.trained.embedded import combined_reward
from rsd_graph.rewards.trained.file import RewardFile, load_reward
from rsd_graph.rewards.trained.format import Base, Card

CARD = Card(
    base=Base(name="model.gguf", sha256="00ff"), family="lora", layers=2, parameters=1e6, centre=0.5, template="none"
)


def a_reward() -> RewardFile:
    rng = np.random.default_rng(0)
    update = (rng.normal(size=(2, 4)).astype(np.float16), rng.normal(size=(8, 2)).astype(np.float16))
    return RewardFile(CARD, rng.normal(size=4).astype(np.float32), {"layers.1.mlp.up_proj": update})


def test_a_reward_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Card, norm and low-rank changes."""
    file = tmp_path / "reward.safetensors"
    written = a_reward()
    written.save(file)
    found = load_reward(file)
    assert found.card == CARD
    assert found.parameters == 4 + 2 * 4 + 8 * 2
    np.testing.assert_array_equal(found.norm, written.norm)
    for one, other in zip(found.updates["layers.1.mlp.up_proj"], written.updates["layers.1.mlp.up_proj"], strict=True):
        np.testing.assert_array_equal(one, other)
    assert list(tmp_path.iterdir()) == [file]


def test_a_damaged_file_is_refused_wherever_it_was_hit(tmp_path: Path) -> None:
    """A cut one, one with a flipped bit among its numbers, one of something else, one that is not there."""
    file = tmp_path / "reward.safetensors"
    a_reward().save(file)
    content = file.read_bytes()
    file.write_bytes(content[:-3])
    with pytest.raises(WeightsError, match="is damaged"):
        load_reward(file)
    file.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    with pytest.raises(ChecksumError, match="not those that were written"):
        load_reward(file)
    file.write_bytes(b"{}")
    with pytest.raises(WeightsError, match="is damaged"):
        load_reward(file)
    with pytest.raises(WeightsError, match="cannot read"):
        load_reward(tmp_path / "missing.safetensors")


def test_other_safetensors_and_other_versions_are_told_apart(tmp_path: Path) -> None:
    """A model's weights are no reward; a newer format is named as such."""
    from safetensors.numpy import save_file

    file = tmp_path / "model.safetensors"
    save_file({"norm": np.zeros(4, np.float32)}, file)
    with pytest.raises(WeightsError, match="is no reward file"):
        load_reward(file)
    save_file({"norm": np.zeros(4, np.float32)}, file, {"rsd_reward": CARD.model_dump_json().replace("1,", "2,", 1)})
    with pytest.raises(WeightsError, match="another version"):
        load_reward(file)


def test_a_file_that_says_nothing_of_confidence_is_not_combined(tmp_path: Path) -> None:
    """It can be used alone, as the message says."""
    file = tmp_path / "reward.safetensors"
    a_reward().save(file)
    with pytest.raises(RewardError, match="Use it alone"):
        combined_reward(file)
