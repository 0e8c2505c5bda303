"""Any chat model as the judge of the newest step, by the probability of Yes against No as its first token.

On a vLLM server and in this process the two words' own probabilities are read; `rewards.judge` asks other chat models,
which return only their likeliest tokens.

Measured on the embedded pair, small models are at chance where RSD needs a judge; use a capable one (docs/rewards.md).
"""

from collections.abc import Sequence

from rsd_graph.acceptance import sigmoid
from rsd_graph.protocols import ScoringBackend
from rsd_graph.rewards.family import Family
from rsd_graph.state import Score

QUESTION = """\
Here is a problem, and the beginning of a solution.

Problem:
{problem}

Steps so far:
{steps}

Newest step:
{candidate}

Is the newest step correct, given the problem and the steps before it? Answer with one word, Yes or No."""


YES, NO = "Yes", "No"


def question(problem: str, steps: Sequence[str]) -> str:
    """What the judge is asked about the last of these steps."""
    *before, newest = steps
    return QUESTION.format(problem=problem, steps="\n\n".join(before) or "(none)", candidate=newest)


async def judge(backend: ScoringBackend, problem: str, steps: Sequence[str]) -> Score:
    """Score the last step by the probability of Yes against No as the judge's first token."""
    tokens = await backend.chat([{"role": "user", "content": question(problem, steps)}], generation_prompt=True)
    words = [(await backend.encode(word))[0] for word in (YES, NO)]
    reading = await backend.label_logprobs(tokens, words)
    yes, no = reading.values
    return Score(sigmoid(yes - no), reading.usage)


JUDGE = Family(score=judge)
