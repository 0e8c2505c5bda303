import asyncio
import math
from collections.abc import Sequence

import pytest

from rsd_graph.errors import RewardError
from rsd_graph.protocols import Turn
from rsd_graph.rewards.families.trained import SAMPLE, TrainedScore, fingerprint, opening
from rsd_graph.state import Score
from tests.rewards.families.characters import Characters, score


class Slow(Characters):
    async def chat(self, turns: Sequence[Turn], *, generation_prompt: bool) -> list[int]:
        await asyncio.sleep(0)
        return await super().chat(turns, generation_prompt=generation_prompt)


def test_the_reward_is_read_after_the_newest_steps_delimiter() -> None:
    """In the draft's own conversation; the difference of the labels, shifted by the centre."""
    backend = Characters(math.log(3) + 1.0, 1.0)
    score_step = TrainedScore(centre=0.0, system_prompt="Think.")
    assert score(score_step, backend, "one", "two") == pytest.approx(0.75)
    assert backend.prompt == "[system]Think.[end][user]2+2?[end][assistant]one\n\ntwo\n\n"
    assert backend.asked_labels == ["Y", "N"]  # the first token of each; a backend of characters has no longer ones
    assert score(TrainedScore(centre=math.log(3)), backend, "one") == pytest.approx(0.5)


def test_another_template_is_refused_by_name() -> None:
    """Before any reward is given."""
    backend = Characters(1.0, 0.0)
    with pytest.raises(RewardError, match="another chat template or tokenizer"):
        asyncio.run(TrainedScore(template="of another model")(backend, "2+2?", ["one"]))
    assert backend.prompt == ""


def test_the_right_template_passes() -> None:
    """The fingerprint is taken of what the backend renders; also where several steps come at once."""
    backend = Characters(1.0, 0.0)

    async def sample() -> str:
        return fingerprint(await backend.chat(opening("", SAMPLE), generation_prompt=True))

    score_step = TrainedScore(template=asyncio.run(sample()), system_prompt="")

    async def at_once() -> list[Score]:
        return await asyncio.gather(*(score_step(Slow(1.0, 0.0), "2+2?", ["one"]) for _ in range(3)))

    assert all(scored.reward > 0.5 for scored in asyncio.run(at_once()))
