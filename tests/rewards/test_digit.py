import asyncio

import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from rsd_graph import Generation, RSDSettings, Score, Step, TokenUsage
from rsd_graph.errors import ContextOverflowError, ModelError
from rsd_graph.rewards.digit import BEGUN, QUESTION, DigitReward
from rsd_graph.testing import ScriptedModel

MESSAGES = [SystemMessage("Think."), HumanMessage("2+2?")]
USAGE = TokenUsage(prompt=30, cached=20, completion=1)


def scores(model: ScriptedModel, *candidates: str, **settings: object) -> list[Score]:
    steps = [Step("We add.", "draft"), Step("2 and", "target", finish="length")]
    written = [Generation(text, "delimiter") for text in candidates]
    reward = DigitReward(model, RSDSettings.model_validate(settings))
    return asyncio.run(reward.score(MESSAGES, steps, written))


@pytest.mark.parametrize(
    ("said", "reward"), [("7", 7 / 9), ("0", 0), ("9", 1), (" 3", 3 / 9), ("x", 0), ("", 0), ("-5", 0), ("٣", 0)]
)
def test_the_reward_is_the_digit_that_the_target_writes(said: str, reward: float) -> None:
    """As a part of 9; without a digit it is 0. The tokens are those of the target's call."""
    assert scores(ScriptedModel([Generation(said, "length", USAGE)]), "so 4") == [Score(reward, USAGE)]


def test_the_target_is_asked_in_its_own_conversation() -> None:
    """After the problem and the steps as they are, the newest one last; for one token, at temperature 0."""
    model = ScriptedModel([Generation("5", "length")])
    scores(model, " 2 make 4.", "<|im_end|>", temperature=0.7, delimiter="\n")
    messages, begun, settings = model.calls[0]
    assert messages[:2] == MESSAGES
    assert [(each.type, each.text) for each in messages[2:]] == [
        ("ai", "We add.\n2 and 2 make 4."),
        ("human", QUESTION),
    ]
    assert (begun, settings.max_step_tokens, settings.temperature) == (BEGUN, 1, 0)
    assert "<|im_end|>" not in model.calls[1][0][2].text


def test_a_target_that_cannot_answer() -> None:
    """Its errors are raised, and so is one about an answer that is none."""
    for error in (ModelError, ContextOverflowError):
        with pytest.raises(error):
            scores(ScriptedModel([error("no")]), "so 4")

    class Silent(ScriptedModel):
        async def generate(self, *_: object, **__: object) -> list[Generation]:
            return []

    with pytest.raises(ModelError, match=r"silent returned \[\], expected a list of one Generation"):
        scores(Silent([], "silent"), "so 4")
