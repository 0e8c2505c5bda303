"""RLHFlow's Llama3.1-8B-PRM-Deepseek-Data and -Mistral-Data.

Each step is a user's turn, the first one after the problem, and the model answers each with `+` or `-`. Earlier
steps count as answered with `+`, as in the authors' script; the reward is the probability of `+` against `-` as the
next answer's first token. https://github.com/RLHFlow/RLHF-Reward-Modeling (math-rm)
"""

from collections.abc import Sequence

from rsd_graph.acceptance import sigmoid
from rsd_graph.protocols import ScoringBackend, Turn
from rsd_graph.rewards.family import Family
from rsd_graph.state import Score

GOOD, BAD = "+", "-"


async def rlhflow(backend: ScoringBackend, problem: str, steps: Sequence[str]) -> Score:
    """Score the last step as the RLHFlow PRMs' authors do."""
    turns: list[Turn] = []
    for index, step in enumerate(steps):
        turns.append({"role": "user", "content": step if index else f"{problem} {step}"})
        turns.append({"role": "assistant", "content": GOOD})
    verdicts = [(await backend.encode(verdict))[-1] for verdict in (GOOD, BAD)]
    reading = await backend.label_logprobs(await backend.chat(turns[:-1], generation_prompt=True), verdicts)
    good, bad = reading.values
    return Score(sigmoid(good - bad), reading.usage)


RLHFLOW = Family(score=rlhflow, names=r"llama3\.1-8b-prm")
