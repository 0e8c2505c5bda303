"""What checkpointers need to know of the graph's records."""

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from rsd_graph.channels import Appended
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, Step, TokenUsage, Usage

RECORDS = (Appended, Generation, RSDSettings, Step, TokenUsage, Usage)


def serializer() -> JsonPlusSerializer:
    """A serializer that restores the graph's own types, and no others: `InMemorySaver(serde=serializer())`.

    With its own serializer, a checkpointer logs a warning for each of these types.
    """
    return JsonPlusSerializer(allowed_msgpack_modules=[(record.__module__, record.__name__) for record in RECORDS])
