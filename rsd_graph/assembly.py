"""From a configuration to running models: which backend answers at an address, what is loaded in this process."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, SecretStr

from rsd_graph import background
from rsd_graph.config import Config, ModelConfig, RewardConfig, Role
from rsd_graph.costs import Parameters
from rsd_graph.errors import ConfigurationError, ModelResponseError, ModelUnreachableError
from rsd_graph.models import StepGenerator
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp, LlamaCpp
from rsd_graph.models.offline import Bedroom, OfflineEngine
from rsd_graph.models.persistence import Persistence
from rsd_graph.models.replicas import AT_ONCE, ReplicatedModel, ReplicatedReward
from rsd_graph.models.server import ModelCard, ModelServer, loopback_client
from rsd_graph.models.vllm import VLLM
from rsd_graph.models.weights import DRAFT, TARGET, Progress, Weights
from rsd_graph.rewards import RewardModel
from rsd_graph.rewards.confidence import ConfidenceReward
from rsd_graph.rewards.judge import JudgeReward
from rsd_graph.rewards.prm import ProcessReward
from rsd_graph.rewards.recipes import RECIPES, kind_of
from rsd_graph.rewards.transformers import TransformersEngine
from rsd_graph.rewards.vllm import VLLMEngine

PROBE_SECONDS = 30


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
        for model in self.running:
            if isinstance(model, EmbeddedLlamaCpp | OfflineEngine):
                await model.start()

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
        self._bedroom = Bedroom() if config.serve.sleep else None

    async def generator(self, role: Role, default: Weights) -> StepGenerator:
        """The draft or the target."""
        config = self._config.role(role)
        address = self._config.address(role)
        model: Any
        if address and config.replicas:
            model = ReplicatedModel([await self._client(url, config, AT_ONCE) for url in (address, *config.replicas)])
            self.parameters[role] = config.parameters
        elif address:
            model = await self._client(address, config, None)
            self.parameters[role] = config.parameters
        elif config.ours:
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
                TransformersEngine(config.model, revision=config.revision, device=config.device)
                if config.engine == "transformers"
                else self._offline("reward")
            )
            self.running.append(engine)
            return ProcessReward(RECIPES[_kind(config, config.model)], engine), config.parameters
        if config.kind != "judge" and not config.path:
            return ConfidenceReward(), 0.0
        if config.path:
            self.running.append(judge := self._embedded(config, config.path))
        elif isinstance(target, EmbeddedLlamaCpp):
            judge = target
        else:
            raise ConfigurationError("reward: the target runs on a server; name the judge's own `url` or `model`")
        chat = _chat_model(await judge.url(), judge.name, config)
        return JudgeReward(chat, turn=judge.turn), judge.parameters

    async def _served_reward(self, address: str, config: RewardConfig) -> RewardModel:
        card = await self._card(address, config)
        kind = _kind(config, config.model or card.id)
        if kind == "judge" and card.owned_by != "vllm":
            return JudgeReward(_chat_model(address, card.id, config), name=f"the judge at {address}")
        reward: Any
        if config.replicas:
            members = [self._process_reward(url, card, kind, AT_ONCE) for url in (address, *config.replicas)]
            reward = ReplicatedReward(members)
        else:
            reward = self._process_reward(address, card, kind, None)
        self.running.append(reward)
        return reward  # type: ignore[no-any-return]  # one of two that share the protocol

    def _process_reward(self, url: str, card: ModelCard, kind: str, persistence: Persistence | None) -> ProcessReward:
        config = self._config.reward
        engine = VLLMEngine(
            url, model=card.id, api_key=self._api_key(config), timeout=config.timeout, persistence=persistence
        )
        return ProcessReward(RECIPES[kind], engine)

    def _embedded(self, config: ModelConfig, weights: Any) -> EmbeddedLlamaCpp:
        return EmbeddedLlamaCpp(weights, slots=self._slots, parameters=config.parameters, progress=self._progress)

    def _offline(self, role: Role) -> OfflineEngine:
        from rsd_graph.serving.gpus import find_gpus
        from rsd_graph.serving.plan import offline_flags

        config = self._config.role(role)
        flags = offline_flags(self._config, role, find_gpus())
        return OfflineEngine(config.model or "", flags=flags, parameters=config.parameters, bedroom=self._bedroom)

    async def _client(self, url: str, config: ModelConfig, persistence: Persistence | None) -> LlamaCpp | VLLM:
        if not config.ours and await background.call(_is_llamacpp(url, config)):
            return LlamaCpp(
                url,
                name=config.model,
                api_key=config.api_key,
                timeout=config.timeout,
                parameters=config.parameters,
                persistence=persistence,
            )
        if config.ours:
            await self._card(url, config)  # is it there?
        return VLLM(
            url,
            model=config.model,
            api_key=self._api_key(config),
            timeout=config.timeout,
            parameters=config.parameters,
            persistence=persistence,
        )

    async def _card(self, url: str, config: ModelConfig) -> ModelCard:
        """The model that a server holds; for one of `rsd serve`, a word on how to start it."""
        try:
            return await background.call(_first_model(url, config, self._api_key(config)))
        except ModelUnreachableError as error:
            if not config.ours:
                raise
            raise ModelUnreachableError(f"{error} `rsd serve` with the same settings starts it.") from error

    def _api_key(self, config: ModelConfig) -> str | None:
        return self._config.serve.api_key if config.ours else config.api_key


def _kind(config: RewardConfig, model: str) -> str:
    """How to ask this model: what the configuration says, or its name; else it is a judge."""
    return config.kind or kind_of(model) or "judge"


async def _is_llamacpp(url: str, config: ModelConfig) -> bool:
    """Whether a llama.cpp server answers: it alone has `/props`."""
    async with aclosing(_probe(url, config, config.api_key)) as server:
        try:
            await server.get("/props", _Props)
        except ModelResponseError:
            return False
        return True


class _Props(BaseModel):
    default_generation_settings: dict[str, Any]


async def _first_model(url: str, config: ModelConfig, api_key: str | None) -> ModelCard:
    async with aclosing(_probe(url, config, api_key)) as server:
        return await server.first_model()


def _probe(url: str, config: ModelConfig, api_key: str | None) -> ModelServer:
    """A client for one question, which a server answers at once or not at all."""
    return ModelServer(url, api_key=api_key, timeout=min(config.timeout, PROBE_SECONDS))


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
