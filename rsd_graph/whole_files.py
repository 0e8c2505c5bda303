"""Files that appear whole or not at all, whatever stops the process that writes them."""

from pathlib import Path


def write_whole(file: Path, content: bytes) -> None:
    """Write the file beside its place, and put it there once it is complete. Raises OSError as `Path.write_bytes`."""
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_bytes(content)
    unfinished.replace(file)
