"""Math-Shepherd (peiyi9979/math-shepherd-mistral-7b-prm).

A Mistral 7B that answers `+` or `-` after each step's tag. The prompt is the problem, a space, and a line for each
step, `Step 1: ... ки`; the reward is the probability of `+` against `-` as the token after the last tag.
https://huggingface.co/peiyi9979/math-shepherd-mistral-7b-prm (arXiv 2312.08935)

A step that already begins with its number keeps it.
"""

import re
from collections.abc import Sequence

from rsd_graph.acceptance import sigmoid
from rsd_graph.errors import RewardError
from rsd_graph.protocols import ScoringBackend
from rsd_graph.rewards.family import Family
from rsd_graph.state import Score

TAG = "ки"
VERDICTS = "+ -"
NUMBERED = re.compile(r"\s*Step \d+:")


async def math_shepherd(backend: ScoringBackend, problem: str, steps: Sequence[str]) -> Score:
    """Score the last step as Math-Shepherd's authors do."""
    verdicts = await backend.encode(VERDICTS)
    if len(verdicts) != len(VERDICTS.split()):
        raise RewardError(f"{backend.name} has no single tokens for {VERDICTS!r}: it is no Math-Shepherd")
    lines = [
        f"{step if NUMBERED.match(step) else f'Step {number}: {step}'} {TAG}" for number, step in enumerate(steps, 1)
    ]
    tokens = await backend.encode(" ".join([problem, "\n".join(lines)]), special_tokens=True)
    reading = await backend.label_logprobs(tokens, verdicts)
    good, bad = reading.values
    return Score(sigmoid(good - bad), reading.usage)


MATH_SHEPHERD = Family(score=math_shepherd, names=r"math-shepherd.*prm", markers=(rf"(?<!\w){TAG}(?!\w)",))
