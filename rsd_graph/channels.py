"""How the state's keys are kept between the nodes, and what checkpoints store of them.

A run of n steps has 3n checkpoints or more. Each would hold every step, and the response once more, so that a thread
would grow with the square of its steps. Here checkpoints store of a growing value what is new (LangGraph's
`DeltaChannel`), and of records their bare values, because names of classes and fields take more room than the values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langgraph.channels import DeltaChannel, EphemeralValue, LastValue, UntrackedValue

from rsd_graph.settings import RSDSettings, with_fields

T = TypeVar("T")

SNAPSHOT_EVERY = 200
"""Steps after which a checkpoint holds the whole of a growing value. Fewer would cost more room, and more would make
reading a checkpoint slower, which has to collect what is new since the last whole one."""


class Pending(EphemeralValue[Any]):
    """Holds an input until it is taken: an edit of the state before the first draft does not lose it.

    Writing None takes it.
    """

    def update(self, values: Sequence[Any]) -> bool:
        """See LangGraph. The base class would clear the value at every superstep without a write."""
        return bool(values) and super().update([] if values[-1] is None else values)


class Watched(UntrackedValue[Any]):
    """Holds what the last node said of its work, for those who watch. No checkpoint stores it, and no output has it."""

    def update(self, values: Sequence[Any]) -> bool:
        """See LangGraph. The base class would keep the value after the next node."""
        if values or not self.is_available():
            return super().update(values)
        self.value = type(self)(self.typ).value
        return True


class Packed(LastValue[T], Generic[T]):
    """Holds a record, of which checkpoints store plain values. One that is stored as it is can be read too."""

    @staticmethod
    def pack(value: T) -> Any:
        """The plain values that stand for the record."""
        raise NotImplementedError

    @staticmethod
    def unpack(stored: Any) -> T:
        """The record that `pack` made `stored` of."""
        raise NotImplementedError

    def checkpoint(self) -> Any:
        """See LangGraph."""
        return self.pack(self.get()) if self.is_available() else super().checkpoint()

    def from_checkpoint(self, checkpoint: Any) -> Self:
        """See LangGraph."""
        new = super().from_checkpoint(checkpoint)
        if new.is_available():
            new.value = self.unpack(new.value)
        return new


class Chosen(Packed[RSDSettings]):
    """Holds the settings of the run. A write changes the fields that it sets, and leaves the others."""

    def update(self, values: Sequence[Any]) -> bool:
        """See LangGraph. Settings may come as a dict of some fields: an edit as JSON."""
        settings = [each if isinstance(each, RSDSettings) else RSDSettings.model_validate(each) for each in values]
        if settings and self.is_available():
            settings[-1] = with_fields(self.get(), settings[-1].model_dump(exclude_unset=True))
        return super().update(settings)

    @staticmethod
    def pack(value: RSDSettings) -> Any:
        """See `Packed`."""
        return value.model_dump(exclude_defaults=True)

    @staticmethod
    def unpack(stored: Any) -> RSDSettings:
        """See `Packed`."""
        return stored if isinstance(stored, RSDSettings) else RSDSettings.model_validate(stored)


class Said(Packed[list[BaseMessage]]):
    """Holds a conversation. Most of its messages are nothing but a text and who said it."""

    @staticmethod
    def pack(value: list[BaseMessage]) -> Any:
        """See `Packed`."""
        return [_bare(message) for message in value] if isinstance(value, list) else value

    @staticmethod
    def unpack(stored: Any) -> list[BaseMessage]:
        """See `Packed`."""
        return [BARE[each[0]](each[1]) if isinstance(each, list | tuple) else each for each in stored]


BARE: dict[str, type[BaseMessage]] = {"human": HumanMessage, "system": SystemMessage}


def _bare(message: BaseMessage) -> Any:
    kind = BARE.get(getattr(message, "type", ""))
    bare = isinstance(getattr(message, "content", None), str) and kind is not None and message == kind(message.content)
    return (message.type, message.content) if bare else message


@dataclass(frozen=True, slots=True)
class Appended:
    """A write to a growing value that holds only what is new: a checkpoint stores each step once."""

    kept: int
    """How many steps, or characters of the response, stay; what is new follows them."""
    new: list[Any] | str
    """The steps, or the text, that follow."""


def appended(before: Any, now: Any) -> Appended:
    """What changes `before` into `now`: all of `now`, unless it begins as `before` does, or is the beginning of it."""
    kept = min(len(before), len(now))
    kept = kept if before[:kept] == now[:kept] else 0
    return Appended(kept, now[kept:])


def grown(value: Any, writes: Sequence[Any]) -> Any:
    """The value after these writes: an `Appended` extends it, and anything else, such as an edit, replaces it."""
    for write in map(_whole, writes):
        value = value[: write.kept] + write.new if isinstance(write, Appended) else write
    return value


def _whole(write: Any) -> Any:
    """A checkpointer that knows no types of ours, such as the LangGraph API's, makes a dict of an `Appended`."""
    is_appended = isinstance(write, dict) and write.keys() == {"kept", "new"}
    return Appended(**write) if is_appended else write


class Growing(DeltaChannel[Any]):
    """Holds a value that grows with the run. Checkpoints store what each write adds, and now and then the whole."""

    @property
    def UpdateType(self) -> Any:  # noqa: N802  # LangGraph's name
        """See LangGraph. A strict checkpointer restores only the types that are named here."""
        return self.typ | Appended

    def from_checkpoint(self, checkpoint: Any) -> Self:
        """See LangGraph. Before its first write, the key is missing, as every other is."""
        missing = type(self)(self.reducer, self.typ).value
        is_missing = checkpoint is None or checkpoint is missing
        new = super().from_checkpoint(() if is_missing else checkpoint)
        if is_missing:
            new.value = missing
        return new

    def update(self, values: Sequence[Any]) -> bool:
        """See LangGraph. The first write is a whole value."""
        if values and not self.is_available():
            self.value = None
        return super().update(values)


GROWING = Growing(grown, snapshot_frequency=SNAPSHOT_EVERY)
"""For `Annotated`."""
