"""The child process of `verifier.py`, run by its path.

It reads one pair of answers per line from standard input, as JSON, and writes `true` or `false` per line to standard
output, after a first line that says it is ready. The package is found without running its `__init__`, which would
import LangGraph and double the time until the first comparison.
"""

import json
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType

_DEEPEST = 10_000  # calls: a sum of a thousand terms is a thousand calls deep


def serve() -> None:
    """Compare pairs until standard input is closed."""
    package = ModuleType("rsd_graph")
    package.__path__ = [str(Path(__file__).parents[1])]
    sys.modules["rsd_graph"] = package
    import math_verify  # noqa: F401  now: importing sympy must not count for a pair's timeout

    from rsd_graph.answers.judge import judge

    sys.setrecursionlimit(_DEEPEST)
    _say("ready")
    for line in sys.stdin:
        same = False
        with suppress(Exception, RecursionError, MemoryError):
            same = judge(*json.loads(line))
        _say(json.dumps(same))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
