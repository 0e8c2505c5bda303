"""Rewards through a real vLLM server, against plain transformers, on tiny random checkpoints."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from rsd_graph._internal import background
from rsd_graph.errors import ContextOverflowError, ModelResponseError
from rsd_graph.models.retries import NO_RETRY
from rsd_graph.models.transformers_scorer import TransformersScorer
from rsd_graph.models.vllm_scorer import VLLMScorer
from rsd_graph.protocols import ScoringBackend
from rsd_graph.rewards.families import FAMILIES, score_last_step
from tests.vllm.checkpoints import checkpoint
from tests.vllm.conftest import serving
from tests.vllm.metrics import counters

PAIRS = 50
PROBLEMS = (
    "What is 2+2?",
    "Let $x^2 = 2$.\n\nFind \\(x\\). Ünïcode: 漢字, 🙂.",
    "ки <extra_0> <|im_end|> + -",
    "",
)
STEPS = (
    "2+2=4",
    "\\[ \\frac{a}{b} = \\sqrt{2} \\]",
    "ünï¢ødé 漢字 🙂",
    "a\n\n\nb",
    "",
    " \n ",
    "<extra_0> inside",
    "it is + or - ки",
    "Step 3: so",
    "trailing  \n",
    "x" * 300,
    "<|im_end|>\n<|im_start|>user\nno",
    "The answer is \\boxed{23}.",
)
STEP = "Then we add 17 and 25 to get 42, and subtract 3, so that 39 apples are left in the basket of the second boy."


class Served(NamedTuple):
    """A reward model on a server, and the same in this process."""

    kind: str
    url: str
    backend: VLLMScorer
    reference: TransformersScorer


@pytest.fixture(
    scope="module", params=["skywork", "qwen-prm", "math-shepherd", "rlhflow", "outcome", "judge", "trained"]
)
def served(request: pytest.FixtureRequest, logs: Path) -> Iterator[Served]:
    """Each reward model in turn; the judge is the real draft, and the trained reward the shipped one, exported."""
    kind: str = request.param
    model = checkpoint({"judge": "draft"}.get(kind, kind))
    flags = FAMILIES[kind].vllm_flags
    with serving(model, logs / kind, *flags) as url:
        backend = VLLMScorer(url, retry=NO_RETRY)
        yield Served(kind, url, backend, TransformersScorer(model, head=FAMILIES[kind].head, dtype="float32"))
        background.run(backend.aclose())


def reward(backend: ScoringBackend, kind: str, problem: str, steps: list[str]) -> float:
    return asyncio.run(score_last_step(kind)(backend, problem, steps)).reward


def test_a_reward_is_what_transformers_computes(served: Served) -> None:
    """Within 1e-3, over odd problems and steps, and not the same number for all of them."""
    draw = random.Random(0)
    pairs = [(draw.choice(PROBLEMS), draw.choices(STEPS, k=draw.randint(1, 6))) for _ in range(PAIRS)]
    ours = [reward(served.backend, served.kind, *pair) for pair in pairs]
    reference = [reward(served.reference, served.kind, *pair) for pair in pairs]
    worst = max(abs(one - other) for one, other in zip(ours, reference, strict=True))
    print(f"\n{served.kind}: {PAIRS} pairs, largest difference {worst:.1e}, rewards {min(ours):.3f} to {max(ours):.3f}")
    assert worst <= 1e-3
    assert max(ours) - min(ours) > 0.05


def test_a_step_costs_its_own_tokens(served: Served) -> None:
    """From the server's own metrics: as much at the 40th step as at the 5th."""
    early, late = computed_early_and_late(served.backend, served.url, served.kind)
    print(f"\n{served.kind}: {early:.0f} tokens a step around step 8, {late:.0f} around step 36")
    assert late <= 1.5 * early


def test_a_prompt_beyond_the_context_is_a_named_stop(served: Served) -> None:
    """Not a crash, and not tried again."""
    with pytest.raises(ContextOverflowError):
        reward(served.backend, served.kind, "word " * 9000, ["x"])


def test_the_wrong_kind_is_an_error_that_says_so(served: Served) -> None:
    """A language model has no reward head, and a reward model no next token."""
    wrong = "skywork" if served.kind in ("judge", "rlhflow", "math-shepherd", "trained") else "rlhflow"
    with pytest.raises(ModelResponseError):
        reward(served.backend, wrong, "p", ["x"])


@pytest.mark.parametrize(
    ("kind", "flags"),
    [("skywork", ("--pooler-config", '{"task": "token_classify"}')), ("qwen-prm", ())],
)
def test_token_wise_pooling_encodes_everything_again(kind: str, flags: Sequence[str], logs: Path) -> None:
    """How vLLM serves these models otherwise: the same rewards, at a price that grows with the answer."""
    with serving(checkpoint(kind), logs / f"{kind}-token-wise", *flags) as url:
        backend = VLLMScorer(url, retry=NO_RETRY)
        reference = TransformersScorer(checkpoint(kind), head=FAMILIES[kind].head, dtype="float32")
        for problem in PROBLEMS:
            ours = reward(backend, kind, problem, list(STEPS))
            assert ours == pytest.approx(reward(reference, kind, problem, list(STEPS)), abs=1e-3)
        early, late = computed_early_and_late(backend, url, kind)
        print(f"\n{kind}, token-wise: {early:.0f} tokens a step around step 8, {late:.0f} around step 36")
        assert late > 3 * early
        background.run(backend.aclose())


def computed_early_and_late(backend: ScoringBackend, url: str, kind: str) -> tuple[float, float]:
    """Prompt tokens that the server computed for a step, of 40: the mean of steps 5 to 12, and of 33 to 40."""
    steps: list[str] = []
    costs = []
    for number in range(40):
        steps.append(f"{number}. {STEP}")
        before = counters(url)["computed"]
        reward(backend, kind, "How many apples?", steps)
        costs.append(counters(url)["computed"] - before)
    return sum(costs[4:12]) / 8, sum(costs[32:40]) / 8
