"""A reward in a wrapper: it is called, and needs, what the reward itself does."""

from dataclasses import dataclass

from rsd_graph.protocols import Bound, RewardModel, highest_reward, needs_logprobs


@dataclass(frozen=True, slots=True)
class WrappedReward:
    """What the wrappers' rewards share; each has a `score` of its own."""

    model: RewardModel

    @property
    def name(self) -> str:
        """See `RewardModel.name`."""
        return self.model.name

    @property
    def needs_logprobs(self) -> bool:
        """See `protocols.needs_logprobs`."""
        return needs_logprobs(self.model)

    @property
    def highest_reward(self) -> Bound | None:
        """See `protocols.highest_reward`."""
        return highest_reward(self.model)
