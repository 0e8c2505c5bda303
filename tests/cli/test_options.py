from typing import Any

import pytest

from rsd_graph.cli.options import place, reward_table
from rsd_graph.config import kinds, load_config


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("confidence", {"kind": "confidence", "model": None}),
        ("judge", {"kind": "judge", "model": None}),
        ("foo", {"kind": "foo", "model": None}),
        ("http://host:8002", {"url": "http://host:8002"}),
        ("https://host/reward", {"url": "https://host/reward"}),
        ("outcome:http://host:8002", {"kind": "outcome", "url": "http://host:8002"}),
        ("qwen-prm:https://host", {"kind": "qwen-prm", "url": "https://host"}),
        ("my.safetensors", {"path": "my.safetensors"}),
        ("folder/my.safetensors", {"path": "folder/my.safetensors"}),
        ("C:my.safetensors", {"path": "C:my.safetensors"}),
        ("trained:my.safetensors", {"kind": "trained", "path": "my.safetensors"}),
        ("combined:my.safetensors", {"kind": "combined", "path": "my.safetensors"}),
        ("judge:model.gguf", {"kind": "judge", "path": "model.gguf"}),
        ("trained:", {"kind": "trained:", "model": None}),
    ],
)
def test_one_word_says_what_the_reward_is(text: str, table: dict[str, Any]) -> None:
    """A kind, a place, or both with a colon between them; what is neither is refused later, by name."""
    assert reward_table(text) == table


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_can_stand_before_a_url(kind: str) -> None:
    """Those that the configuration knows."""
    assert reward_table(f"{kind}:http://host:8002") == {"kind": kind, "url": "http://host:8002"}


def test_a_kind_replaces_the_reward_model_of_a_preset() -> None:
    """Nothing is left of the preset's table."""
    overrides = {"preset": "qwen2.5-math-7b", "reward": reward_table("confidence")}
    reward = load_config(None, overrides).reward
    assert (reward.resolved_kind, reward.model, reward.parameters) == ("confidence", None, None)


def test_a_model_is_at_a_url_or_in_a_file() -> None:
    """`--draft` and `--target`."""
    assert place("http://host:8000") == {"url": "http://host:8000"}
    assert place("models/draft.gguf") == {"path": "models/draft.gguf"}
