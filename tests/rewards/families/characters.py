"""A scoring backend whose tokens are characters, to see exactly what a family asks for."""

import asyncio
from collections.abc import Sequence
from typing import Any

from rsd_graph import TokenUsage
from rsd_graph.protocols import Reading, Turn
from rsd_graph.rewards.family import ScoreLastStep

USAGE = TokenUsage(prompt=9)


class Characters:
    """A backend whose tokens are characters; known markers are one token, below 0."""

    name = "characters"

    def __init__(self, *values: float, markers: Sequence[str] = ("<extra_0>", "<|endoftext|>")) -> None:
        self.values = values
        self.markers = list(markers)
        self.prompt = ""
        self.asked_labels: list[str] = []

    async def encode(self, text: str, *, special_tokens: bool = False) -> list[int]:
        tokens = [ord("^")] if special_tokens else []
        while text:
            marker = next((each for each in self.markers if text.startswith(each)), None)
            tokens.append(-1 - self.markers.index(marker) if marker else ord(text[0]))
            text = text[len(marker or "x") :]
        return tokens

    async def chat(self, turns: Sequence[Turn], *, generation_prompt: bool) -> list[int]:
        text = "".join(f"[{turn['role']}]{turn['content']}[end]" for turn in turns)
        return await self.encode(text + "[assistant]" * generation_prompt)

    async def head(self, tokens: Sequence[int]) -> Reading:
        self.prompt = self.decode(tokens)
        return Reading(self.values, USAGE)

    async def label_logprobs(self, tokens: Sequence[int], labels: Sequence[int]) -> Reading:
        self.prompt = self.decode(tokens)
        self.asked_labels = [self.decode([label]) for label in labels]
        return Reading(self.values, USAGE)

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(chr(token) if token >= 0 else self.markers[-1 - token] for token in tokens)


def score(score_last_step: ScoreLastStep, backend: Any, *steps: str) -> float:
    scored = asyncio.run(score_last_step(backend, "2+2?", steps))
    assert scored.usage == USAGE
    return scored.reward
