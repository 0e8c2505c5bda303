"""From a configuration to running models: which backend answers at an address, which file is loaded."""

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, SecretStr

from rsd_graph import background
from rsd_graph.config import Config, ModelConfig
from rsd_graph.costs import Parameters
from rsd_graph.errors import ConfigurationError, ModelResponseError
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp, LlamaCpp
from rsd_graph.models.server import ModelServer, loopback_client
from rsd_graph.models.vllm import VLLM
from rsd_graph.models.weights import DRAFT, TARGET, Progress, Weights
from rsd_graph.rewards import RewardModel
from rsd_graph.rewards.confidence import ConfidenceReward
from rsd_graph.rewards.judge import JudgeReward

Model = EmbeddedLlamaCpp | LlamaCpp | VLLM


@dataclass(frozen=True, slots=True)
class Assembly:
    """Draft, target and reward, ready for `create_rsd_graph`."""

    draft: Model
    target: Model
    reward: RewardModel
    parameters: Parameters | None
    """The models' sizes, if all are known."""
    judge: EmbeddedLlamaCpp | None = None
    """The model behind `reward`, where it is one of its own in this process."""

    async def start(self) -> None:
        """Fetch and load the weights of embedded models now, rather than in the middle of a run."""
        for model in (self.draft, self.target):
            if isinstance(model, EmbeddedLlamaCpp):
                await model.start()

    async def aclose(self) -> None:
        """Stop embedded models and close connections."""
        for model in (self.draft, self.target, self.judge):
            if model is not None:
                await model.aclose()


async def assemble(config: Config, *, slots: int = 8, progress: Progress | None = None) -> Assembly:
    """Connect to the servers and find the weights that the configuration names.

    Args:
        config: As `load_config` returns it.
        slots: Problems that an embedded model computes at once.
        progress: Told about a download.

    Raises:
        RSDError: a server does not answer, weights cannot be had, or the configuration does not fit.
    """
    draft = await open_model(config.draft, DRAFT, slots=slots, progress=progress)
    target = await open_model(config.target, TARGET, slots=slots, progress=progress)
    reward = config.reward
    if reward.kind == "confidence":
        return Assembly(draft, target, ConfidenceReward(), _parameters(draft, target, 0))
    if reward.url:
        served = reward.model
        if served is None:
            served = await background.call(_first_model(reward.url, reward))
        judge = JudgeReward(_chat_model(reward.url, served, reward), name=f"the judge at {reward.url}")
        return Assembly(draft, target, judge, _parameters(draft, target, reward.parameters))
    own = EmbeddedLlamaCpp(reward.path, parameters=reward.parameters) if reward.path else None
    model = own or target
    if not isinstance(model, EmbeddedLlamaCpp):
        raise ConfigurationError("reward: the target runs on a server; name the judge's own `url`")
    judge = JudgeReward(_chat_model(await model.url(), model.name, reward), turn=model.turn)
    return Assembly(draft, target, judge, _parameters(draft, target, model.parameters), own)


def _parameters(draft: Model, target: Model, reward: float | None) -> Parameters | None:
    if draft.parameters and target.parameters and reward is not None:
        return Parameters(draft.parameters, target.parameters, reward)
    return None


async def open_model(
    config: ModelConfig, default: Weights, *, slots: int = 8, progress: Progress | None = None
) -> Model:
    """One model: its server, its file, or the embedded default. Arguments and errors as for `assemble`."""
    if config.url:
        return await _connect(config.url, config)
    return EmbeddedLlamaCpp(config.path or default, slots=slots, parameters=config.parameters, progress=progress)


async def _connect(url: str, config: ModelConfig) -> LlamaCpp | VLLM:
    if await background.call(_is_llamacpp(url, config)):
        return LlamaCpp(
            url, name=config.model, api_key=config.api_key, timeout=config.timeout, parameters=config.parameters
        )
    return VLLM(url, model=config.model, api_key=config.api_key, timeout=config.timeout, parameters=config.parameters)


async def _is_llamacpp(url: str, config: ModelConfig) -> bool:
    """Whether a llama.cpp server answers: it alone has `/props`."""
    async with aclosing(_probe(url, config)) as server:
        try:
            await server.get("/props", _Props)
        except ModelResponseError:
            return False
        return True


class _Props(BaseModel):
    default_generation_settings: dict[str, Any]


async def _first_model(url: str, config: ModelConfig) -> str:
    async with aclosing(_probe(url, config)) as server:
        return await server.first_model()


def _probe(url: str, config: ModelConfig) -> ModelServer:
    """A client for one question, which a server answers at once or not at all."""
    return ModelServer(url, api_key=config.api_key, timeout=min(config.timeout, 30))


def _chat_model(url: str, model: str, config: ModelConfig) -> BaseChatModel:
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(
        base_url=f"{url.rstrip('/').removesuffix('/v1')}/v1",
        api_key=SecretStr(config.api_key or "none"),
        model=model,
        timeout=config.timeout,
        http_async_client=loopback_client(url),
    )
