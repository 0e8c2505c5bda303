"""A reward file as the graph's reward, computed by llama.cpp in this process."""

from pathlib import Path

from rsd_graph._internal.progress import Progress
from rsd_graph.errors import RewardError
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp, check_gguf
from rsd_graph.models.llamacpp_scorer import LlamaCppScorer
from rsd_graph.models.weights import DRAFT, Weights, locate, sha256_of
from rsd_graph.rewards.combined import CombinedReward
from rsd_graph.rewards.prm import ProcessReward
from rsd_graph.rewards.trained.file import SHIPPED, RewardFile, load_reward
from rsd_graph.rewards.trained.gguf import merge


def trained_reward(
    file: Path = SHIPPED,
    weights: Weights | Path = DRAFT,
    *,
    slots: int = 8,
    context: int = 4096,
    progress: Progress | None = None,
) -> ProcessReward:
    """A reward file as the graph's reward, computed by llama.cpp in this process.

    Args:
        file: The reward file; by default the embedded draft's own.
        weights: The draft that it was trained on.
        slots: How many problems it keeps in its cache.
        context: Tokens that one problem, with its response, may have.
        progress: Told about a download, and about the merge, which happens once.

    Raises:
        RewardError: the reward was trained on another model, or another quantisation of it.
        WeightsError: one of the files cannot be read, or the cache not written.
    """
    return _in_llamacpp(load_reward(file), file.name, weights, slots, context, progress)


def combined_reward(
    file: Path = SHIPPED,
    weights: Weights | Path = DRAFT,
    *,
    slots: int = 8,
    context: int = 4096,
    progress: Progress | None = None,
) -> CombinedReward[ProcessReward]:
    """A reward file together with the draft's confidence; the arguments are those of `trained_reward`.

    Raises:
        RewardError: as `trained_reward`, or the file says nothing of how to combine them.
        WeightsError: as `trained_reward`.
    """
    reward = load_reward(file)
    if reward.card.curve is None:
        raise RewardError(
            f"{file} cannot be combined with the draft's confidence: it was trained on too few solutions, or on "
            "solutions without log-probabilities. Use it alone (kind 'trained')"
        )
    return CombinedReward(_in_llamacpp(reward, file.name, weights, slots, context, progress), reward.card.curve)


def _in_llamacpp(
    reward: RewardFile, name: str, weights: Weights | Path, slots: int, context: int, progress: Progress | None
) -> ProcessReward:
    if isinstance(weights, Weights):
        base, sha256 = locate(weights, progress), weights.sha256
    else:
        check_gguf(weights)
        base, sha256 = weights, sha256_of(weights, progress)
    merged = merge(reward, base, sha256, progress)
    model = EmbeddedLlamaCpp(merged, name=f"the reward {name}", slots=slots, context=context)
    return ProcessReward(reward.card.score(), LlamaCppScorer(model), parameters=reward.card.parameters)
