"""From a configuration to models that are ready to run, and are closed in the end.

    async with assemble(load_config(None)) as models:
        await models.start()
        graph = create_rsd_graph(*models.faster)

`await models.start()` may be left out: what runs in this process is then loaded by the first step.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from rsd_graph._internal import background
from rsd_graph._internal.addresses import public_address
from rsd_graph._internal.progress import Progress
from rsd_graph.config import Config, ResolvedModel, RewardConfig, Role
from rsd_graph.costs import Parameters
from rsd_graph.errors import ConfigurationError, ModelUnreachableError
from rsd_graph.latency import faster
from rsd_graph.models.discovery import is_llamacpp, model_card
from rsd_graph.models.http import ModelCard
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp, LlamaCpp
from rsd_graph.models.replicas import ReplicatedModel, ReplicatedReward
from rsd_graph.models.retries import NO_RETRY
from rsd_graph.models.sleep import SleepCoordinator
from rsd_graph.models.transformers_scorer import TransformersScorer
from rsd_graph.models.vllm import VLLM
from rsd_graph.models.vllm_engine import OfflineEngine
from rsd_graph.models.weights import DRAFT, TARGET, Weights
from rsd_graph.protocols import Lifecycle, RewardModel, ScoringBackend, StepGenerator
from rsd_graph.rewards import process_reward
from rsd_graph.rewards.combined import CombinedReward
from rsd_graph.rewards.confidence import ConfidenceReward
from rsd_graph.rewards.families import family_of_kind, recognize, score_last_step
from rsd_graph.rewards.judge import JudgeReward, served_judge
from rsd_graph.rewards.prm import ProcessReward
from rsd_graph.rewards.trained.embedded import combined_reward, trained_reward
from rsd_graph.rewards.trained.file import SHIPPED
from rsd_graph.serving.gpus import GPU, find_gpus
from rsd_graph.serving.plan import offline_flags

L = TypeVar("L", bound=Lifecycle)
M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Assembly:
    """Draft, target and reward."""

    draft: StepGenerator
    target: StepGenerator
    reward: RewardModel
    faster: tuple[StepGenerator, StepGenerator, RewardModel]
    """All three, ready for `create_rsd_graph`: in the wrappers that `[latency]` asks for."""
    parameters: Parameters | None
    """The models' sizes, if all are known."""
    running: Sequence[Lifecycle]
    """Everything that is started and closed, in the order in which it was put together."""
    running_for_reward: Sequence[Lifecycle]
    """The part of it that the reward alone needs."""

    async def start(self) -> None:
        """Fetch and load the weights of models in this process now, rather than in the middle of a run."""
        for model in self.running:
            await model.start()

    async def start_reward(self) -> None:
        """Load what the reward alone needs."""
        for model in self.running_for_reward:
            await model.start()


@asynccontextmanager
async def assemble(config: Config, *, slots: int = 8, progress: Progress | None = None) -> AsyncIterator[Assembly]:
    """Connect to the servers and find the weights that the configuration names; close everything at the end.

    Args:
        config: As `load_config` returns it.
        slots: Problems that an embedded model computes at once.
        progress: Told about downloads.

    Raises:
        RSDError: a server does not answer, weights cannot be had, or the configuration does not fit.
    """
    async with AsyncExitStack() as closing:
        build = _Build(config, slots, progress, closing)
        draft = await build.generator("draft", DRAFT)
        target = await build.generator("target", TARGET)
        generators = len(build.running)
        reward = await build.reward(target.model)
        sizes = [each.parameters for each in (draft, target, reward) if each.parameters is not None]
        parameters = Parameters(*sizes) if len(sizes) == len((draft, target, reward)) else None
        plain = (draft.model, target.model, reward.model)
        yield Assembly(*plain, _faster(config, *plain), parameters, build.running, build.running[generators:])


def _faster(
    config: Config, draft: StepGenerator, target: StepGenerator, reward: RewardModel
) -> tuple[StepGenerator, StepGenerator, RewardModel]:
    asked = config.latency
    return faster(
        draft,
        target,
        reward,
        ahead=config.goes_ahead,
        warm=asked.warm,
        gate=asked.gate,
        hedge=asked.hedge,
        confidence=_confidence(config),
    )


def _confidence(config: Config) -> ConfidenceReward:
    """The draft's confidence, by its own curve if it has one."""
    curve = config.draft.confidence
    return ConfidenceReward() if curve is None else ConfidenceReward(curve.intercept, curve.slope)


@dataclass(frozen=True, slots=True)
class _Built(Generic[M]):
    """A model and its number of parameters; None where that is unknown."""

    model: M
    parameters: float | None


class _Build:
    """What is being put together."""

    def __init__(self, config: Config, slots: int, progress: Progress | None, closing: AsyncExitStack) -> None:
        self.running: list[Lifecycle] = []
        self._config = config
        self._slots = slots
        self._progress = progress
        self._closing = closing
        self._coordinator = SleepCoordinator() if config.serve.sleep else None

    async def generator(self, role: Role, default: Weights) -> _Built[StepGenerator]:
        """The draft or the target."""
        found = self._config.resolve(role)
        match found.place:
            case "server" | "managed":
                return _Built(self._keep(await self._client(found)), found.config.parameters)
            case "offline":
                return _Built(self._keep(self._offline(found)), found.config.parameters)
        model = self._keep(self._embedded(found, found.config.path or default, **self._speculation(role)))
        return _Built(model, model.parameters)

    async def reward(self, target: StepGenerator) -> _Built[RewardModel]:
        """The reward model. `target` is the judge where none is named."""
        found = self._config.resolve("reward")
        config = self._config.reward
        match found.place:
            case "server" | "managed":
                return _Built(await self._served_reward(found, config), config.parameters)
            case "offline":
                return _Built(self._own_reward(config, self._offline(found)), config.parameters)
            case "transformers":
                return _Built(self._own_reward(config, _transformers(config)), config.parameters)
            case "draft":
                return await self._reward_of_the_draft(config)
        return await self._judge(found, target)

    def _own_reward(self, config: RewardConfig, backend: ScoringBackend) -> RewardModel:
        """A process reward model in this process."""
        return _combined(
            config, self._keep(ProcessReward(score_last_step(_family_kind(config), **_options(config)), backend))
        )

    async def _reward_of_the_draft(self, config: RewardConfig) -> _Built[RewardModel]:
        """The draft's confidence, or a reward file that is computed in this process beside an embedded draft."""
        if config.resolved_kind == "confidence":
            return _Built(_confidence(self._config), 0.0)
        draft = self._config.resolve("draft")
        if draft.place not in ("file", "embedded"):
            raise ConfigurationError(
                "reward: a reward file is computed in this process, beside an embedded draft. Beside a draft on a "
                "server, serve the reward too: `rsd export-reward` makes a model for vLLM of it"
            )
        file, weights = config.path or SHIPPED, draft.config.path or DRAFT
        options: dict[str, Any] = {"slots": self._slots, "progress": self._progress}
        if config.resolved_kind == "combined":
            combined = await background.in_thread(lambda: combined_reward(file, weights, **options))
            return _Built(combined, self._keep(combined.trained).parameters)
        trained = await background.in_thread(lambda: trained_reward(file, weights, **options))
        return _Built(self._keep(trained), trained.parameters)

    async def _judge(self, found: ResolvedModel, target: StepGenerator) -> _Built[RewardModel]:
        """An embedded model as the judge: one of its own, or the target."""
        if found.place == "file":
            judge = self._keep(self._embedded(found, found.config.path))
        elif isinstance(target, EmbeddedLlamaCpp):
            judge = target
        else:
            raise ConfigurationError("reward: the target runs on a server; name the judge's own `url` or `model`")
        asked = served_judge(
            await judge.url(),
            model=judge.name,
            timeout=found.config.timeout,
            turn=judge.turn,
            chat_template_kwargs=found.config.chat_template_kwargs,
        )
        return _Built(self._keep(asked), judge.parameters)

    async def _served_reward(self, found: ResolvedModel, config: RewardConfig) -> RewardModel:
        card = await _card(found)
        kind = config.kind or recognize(config.model or card.id) or "judge"
        if kind == "judge" and card.owned_by != "vllm":
            return self._keep(_chat_judge(found, card))
        options: dict[str, Any] = {
            "kind": _family_kind(config, kind),
            "model": card.id,
            "api_key": found.api_key,
            "timeout": config.timeout,
            "chat_template_kwargs": config.chat_template_kwargs,
            **_options(config),
        }
        if not config.replicas:
            return _combined(config, self._keep(process_reward(found.addresses[0], **options)))
        members = [process_reward(url, **options, retry=NO_RETRY) for url in found.addresses]
        return _combined(config, self._keep(ReplicatedReward(members)))

    async def _client(self, found: ResolvedModel) -> LlamaCpp | VLLM | ReplicatedModel:
        """A client for the servers of a draft or target."""
        config = found.config
        options: dict[str, Any] = {
            "api_key": found.api_key,
            "timeout": config.timeout,
            "parameters": config.parameters,
            "chat_template_kwargs": config.chat_template_kwargs,
            "retry": NO_RETRY if config.replicas else None,
        }
        members: list[LlamaCpp | VLLM]
        if await self._is_llamacpp(found):
            members = [LlamaCpp(url, name=config.model, **options) for url in found.addresses]
        else:
            members = [VLLM(url, model=config.model, **options) for url in found.addresses]
        return ReplicatedModel(members) if config.replicas else members[0]

    async def _is_llamacpp(self, found: ResolvedModel) -> bool:
        if found.place == "managed":  # vLLM, if it runs
            await _card(found)
            return False
        return await is_llamacpp(found.addresses, api_key=found.api_key, seconds=found.config.timeout)

    def _speculation(self, role: Role) -> dict[str, Any]:
        """What an embedded target needs to speculate with the draft's weights."""
        tokens = self._config.target.speculative
        if role != "target" or tokens is None:
            return {}
        return {"draft": self._config.draft.path or DRAFT, "draft_tokens": tokens}

    def _embedded(self, found: ResolvedModel, weights: Any, **options: Any) -> EmbeddedLlamaCpp:
        config = found.config
        return EmbeddedLlamaCpp(
            weights,
            slots=self._slots,
            parameters=config.parameters,
            chat_template_kwargs=config.chat_template_kwargs,
            progress=self._progress,
            **options,
        )

    def _offline(self, found: ResolvedModel) -> OfflineEngine:
        flags = offline_flags(self._config, found.role, self._gpus)
        config = found.config
        return OfflineEngine(
            config.model or "",
            flags=flags,
            parameters=config.parameters,
            chat_template_kwargs=config.chat_template_kwargs,
            coordinator=self._coordinator,
        )

    @cached_property
    def _gpus(self) -> list[GPU]:
        return find_gpus()

    def _keep(self, model: L) -> L:
        """The model, which is closed at the end."""
        self.running.append(model)
        self._closing.push_async_callback(model.aclose)
        return model


async def _card(found: ResolvedModel) -> ModelCard:
    """The model that the servers hold; for one that `rsd serve` starts, the error says how to start it."""
    config = found.config
    try:
        return await model_card(found.addresses, model=config.model, api_key=found.api_key, seconds=config.timeout)
    except ModelUnreachableError as error:
        if found.place != "managed":
            raise
        raise ModelUnreachableError(f"{error} `rsd serve` with the same settings starts it.") from error


def _chat_judge(found: ResolvedModel, card: ModelCard) -> JudgeReward:
    """A judge on a server that does not give the exact probability of a word."""
    if len(found.addresses) > 1:
        raise ConfigurationError("reward.replicas: a judge that vLLM does not serve has one address")
    address = found.addresses[0]
    return served_judge(
        address,
        model=card.id,
        api_key=found.api_key,
        timeout=found.config.timeout,
        name=f"the judge at {public_address(address)}",
        chat_template_kwargs=found.config.chat_template_kwargs,
    )


def _transformers(config: RewardConfig) -> TransformersScorer:
    head = family_of_kind(_family_kind(config)).head
    return TransformersScorer(config.model or "", head=head, revision=config.revision, device=config.device)


def _family_kind(config: RewardConfig, kind: str | None = None) -> str:
    """The family that scores: `combined` is a trained reward, corrected afterwards."""
    kind = kind or config.resolved_kind or "judge"
    return "trained" if kind == "combined" else kind


def _options(config: RewardConfig) -> dict[str, float]:
    return {"centre": config.centre or 0.0, "scale": config.scale}


def _combined(config: RewardConfig, reward: RewardModel) -> RewardModel:
    """The reward with the draft's confidence, if its kind says so."""
    return CombinedReward(reward, config.curve) if config.kind == "combined" and config.curve else reward
