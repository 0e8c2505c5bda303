"""What the tests share: the golden traces' place, and real tiny weights."""

from pathlib import Path

import pytest

from rsd_graph.models.weights import TINY, locate


@pytest.fixture(scope="session")
def tiny_weights() -> Path:
    """A real model file, fetched once into the cache: SmolLM2-135M."""
    return locate(TINY)
