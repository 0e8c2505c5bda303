"""Skywork-o1-Open-PRM-Qwen-2.5-1.5B and -7B.

The prompt is the beginning-of-text token, the problem and a line break, then each step's tokens followed by one token
for the step's end. The reward is the sigmoid of the value head there. Problem and steps are encoded one by one, as the
authors do, so that no token spans two of them. https://github.com/SkyworkAI/skywork-o1-prm-inference

The authors' example ends steps at a line break; RSD ends them at a blank line (arXiv 2501.19324, section 4), and so
does this. vLLM lacks the architecture; `rsd_graph.vllm_plugin` registers it.
"""

import asyncio
from collections.abc import Sequence
from itertools import chain

from rsd_graph.acceptance import sigmoid
from rsd_graph.errors import RewardError
from rsd_graph.protocols import ScoringBackend
from rsd_graph.rewards.family import Family
from rsd_graph.rewards.pieces import head_after
from rsd_graph.state import Score

BEGINNING = "<|endoftext|>"
"""Qwen2's beginning-of-text token (`bos_token_id` 151643). The authors write `tokenizer.bos_token`; their published
tokenizer could not be looked at."""
STEP_END = "\n\n"


async def skywork(backend: ScoringBackend, problem: str, steps: Sequence[str]) -> Score:
    """Score the last step as Skywork-o1-Open-PRM's authors do."""
    opening = f"{BEGINNING}{problem}\n"
    *_, end = ends = await backend.encode(STEP_END)
    if len(ends) == 1:
        reading = await head_after(backend, [opening, *chain.from_iterable((step, STEP_END) for step in steps)])
    else:
        first, *bodies = await asyncio.gather(*(backend.encode(text) for text in (opening, *steps)))
        reading = await backend.head([*first, *(token for body in bodies for token in (*body, end))])
    if len(reading.values) != 1:
        raise RewardError(f"{backend.name} has {len(reading.values)} labels, and Skywork's reward models have one")
    return Score(sigmoid(reading.values[0]), reading.usage)


SKYWORK = Family(
    score=skywork,
    names=r"skywork-o1-open-prm",
    head=("v_head.summary",),
    vllm_architectures={"Qwen2ForPrmModel": "rsd_graph.vllm_plugin.architectures:Qwen2ForPrmModel"},
)
