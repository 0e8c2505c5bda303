"""The objects that the endpoint answers with, as OpenAI describes them, and what stands in their field `rsd`."""

import time
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rsd_graph.gateway.run import KeptStep, Outcome
from rsd_graph.gateway.thinking import Piece
from rsd_graph.state import TokenUsage, Usage


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all objects of one answer share."""

    id: str
    model: str
    include_usage: bool = False
    """Whether every object of a stream has the field `usage`, of which only the last is not null."""
    created: int = field(default_factory=lambda: int(time.time()))

    def chunk(self, delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
        """One object of a stream."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        usage = {"usage": None} if self.include_usage else {}
        return self._object("chat.completion.chunk", [choice], usage | more)

    def usage_chunk(self, usage: Usage) -> dict[str, Any]:
        """The object at the end of a stream that tells its tokens."""
        return self._object("chat.completion.chunk", [], {"usage": tokens(usage)})

    def whole(self, message: dict[str, Any], outcome: Outcome, **more: Any) -> dict[str, Any]:
        """The answer in one object."""
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": outcome.finish_reason}
        return self._object("chat.completion", [choice], {"usage": tokens(outcome.usage), **more})

    def _object(
        self, kind: Literal["chat.completion", "chat.completion.chunk"], choices: list[Any], more: dict[str, Any]
    ) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
            **more,
        }


def delta(piece: Piece) -> dict[str, str]:
    """A piece of the response. Clients look for reasoning under one of two names."""
    if piece.kind == "content":
        return {"content": piece.text}
    return {"reasoning_content": piece.text, "reasoning": piece.text}


def message(pieces: list[Piece]) -> dict[str, Any]:
    """All pieces as one message."""
    content, reasoning = (
        "".join(piece.text for piece in pieces if piece.kind == kind) for kind in ("content", "reasoning")
    )
    thought = {"reasoning_content": reasoning, "reasoning": reasoning} if reasoning else {}
    return {"role": "assistant", "content": content, "refusal": None, **thought}


def tokens(usage: Usage) -> dict[str, Any]:
    """The tokens of all three models."""
    total = usage.draft + usage.target + usage.reward
    return {
        "prompt_tokens": total.prompt,
        "completion_tokens": total.completion,
        "total_tokens": total.prompt + total.completion,
        "prompt_tokens_details": {"cached_tokens": total.cached},
    }


def told_step(kept: KeptStep) -> dict[str, Any]:
    """A step, as the field `rsd` tells it."""
    step = kept.step
    return {
        "index": kept.index,
        "text": step.text,
        "author": step.author,
        "reward": step.reward,
        "rejected": kept.rejected,
    }


def told_outcome(outcome: Outcome) -> dict[str, Any]:
    """Why the run ended, its answer, and its tokens by role, as the field `rsd` tells them."""
    usage = outcome.usage
    roles: dict[str, TokenUsage] = {"draft": usage.draft, "target": usage.target, "reward": usage.reward}
    return {
        "stop": outcome.stop,
        "answer": outcome.answer,
        "usage": {**{role: asdict(used) for role, used in roles.items()}, "discarded": usage.discarded},
    }
