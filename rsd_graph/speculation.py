"""Token-level speculative decoding inside an engine: whether a model does it, and what its draft model proposes."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@runtime_checkable
class Speculator(Protocol):
    """A model that knows whether its engine speculates."""

    async def speculates(self) -> bool | None:
        """Whether the engine has a draft model that proposes tokens; None if it does not tell.

        Raises:
            ModelError: the model's server does not answer.
        """
        ...


@dataclass(slots=True)
class Proposals:
    """Tokens that an engine's draft model proposed."""

    proposed: int = 0
    accepted: int = 0
    """Those of them that the engine's model kept: its completion includes them."""


_counting: ContextVar[Proposals | None] = ContextVar("proposals", default=None)


@contextmanager
def counting_proposals() -> Iterator[Proposals]:
    """Count the proposals for all that is written in this block, as far as engines report them."""
    proposals = Proposals()
    token = _counting.set(proposals)
    try:
        yield proposals
    finally:
        _counting.reset(token)


def count_proposals(proposed: int, accepted: int) -> None:
    """Called by a model whose engine reports them."""
    counting = _counting.get()
    if counting is not None:
        counting.proposed += proposed
        counting.accepted += accepted
