"""The child process of `verifier.py`, run by its path: it must import nothing from this package.

It reads one pair of answers per line from standard input, as JSON, and writes `true` or `false` per line to standard
output, after a first line that says it is ready.
"""

import json
import sys
from contextlib import suppress


def serve() -> None:
    """Compare pairs until standard input is closed."""
    from math_verify import parse, verify

    _say("ready")
    for line in sys.stdin:
        same = False
        with suppress(Exception, RecursionError, MemoryError):
            answer, reference = (parse(f"${text}$", parsing_timeout=None) for text in json.loads(line))
            same = verify(reference, answer, timeout_seconds=None)
        _say(json.dumps(bool(same)))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
