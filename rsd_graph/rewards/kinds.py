"""Which process reward model a model's name stands for."""

import re
from typing import Literal

KnownKind = Literal["skywork", "qwen-prm", "math-shepherd", "rlhflow"]

NAMES: dict[KnownKind, str] = {
    "skywork": r"skywork-o1-open-prm",
    "qwen-prm": r"qwen2\.5-math-(prm|7b-prm800k)",
    "math-shepherd": r"math-shepherd.*prm",
    "rlhflow": r"llama3\.1-8b-prm",
}


def kind_of(model: str) -> KnownKind | None:
    """The kind of a model of this name, as on the hub or in a path; None for one that is not known."""
    for kind, pattern in NAMES.items():
        if re.search(pattern, model, re.IGNORECASE):
            return kind
    return None
