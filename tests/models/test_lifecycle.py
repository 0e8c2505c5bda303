from inspect import iscoroutinefunction

from rsd_graph.models.llamacpp import EmbeddedLlamaCpp, LlamaCpp
from rsd_graph.models.llamacpp_scorer import LlamaCppScorer
from rsd_graph.models.replicas import ReplicatedModel, ReplicatedReward
from rsd_graph.models.transformers_scorer import TransformersScorer
from rsd_graph.models.vllm import VLLM
from rsd_graph.models.vllm_engine import OfflineEngine
from rsd_graph.models.vllm_scorer import VLLMScorer
from rsd_graph.protocols import Lifecycle, RewardModel, ScoringBackend, StepGenerator

GENERATORS: list[type[StepGenerator]] = [VLLM, LlamaCpp, EmbeddedLlamaCpp, OfflineEngine, ReplicatedModel]
BACKENDS: list[type[ScoringBackend]] = [VLLMScorer, LlamaCppScorer, TransformersScorer, OfflineEngine]
REWARDS: list[type[RewardModel]] = [ReplicatedReward]
RUNTIMES: list[type[Lifecycle]] = [
    VLLM,
    LlamaCpp,
    EmbeddedLlamaCpp,
    OfflineEngine,
    VLLMScorer,
    LlamaCppScorer,
    TransformersScorer,
    ReplicatedModel,
    ReplicatedReward,
]
"""The type checker verifies each list against its protocol."""


def test_every_runtime_starts_and_closes() -> None:
    """Whoever holds some models needs to know no classes: `start` loads them, `aclose` releases them."""
    assert set(RUNTIMES) >= {*GENERATORS, *BACKENDS, *REWARDS}
    for runtime in RUNTIMES:
        assert iscoroutinefunction(runtime.start), runtime
        assert iscoroutinefunction(runtime.aclose), runtime
