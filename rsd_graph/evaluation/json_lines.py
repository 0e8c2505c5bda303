"""Files of JSON lines that people hand in."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from rsd_graph.errors import ConfigurationError

T = TypeVar("T")


def read_lines(file: Path, what: str, parse: Callable[[Any], T]) -> list[T]:
    """What `parse` makes of each line that is not blank.

    Args:
        file: Of JSON lines.
        what: A line should be, for messages, with its article and what it needs.
        parse: May raise ValueError, KeyError, TypeError or AttributeError for a line that is none.

    Raises:
        ConfigurationError: the file cannot be read, or a line is none; the message names it.
    """
    try:
        lines = file.read_text().split("\n")  # and not at the other line ends of Unicode, which JSON may hold
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {file}: {error}") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(parse(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(f"{file}, line {number}, is not {what}: {error!r}") from error
    return found
