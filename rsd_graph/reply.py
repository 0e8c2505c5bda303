"""The response as one message of a conversation."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata

from rsd_graph.protocols import Named
from rsd_graph.state import Step, Stop, TokenUsage, Usage

MODEL_NAME = "rsd"
"""What the message says wrote it: LangChain counts usage by this name."""


def reply(
    response: str, *, message_id: str, steps: Sequence[Step], stop: Stop, usage: Usage, models: Mapping[str, Named]
) -> AIMessage:
    """The response as an `AIMessage`.

    Args:
        response: Its content.
        message_id: Its id, which every piece that was streamed carries.
        steps: What it consists of.
        stop: Why the run ended.
        usage: `usage_metadata` sums the tokens of all roles; `response_metadata` holds those of each.
        models: Draft, target and reward, by role.
    """
    metadata = {
        "model_name": MODEL_NAME,
        "models": {role: str(model.name) for role, model in models.items()},
        "finish_reason": "stop" if stop == "eos" else "length",
        "stop": stop,
        "usage": {role: _counts(tokens) for role, tokens in _roles(usage).items()},
        "steps": [step_as_json(step) for step in steps],
    }
    return AIMessage(response, id=message_id, response_metadata=metadata, usage_metadata=usage_metadata(usage))


def usage_metadata(usage: Usage) -> UsageMetadata:
    """The tokens of all roles, as LangChain counts them."""
    draft, target, reward = _roles(usage).values()
    return token_counts(draft + target + reward)


def token_counts(usage: TokenUsage) -> UsageMetadata:
    """Tokens, as LangChain counts them."""
    return UsageMetadata(
        input_tokens=usage.prompt,
        output_tokens=usage.completion,
        total_tokens=usage.prompt + usage.completion,
        input_token_details=InputTokenDetails(cache_read=usage.cached),
    )


def step_as_json(step: Step) -> dict[str, Any]:
    """A step as plain JSON: its text, its author and the reward of the draft's proposal."""
    return {"text": step.text, "author": step.author, "reward": step.reward}


def _roles(usage: Usage) -> dict[str, TokenUsage]:
    return {"draft": usage.draft, "target": usage.target, "reward": usage.reward}


def _counts(tokens: TokenUsage) -> dict[str, int]:
    return {"prompt": tokens.prompt, "cached": tokens.cached, "completion": tokens.completion}
