"""From a configuration to running models: which backend answers at an address, what is loaded in this process."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from rsd_graph._internal import background
from rsd_graph._internal.progress import Progress
from rsd_graph.config import OF_THE_DRAFT, Config, ModelConfig, RewardConfig, Role
from rsd_graph.costs import Parameters
from rsd_graph.errors import ConfigurationError, ModelUnreachableError
from rsd_graph.models.discovery import is_llamacpp, model_card
from rsd_graph.models.http import ModelCard, loopback_client
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp, LlamaCpp
from rsd_graph.models.llamacpp_scorer import LlamaCppScorer
from rsd_graph.models.replicas import NO_RETRY, ReplicatedModel, ReplicatedReward
from rsd_graph.models.sleep import SleepCoordinator
from rsd_graph.models.transformers_scorer import TransformersScorer
from rsd_graph.models.vllm import VLLM
from rsd_graph.models.vllm_engine import OfflineEngine
from rsd_graph.models.vllm_scorer import VLLMScorer
from rsd_graph.models.weights import DRAFT, TARGET, Weights
from rsd_graph.protocols import RewardModel, StepGenerator
from rsd_graph.rewards.combined import CombinedReward
from rsd_graph.rewards.confidence import ConfidenceReward
from rsd_graph.rewards.families import RECIPES
from rsd_graph.rewards.families.outcome import Outcome
from rsd_graph.rewards.judge import JudgeReward
from rsd_graph.rewards.kinds import kind_of
from rsd_graph.rewards.prm import ProcessReward, Recipe
from rsd_graph.rewards.trained.format import SHIPPED, Trained
from rsd_graph.rewards.trained.gguf import combined_reward, trained_reward

if TYPE_CHECKING:
    from rsd_graph.serving.gpus import GPU


@dataclass(frozen=True, slots=True)
class Assembly:
    """Draft, target and reward, ready for `create_rsd_graph`."""

    draft: StepGenerator
    target: StepGenerator
    reward: RewardModel
    parameters: Parameters | None
    """The models' sizes, if all are known."""
    running: Sequence[Any]
    """Everything that has to be closed; what lives in this process, to be loaded."""

    async def start(self) -> None:
        """Fetch and load the weights of models in this process now, rather than in the middle of a run."""
        await _load(self.running)

    async def start_reward(self) -> None:
        """Load what the reward alone needs."""
        reward = _without_confidence(self.reward)
        if isinstance(reward, ProcessReward):
            await _load([reward.engine])

    async def aclose(self) -> None:
        """Stop models in this process and close connections."""
        await asyncio.gather(*(model.aclose() for model in self.running))


async def assemble(config: Config, *, slots: int = 8, progress: Progress | None = None) -> Assembly:
    """Connect to the servers and find the weights that the configuration names.

    Args:
        config: As `load_config` returns it.
        slots: Problems that an embedded model computes at once.
        progress: Told about a download.

    Raises:
        RSDError: a server does not answer, weights cannot be had, or the configuration does not fit.
    """
    build = _Build(config, slots, progress)
    try:
        draft = await build.generator("draft", DRAFT)
        target = await build.generator("target", TARGET)
        reward, parameters = await build.reward(target)
    except BaseException:
        await asyncio.gather(*(model.aclose() for model in build.running))
        raise
    sizes = (build.parameters["draft"], build.parameters["target"], parameters)
    known = [size for size in sizes if size is not None]
    return Assembly(draft, target, reward, Parameters(*known) if len(known) == len(sizes) else None, build.running)


class _Build:
    """What is being put together."""

    def __init__(self, config: Config, slots: int, progress: Progress | None) -> None:
        self.running: list[Any] = []
        self.parameters: dict[Role, float | None] = {}
        self._config = config
        self._slots = slots
        self._progress = progress
        self._coordinator = SleepCoordinator() if config.serve.sleep else None

    async def generator(self, role: Role, default: Weights) -> StepGenerator:
        """The draft or the target."""
        config = self._config.role(role)
        address = self._config.address(role)
        model: Any
        if address:
            model = await self._client(address, config)
            self.parameters[role] = config.parameters
        elif config.managed:
            model = self._offline(role)
            self.parameters[role] = config.parameters
        else:
            model = self._embedded(config, config.path or default)
            self.parameters[role] = model.parameters
        self.running.append(model)
        return model  # type: ignore[no-any-return]  # one of four that share the protocol

    async def reward(self, target: StepGenerator) -> tuple[RewardModel, float | None]:
        """The reward, and the number of its model's parameters."""
        config = self._config.reward
        address = self._config.address("reward")
        if address:
            return await self._served_reward(address, config), config.parameters
        if config.model:
            engine = (
                TransformersScorer(config.model, revision=config.revision, device=config.device)
                if config.engine == "transformers"
                else self._offline("reward")
            )
            self.running.append(engine)
            return _combined(config, ProcessReward(_recipe(config, config.resolved_kind), engine)), config.parameters
        if config.resolved_kind == "confidence":
            return ConfidenceReward(), 0.0
        if config.resolved_kind in OF_THE_DRAFT:
            return await self._trained(config)
        if config.path:
            self.running.append(judge := self._embedded(config, config.path))
        elif isinstance(target, EmbeddedLlamaCpp):
            judge = target
        else:
            raise ConfigurationError("reward: the target runs on a server; name the judge's own `url` or `model`")
        chat = _chat_model(await judge.url(), judge.name, config)
        return JudgeReward(chat, turn=judge.turn), judge.parameters

    async def _trained(self, config: RewardConfig) -> tuple[RewardModel, float | None]:
        """A reward file, computed in this process beside an embedded draft."""
        draft = self._config.draft
        if self._config.address("draft") or draft.managed:
            raise ConfigurationError(
                "reward: a reward file is computed in this process, beside an embedded draft. Beside a draft on a "
                "server, serve the reward too: `rsd export-reward` makes a model for vLLM of it"
            )
        make = combined_reward if config.resolved_kind == "combined" else trained_reward
        reward = await background.in_thread(
            lambda: make(config.path or SHIPPED, draft.path or DRAFT, slots=self._slots, progress=self._progress)
        )
        process = _without_confidence(reward)
        self.running.append(process.engine)
        return reward, process.parameters

    async def _served_reward(self, address: str, config: RewardConfig) -> RewardModel:
        addresses = [address, *config.replicas]
        card = await self._first_to_answer(addresses, config)
        kind = config.kind or kind_of(config.model or card.id) or config.resolved_kind
        reward: Any
        if kind == "judge" and card.owned_by != "vllm":
            if config.replicas:
                raise ConfigurationError("reward.replicas: a judge that vLLM does not serve has one address")
            return JudgeReward(_chat_model(address, card.id, config), name=f"the judge at {address}")
        retry = NO_RETRY if config.replicas else None
        members = [
            ProcessReward(
                _recipe(config, kind),
                VLLMScorer(url, model=card.id, api_key=self._api_key(config), timeout=config.timeout, retry=retry),
            )
            for url in addresses
        ]
        reward = ReplicatedReward(members) if config.replicas else members[0]
        self.running.append(reward)
        return _combined(config, reward)

    def _embedded(self, config: ModelConfig, weights: Any) -> EmbeddedLlamaCpp:
        return EmbeddedLlamaCpp(weights, slots=self._slots, parameters=config.parameters, progress=self._progress)

    def _offline(self, role: Role) -> OfflineEngine:
        from rsd_graph.serving.plan import offline_flags

        config = self._config.role(role)
        flags = offline_flags(self._config, role, self._gpus)
        return OfflineEngine(
            config.model or "", flags=flags, parameters=config.parameters, coordinator=self._coordinator
        )

    @cached_property
    def _gpus(self) -> "list[GPU]":
        from rsd_graph.serving.gpus import find_gpus

        return find_gpus()

    async def _client(self, address: str, config: ModelConfig) -> LlamaCpp | VLLM | ReplicatedModel:
        addresses = [address, *config.replicas]
        options: dict[str, Any] = {
            "api_key": self._api_key(config),
            "timeout": config.timeout,
            "parameters": config.parameters,
            "retry": NO_RETRY if config.replicas else None,
        }
        members: list[LlamaCpp | VLLM]
        if await self._is_llamacpp(addresses, config):
            members = [LlamaCpp(url, name=config.model, **options) for url in addresses]
        else:
            members = [VLLM(url, model=config.model, **options) for url in addresses]
        return ReplicatedModel(members) if config.replicas else members[0]

    async def _is_llamacpp(self, addresses: Sequence[str], config: ModelConfig) -> bool:
        """Whether llama.cpp answers there: it alone has `/props`."""
        if config.managed:
            await self._first_to_answer(addresses, config)
            return False
        return await is_llamacpp(addresses, api_key=config.api_key, seconds=config.timeout)

    async def _first_to_answer(self, addresses: Sequence[str], config: ModelConfig) -> ModelCard:
        """The model that the servers hold; for one of `rsd serve`, a word on how to start it."""
        try:
            return await model_card(
                addresses, model=config.model, api_key=self._api_key(config), seconds=config.timeout
            )
        except ModelUnreachableError as error:
            if not config.managed:
                raise
            raise ModelUnreachableError(f"{error} `rsd serve` with the same settings starts it.") from error

    def _api_key(self, config: ModelConfig) -> str | None:
        return self._config.serve.api_key if config.managed else config.api_key


async def _load(models: Sequence[object]) -> None:
    for model in models:
        if isinstance(model, EmbeddedLlamaCpp | LlamaCppScorer | OfflineEngine | TransformersScorer):
            await model.start()


def _recipe(config: RewardConfig, kind: str) -> Recipe:
    match kind:
        case "outcome":
            return Outcome(config.centre or 0.0, config.scale)
        case "trained" | "combined":
            return Trained(config.centre or 0.0)
    return RECIPES[kind]


def _combined(config: RewardConfig, reward: RewardModel) -> RewardModel:
    """The reward with the draft's confidence, if its kind says so."""
    return CombinedReward(reward, config.curve) if config.kind == "combined" and config.curve else reward


def _without_confidence(reward: Any) -> Any:
    """What a combined reward is made of, or the reward itself."""
    return reward.trained if isinstance(reward, CombinedReward) else reward


def _chat_model(url: str, model: str, config: ModelConfig) -> BaseChatModel:
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(
        base_url=f"{url.rstrip('/').removesuffix('/v1')}/v1",
        api_key=SecretStr(config.api_key or "none"),
        model=model,
        timeout=config.timeout,
        max_retries=0,  # the reward has its own layer of retries
        http_async_client=loopback_client(url),
    )
