"""Qwen2.5-Math-PRM-7B and -72B, and Qwen2.5-Math-7B-PRM800K.

The solution is an assistant's turn in which each step ends with the token `<extra_0>`. A head with two labels sits on
that token; the reward is the softmax probability of the second. https://huggingface.co/Qwen/Qwen2.5-Math-PRM-7B

The authors read all steps' rewards from one pass over the whole conversation; the newest step's needs only what stands
before its token. A step that itself holds `<extra_0>` is encoded as the authors would, and read at the last one.
"""

from collections.abc import Sequence

from rsd_graph.acceptance import sigmoid
from rsd_graph.errors import RewardError
from rsd_graph.protocols import ScoringBackend
from rsd_graph.state import Score

SYSTEM_PROMPT = "Please reason step by step, and put your final answer within \\boxed{}."
MARKER = "<extra_0>"
LABELS = 2


async def qwen_prm(engine: ScoringBackend, problem: str, steps: Sequence[str]) -> Score:
    """Score the last step as Qwen2.5-Math-PRM's authors do."""
    marker = await engine.encode(MARKER)
    if len(marker) != 1:
        raise RewardError(f"{engine.name} has no token {MARKER}: it is no Qwen2.5-Math-PRM")
    conversation = await engine.chat(
        [
            {"role": "system", "content": SYSTEM_PROMPT},
            {"role": "user", "content": problem},
            {"role": "assistant", "content": "".join(f"{step}{MARKER}" for step in steps)},
        ],
        generation_prompt=False,
    )
    behind = conversation[::-1].index(marker[0])  # how many tokens close the turn
    reading = await engine.head(conversation[: len(conversation) - behind])
    if len(reading.values) != LABELS:
        raise RewardError(f"{engine.name} has {len(reading.values)} labels, and Qwen2.5-Math-PRM has {LABELS}")
    bad, good = reading.values
    return Score(sigmoid(good - bad), reading.usage)
