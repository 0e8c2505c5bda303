"""The one entry point for a process reward model on a server."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rsd_graph.errors import ConfigurationError
from rsd_graph.models.retries import RetryPolicy
from rsd_graph.protocols import ScoringBackend
from rsd_graph.rewards.families import FAMILIES, recognize, score_last_step
from rsd_graph.rewards.family import ScoreLastStep
from rsd_graph.rewards.prm import ProcessReward
from rsd_graph.state import Score

if TYPE_CHECKING:
    from rsd_graph.models.vllm_scorer import VLLMScorer


def process_reward(
    url: str,
    *,
    kind: str | None = None,
    model: str | None = None,
    api_key: str | None = None,
    timeout: float = 600,
    parameters: float | None = None,
    centre: float = 0.0,
    scale: float = 1.0,
    chat_template_kwargs: Mapping[str, Any] | None = None,
    retry: RetryPolicy | None = None,
) -> ProcessReward:
    """A process reward model on a vLLM server, as the graph's reward. Nothing is asked of the server yet.

    Args:
        url: The server's address, with or without `/v1`.
        kind: The model's family, a key of `rewards.families.FAMILIES` such as `skywork` or `qwen-prm`. By default it is
            recognized from the model's name, with the first step if `model` is not given.
        model: The name that the server knows the model by; by default the first that it lists.
        api_key: Sent as a bearer token.
        timeout: Seconds that one request of a reward may take.
        parameters: Number of the model's parameters, for the FLOPs count; unknown by default.
        centre: Of the kinds `outcome` and `trained`: the logit at which the reward is 0.5.
        scale: Of the kind `outcome`: the distance in logits from there to a reward of 0.73.
        chat_template_kwargs: Passed to the model's chat template, such as `{"enable_thinking": False}`.
        retry: How long to keep asking a server that does not answer.

    Raises:
        ConfigurationError: there is no such kind, or no family claims the name of `model`. Without both, the name is
            read when the first step is scored, and the error is raised there.
    """
    from rsd_graph.models.vllm_scorer import VLLMScorer

    backend = VLLMScorer(
        url, model=model, api_key=api_key, timeout=timeout, chat_template_kwargs=chat_template_kwargs, retry=retry
    )
    if kind is None and model is not None:
        kind = _kind_of(model)
    score = _recognized(backend, centre, scale) if kind is None else score_last_step(kind, centre=centre, scale=scale)
    return ProcessReward(score, backend, parameters=parameters)


def _recognized(scorer: "VLLMScorer", centre: float, scale: float) -> ScoreLastStep:
    """Scores as the family does that the server's model belongs to. The scorer asks for the name once."""

    async def score(backend: ScoringBackend, problem: str, steps: Sequence[str]) -> Score:
        kind = _kind_of((await scorer.card()).id)
        return await score_last_step(kind, centre=centre, scale=scale)(backend, problem, steps)

    return score


def _kind_of(model: str) -> str:
    kind = recognize(model)
    if kind is None:
        raise ConfigurationError(
            f"the name {model!r} does not say which kind of process reward model it is: pass `kind`, one of "
            f"{', '.join(FAMILIES)}"
        )
    return kind
