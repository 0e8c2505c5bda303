import json
from types import SimpleNamespace
from typing import Any

from langchain_core.messages import AIMessage

from rsd_graph import Step, TokenUsage, Usage
from rsd_graph.reply import reply

USAGE = Usage(draft=TokenUsage(10, 4, 3), target=TokenUsage(20, 5, 7), reward=TokenUsage(30, 6, 1), discarded=2)


def replied(**changes: Any) -> AIMessage:
    models = {role: SimpleNamespace(name=f"{role}-7b") for role in ("draft", "target", "reward")}
    given: Any = {
        "message_id": "m",
        "steps": [Step("a", "draft", 0.9)],
        "stop": "eos",
        "usage": USAGE,
        "models": models,
    }
    return reply("a", **{**given, **changes})


def test_the_message_counts_the_tokens_of_all_roles() -> None:
    """In sum as LangChain counts them, and by role."""
    message = replied()
    assert message.usage_metadata == {
        "input_tokens": 60,
        "output_tokens": 11,
        "total_tokens": 71,
        "input_token_details": {"cache_read": 15},
    }
    assert message.response_metadata["usage"]["target"] == {"prompt": 20, "cached": 5, "completion": 7}


def test_the_metadata_is_plain_json() -> None:
    """With the names of the models, the end, and the steps with author and reward."""
    metadata = replied().response_metadata
    assert json.loads(json.dumps(metadata)) == metadata
    assert metadata["models"] == {"draft": "draft-7b", "target": "target-7b", "reward": "reward-7b"}
    assert (metadata["model_name"], metadata["stop"], metadata["finish_reason"]) == ("rsd", "eos", "stop")
    assert metadata["steps"] == [{"text": "a", "author": "draft", "reward": 0.9}]
    assert replied(stop="max_tokens").response_metadata["finish_reason"] == "length"
