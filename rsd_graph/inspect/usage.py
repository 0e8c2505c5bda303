"""Tokens by role, counted where inspect_ai counts those of any model: in the log's model usage and role usage."""

from inspect_ai.model import ModelUsage, get_model
from inspect_ai.model._model import record_and_check_model_usage

from rsd_graph.state import TokenUsage, Usage
from rsd_graph.strategies.outcome import Models


def record(usage: Usage, models: Models) -> None:
    """Count the tokens of a run for the running sample; inspect_ai's `--token-limit` then applies to them.

    inspect_ai has no public function for usage that arises outside its own models, hence the private import.
    """
    for role, name, tokens in (
        ("draft", models.draft.name, usage.draft),
        ("target", models.target.name, usage.target),
        ("reward", models.reward.name, usage.reward),
    ):
        if tokens != TokenUsage():
            record_and_check_model_usage(get_model(f"rsd/{name}"), model_usage(tokens), role)


def model_usage(tokens: TokenUsage) -> ModelUsage:
    """The tokens in inspect_ai's terms: its `input_tokens` leaves out what was in the cache."""
    return ModelUsage(
        input_tokens=tokens.prompt - tokens.cached,
        input_tokens_cache_read=tokens.cached,
        output_tokens=tokens.completion,
        total_tokens=tokens.prompt + tokens.completion,
    )
