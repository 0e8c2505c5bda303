from pathlib import Path

import pytest
import torch

from rsd_graph.errors import WeightsError
from rsd_graph.models.weights import sha256_of
from rsd_graph.training.backbone import Backbone, check_architecture, identity
from tests.small_model import LAYERS


def test_a_model_that_cannot_be_trained_is_refused_before_any_work(tmp_path: Path) -> None:
    """One of another architecture, or whose weights could not be told from others."""
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(WeightsError, match="'gpt2'; llama and qwen2 can be trained"):
        check_architecture(tmp_path)
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(WeightsError, match=r"no \*.safetensors"):
        identity(tmp_path)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    """With its path in the message."""
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(WeightsError, match=r"cannot load the draft .*text\.gguf"):
        check_architecture(tmp_path / "text.gguf")
    with pytest.raises(WeightsError, match="cannot load the draft"):
        Backbone(tmp_path)


def test_a_gguf_file_is_loaded(backbone: Backbone, small_weights: Path) -> None:
    """Depth and identity are the file's; fewer layers have fewer parameters."""
    check_architecture(small_weights)
    assert backbone.depth == LAYERS
    assert backbone.base.sha256 == sha256_of(small_weights) == identity(small_weights)
    assert 0 < backbone.parameters(2) < backbone.parameters(3)


def test_layers_resume_where_hidden_states_end(backbone: Backbone) -> None:
    """Two layers and then one more give what three give at once."""
    tokens = backbone.prompt("2+2?")
    two, three = backbone.states(tokens, [2, 3])
    mask = torch.ones(1, len(tokens), dtype=torch.long)
    torch.testing.assert_close(backbone.top(2, 3, two[None].clone(), mask)[0], three, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(backbone.top(2, 2, two[None], mask)[0], two)


def test_hidden_states_are_those_of_transformers(small_weights: Path) -> None:
    """After any number of layers, the embeddings included; also after more layers than were asked for before."""
    backbone = Backbone(small_weights)
    tokens = backbone.prompt("2+2?")
    with torch.inference_mode():
        expected = backbone.model(torch.tensor([tokens]), output_hidden_states=True).hidden_states
    for layers in ([1], [3, 0], [2, 2]):
        for layer, found in zip(layers, backbone.states(tokens, layers), strict=True):
            torch.testing.assert_close(found, expected[layer][0])
