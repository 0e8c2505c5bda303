"""Export a trained reward as a Hugging Face checkpoint, which vLLM serves like any language model."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError

from rsd_graph.errors import WeightsError
from rsd_graph.rewards.trained.file import RewardFile
from rsd_graph.rewards.trained.gguf import require_base
from rsd_graph.rewards.trained.tensors import require_fit
from rsd_graph.training.backbone import Backbone


def export(reward: RewardFile, base: Path, folder: Path) -> None:
    """Write the base's first layers with the reward merged in, in float32, and its tokenizer.

    Serve it with `--dtype float32`: half precision rounds the probe's large numbers of opposite signs.

    Args:
        reward: The reward.
        base: The model that it was trained on: a GGUF file or a folder.
        folder: Created if it does not exist.

    Raises:
        RewardError: the base is another model, or another quantisation of it, or does not fit the reward.
        WeightsError: the base cannot be read, or the folder cannot be written.
    """
    backbone = Backbone(base)
    require_base(reward, backbone.base.name, backbone.base.sha256)
    require_fit(
        reward.card,
        reward.norm,
        reward.updates,
        backbone.depth,
        lambda name: backbone.linear(name).weight.shape if int(name.split(".")[1]) < backbone.depth else None,
        backbone.norm().weight.shape[0],
    )
    with torch.no_grad():
        for name, (down, up) in reward.updates.items():
            backbone.linear(name).weight.add_(torch.from_numpy(up).float() @ torch.from_numpy(down).float())
        backbone.norm().weight.copy_(torch.from_numpy(reward.norm))
    try:
        backbone.cut(reward.card.layers).save_pretrained(folder)
        backbone.tokenizer.save_pretrained(folder)
        (folder / "reward_card.json").write_text(json.dumps(reward.card.model_dump(), indent=1))
    except (OSError, SafetensorError) as error:  # SafetensorError: the disk is full
        raise WeightsError(f"cannot write the checkpoint {folder}: {error}") from error
