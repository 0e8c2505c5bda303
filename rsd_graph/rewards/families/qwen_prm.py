"""Qwen2.5-Math-PRM-7B and -72B, and Qwen2.5-Math-7B-PRM800K.

The solution is an assistant's turn in which each step ends with the token `<extra_0>`. A head with two labels sits on
that token; the reward is the softmax probability of the second. https://huggingface.co/Qwen/Qwen2.5-Math-PRM-7B

The authors read all steps' rewards from one pass over the whole conversation; the newest step's reward needs only
what precedes its token.
"""

import json
from collections.abc import Sequence

from rsd_graph.acceptance import sigmoid
from rsd_graph.errors import RewardError
from rsd_graph.protocols import ScoringBackend
from rsd_graph.rewards.family import Family
from rsd_graph.state import Score

SYSTEM_PROMPT = "Please reason step by step, and put your final answer within \\boxed{}."
MARKER = "<extra_0>"
LABELS = 2


async def qwen_prm(backend: ScoringBackend, problem: str, steps: Sequence[str]) -> Score:
    """Score the last step as Qwen2.5-Math-PRM's authors do."""
    marker = await backend.encode(MARKER)
    if len(marker) != 1:
        raise RewardError(f"{backend.name} has no token {MARKER}: it is no Qwen2.5-Math-PRM")
    conversation = await backend.chat(
        [
            {"role": "system", "content": SYSTEM_PROMPT},
            {"role": "user", "content": problem},
            {"role": "assistant", "content": "".join(f"{step}{MARKER}" for step in steps)},
        ],
        generation_prompt=False,
    )
    closing = conversation[::-1].index(marker[0])  # tokens after the last marker: they close the turn
    reading = await backend.head(conversation[: len(conversation) - closing])
    if len(reading.values) != LABELS:
        raise RewardError(f"{backend.name} has {len(reading.values)} labels, and Qwen2.5-Math-PRM has {LABELS}")
    bad, good = reading.values
    return Score(sigmoid(good - bad), reading.usage)


LAST_STEP = "Qwen2ForLastStepReward"
"""The same checkpoint, read by vLLM at the last token. As vLLM serves it by itself, it encodes the whole solution again
for each step."""

QWEN_PRM = Family(
    score=qwen_prm,
    names=r"qwen2\.5-math-(prm|7b-prm800k)",
    head=("score.0", "score.2"),
    markers=(MARKER,),
    vllm_flags=("--hf-overrides", json.dumps({"architectures": [LAST_STEP]})),
    vllm_architectures={LAST_STEP: f"rsd_graph.vllm_plugin.architectures:{LAST_STEP}"},
)
