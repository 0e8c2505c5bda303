"""What checkpointers need to know of the graph's records, and what a checkpoint is of."""

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import StateSnapshot

from rsd_graph.channels import Appended
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, Step, TokenUsage, Usage

RECORDS = (Appended, Generation, RSDSettings, Step, TokenUsage, Usage)


def serializer() -> JsonPlusSerializer:
    """A serializer that restores the graph's own types, and no others: `InMemorySaver(serde=serializer())`.

    With its own serializer, a checkpointer logs a warning for each of these types.
    """
    return JsonPlusSerializer(allowed_msgpack_modules=[(record.__module__, record.__name__) for record in RECORDS])


def is_undecided(snapshot: StateSnapshot) -> bool:
    """Whether the checkpoint holds a proposal of the draft that has been scored, and of which nothing has been made.

    A run that is forked there decides again.
    """
    state = snapshot.values
    is_scored = bool(snapshot.next) and snapshot.next[0] in {"check", "target", "review"}
    return is_scored and state["author"] == "draft" and state["proposal"] is not None and not state.get("chosen")
