"""On real bytes: SmolLM2-135M in this process."""

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from rsd_graph._internal import background
from rsd_graph.errors import RewardError, WeightsError
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp
from rsd_graph.models.llamacpp_scorer import LlamaCppScorer


@pytest.fixture(scope="module")
def scorer(tiny_weights: Path) -> Iterator[LlamaCppScorer]:
    scorer = LlamaCppScorer(EmbeddedLlamaCpp(tiny_weights, name="tiny", slots=1, context=256, threads=1))
    asyncio.run(scorer.start())
    yield scorer
    background.run(scorer.aclose())


def test_labels_share_the_probability(scorer: LlamaCppScorer) -> None:
    """Among themselves, in the order asked for."""
    tokens = asyncio.run(scorer.encode("The capital of France is"))
    right, wrong = (asyncio.run(scorer.encode(word))[0] for word in (" Paris", " seven"))
    reading = asyncio.run(scorer.label_logprobs(tokens, [right, wrong]))
    assert sum(map(math.exp, reading.values)) == pytest.approx(1, abs=1e-4)
    assert reading.values[0] > reading.values[1]
    swapped = asyncio.run(scorer.label_logprobs(tokens, [wrong, right]))
    assert swapped.values == pytest.approx(reading.values[::-1], abs=1e-3)


def test_what_was_read_is_cached(scorer: LlamaCppScorer) -> None:
    """A longer prompt reads only what is new."""
    tokens = asyncio.run(scorer.encode("one two three four five six seven eight nine ten"))
    asyncio.run(scorer.label_logprobs(tokens, [1, 2]))
    longer = [*tokens, *asyncio.run(scorer.encode(" eleven"))]
    usage = asyncio.run(scorer.label_logprobs(longer, [1, 2])).usage
    assert usage.prompt == len(longer)
    assert usage.cached >= len(tokens) - 1


def test_a_chat_ends_ready_for_the_answer(scorer: LlamaCppScorer) -> None:
    """Special tokens in the rendering count as such; a closed conversation cannot be rendered."""
    tokens = asyncio.run(scorer.chat([{"role": "user", "content": "hello"}], generation_prompt=True))
    opening = asyncio.run(scorer.encode("<|im_start|>assistant\n"))
    assert tokens[-len(opening) :] == opening
    assert len(asyncio.run(scorer.encode("<|im_start|>"))) == 1
    with pytest.raises(RewardError, match=r"tiny: llama\.cpp cannot render"):
        asyncio.run(scorer.chat([{"role": "user", "content": "hello"}], generation_prompt=False))


def test_a_reward_head_is_refused(scorer: LlamaCppScorer) -> None:
    """The message says what can read one."""
    with pytest.raises(RewardError, match=r"tiny: .*use vLLM"):
        asyncio.run(scorer.head([1]))


def test_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    """When the scorer starts, not in the middle of a run."""
    with pytest.raises(WeightsError, match=r"gone\.gguf"):
        asyncio.run(LlamaCppScorer(EmbeddedLlamaCpp(tmp_path / "gone.gguf")).start())
