"""Rows of a data set on the Hugging Face hub."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rsd_graph.errors import ConfigurationError

NEEDS = "run `pip install 'rsd-graph[eval]'`"


@dataclass(frozen=True, slots=True)
class Hub:
    """Where a data set is on the hub."""

    path: str
    split: str
    config: str | None = None
    keep: tuple[str, frozenset[str]] | None = None
    """A field, and its values in the rows that belong to this data set; all rows by default."""


def hub_rows(hub: Hub) -> Iterator[dict[str, Any]]:
    """The rows, as the publisher has them; the `datasets` package keeps them in its cache.

    Raises:
        ConfigurationError: the hub cannot be reached, or does not give the data set out.
        ImportError: the package `datasets` is not installed.
    """
    from datasets import load_dataset

    try:
        rows = load_dataset(hub.path, hub.config, split=hub.split)
    except (OSError, ValueError, RuntimeError) as error:  # its own errors are subclasses of these
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigurationError(
            f"cannot load {hub.path} from the hub: {said[0]:.300}; pass a file in its publisher's format instead"
        ) from error
    for row in rows:
        if hub.keep is None or row[hub.keep[0]] in hub.keep[1]:
            yield dict(row)
