from typing import Any

import pytest

from rsd_graph.cli.options import reward_table


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("confidence", {"kind": "confidence", "model": None}),
        ("http://host:8002", {"url": "http://host:8002"}),
        ("outcome:http://host:8002", {"kind": "outcome", "url": "http://host:8002"}),
        ("my.safetensors", {"path": "my.safetensors"}),
        ("trained:my.safetensors", {"kind": "trained", "path": "my.safetensors"}),
        ("judge:model.gguf", {"kind": "judge", "path": "model.gguf"}),
    ],
)
def test_one_word_says_what_the_reward_is(text: str, table: dict[str, Any]) -> None:
    """A kind, a place, or both with a colon between them."""
    assert reward_table(text) == table
