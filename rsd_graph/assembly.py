"""From a configuration to running models: which backend answers at an address, which file is loaded."""

from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from rsd_graph import background
from rsd_graph.config import Config, ModelConfig, RewardConfig
from rsd_graph.costs import Parameters
from rsd_graph.errors import ConfigurationError, ModelResponseError
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp, LlamaCpp
from rsd_graph.models.server import ModelServer
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

    @property
    def parameters(self) -> Parameters | None:
        """The models' sizes, if both are known. Neither reward of this module has a model of its own to count."""
        if self.draft.parameters and self.target.parameters:
            return Parameters(self.draft.parameters, self.target.parameters)
        return None

    async def start(self) -> None:
        """Fetch and load the weights of embedded models now, rather than in the middle of a run."""
        for model in (self.draft, self.target):
            if isinstance(model, EmbeddedLlamaCpp):
                await model.start()

    async def aclose(self) -> None:
        """Stop embedded models and close connections."""
        await self.draft.aclose()
        await self.target.aclose()


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
    return Assembly(draft, target, await _open_reward(config.reward, target, progress))


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
    server = ModelServer(url, api_key=config.api_key, timeout=min(config.timeout, 30))
    try:
        return "default_generation_settings" in await server.get("/props")
    except ModelResponseError:
        return False
    finally:
        await server.close()


async def _open_reward(config: RewardConfig, target: Model, progress: Progress | None) -> RewardModel:
    if config.kind == "confidence":
        return ConfidenceReward()
    if config.url:
        return JudgeReward(_chat_model(config.url, config.model or await _first_model(config), config))
    judge = target if config.path is None else await open_model(config, TARGET, progress=progress)
    if isinstance(judge, EmbeddedLlamaCpp):
        return JudgeReward(_chat_model(await judge.url(), judge.name, config), turn=judge.turn)
    raise ConfigurationError("reward: the target runs on a server; name the judge's own `url`")


async def _first_model(config: RewardConfig) -> str:
    async def ask() -> str:
        server = ModelServer(config.url or "", api_key=config.api_key, timeout=min(config.timeout, 30))
        try:
            return await server.first_model()
        finally:
            await server.close()

    return await background.call(ask())


def _chat_model(url: str, model: str, config: RewardConfig) -> BaseChatModel:
    from langchain_openai import ChatOpenAI

    base = url.rstrip("/").removesuffix("/v1")
    key = SecretStr(config.api_key or "none")
    return ChatOpenAI(base_url=f"{base}/v1", api_key=key, model=model, timeout=config.timeout)
