"""`rsd.toml`: which models to use, where they run, and the settings of the runs.

    preset = "qwen2.5-math-7b"   # a family of three models (`rsd serve --help` lists them); tables below go over it
    mode = "serve"               # or "offline": vLLM engines in this process, and no servers

    [draft]                 # target and reward take the same keys
    url = "http://127.0.0.1:8000"     # a vLLM, llama.cpp or other OpenAI-compatible server that runs already
    replicas = ["http://10.0.0.2:8000"]   # more servers of the same model; conversations are spread over them
    model = "Qwen/Qwen2.5-Math-1.5B-Instruct"   # with `url`: by default the first that the server lists;
                            # without: what `rsd serve` starts, or `mode = "offline"` loads
    path = "model.gguf"     # or a GGUF file, computed in this process by llama.cpp
    parameters = 1.5e9      # for the FLOPs count, and to plan memory where the model's name does not say
    api_key_env = "MY_KEY"  # environment variable that holds the server's key
    timeout = 600           # seconds for one step

    # for a model that `rsd serve` starts, or an engine in this process:
    revision = "..."        # of the model on the hub
    gpus = [0]              # by default they are planned
    tensor_parallel = 1     # by default as many as `gpus`
    memory = 0.3            # share of each of its GPUs' memory; planned by default
    context = 4096          # tokens; the model's own by default
    flags = ["--dtype", "float32"]    # more flags of vLLM's
    port = 8000             # by default 8000 for the draft, 8001 for the target, 8002 for the reward

    [reward]
    kind = "skywork"        # "confidence" (the draft's own, the default), "trained", "combined" (both), "judge",
                            # "skywork", "qwen-prm", "math-shepherd", "rlhflow" or "outcome"; known models are told by
                            # their names
    path = "my.safetensors" # of "trained" (without a kind) and "combined": the file of `rsd train-reward`; by default
                            # the embedded draft's own
    centre = 0.0            # of "outcome", and of "trained" and "combined" on a server: the logit that is worth 0.5
    curve = { intercept = 2.0, value = 0.2, surprisal = 1.0 }   # of "combined" on a server: `rsd export-reward` says it
    scale = 1.0             # of the kind "outcome": how far above that a logit is worth 0.73
    engine = "transformers" # compute `model` in this process, in plain transformers, instead of by vLLM
    device = "cuda:0"       # for that engine; "cpu" by default

    [serve]
    host = "127.0.0.1"      # anything further needs a key
    api_key_env = "RSD_API_KEY"       # the environment variable that holds it
    logs = ".rsd/logs"
    sleep = false           # with `mode = "offline"`: models sleep while another works, instead of sharing the memory

    [settings]
    threshold = 0.7         # any field of RSDSettings

What is left out is the embedded default.
"""

import os
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from rsd_graph._internal.addresses import LOOPBACK
from rsd_graph.errors import ConfigurationError, describe
from rsd_graph.presets import preset
from rsd_graph.rewards.combined import StepCalibration
from rsd_graph.rewards.kinds import kind_of
from rsd_graph.rewards.trained.format import SUFFIX
from rsd_graph.settings import RSDSettings

OF_THE_DRAFT = ("trained", "combined")
"""Kinds of reward that `rsd train-reward` makes."""
DEFAULT_FILE = Path("rsd.toml")

Role = Literal["draft", "target", "reward"]
ROLES: tuple[Role, ...] = ("draft", "target", "reward")
PORTS: dict[Role, int] = {"draft": 8000, "target": 8001, "reward": 8002}

ENGINE_KEYS = {"gpus", "tensor_parallel", "memory", "context", "flags", "port"}
"""Keys of models that are started here."""
RESERVED_FLAGS = {"--host", "--port", "--api-key", "--model", "--served-model-name"}

Kind = Literal[
    "confidence", "trained", "combined", "judge", "skywork", "qwen-prm", "math-shepherd", "rlhflow", "outcome"
]


class ModelConfig(BaseModel):
    """One model: on a server (`url`), started here (`model`), from a file (`path`), or the embedded default."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = None
    replicas: list[str] = []
    path: Path | None = None
    model: str | None = None
    parameters: float | None = Field(default=None, gt=0)
    api_key_env: str | None = None
    timeout: float = Field(default=600, gt=0)
    revision: str | None = None
    gpus: list[int] | None = Field(default=None, min_length=1)
    tensor_parallel: int | None = Field(default=None, ge=1)
    memory: float | None = Field(default=None, gt=0, le=1)
    context: int | None = Field(default=None, ge=1)
    flags: list[str] = []
    port: int | None = Field(default=None, ge=1, le=65535)

    @model_validator(mode="after")
    def _one_place(self) -> "ModelConfig":
        if self.url and self.path:
            raise ValueError("give `url` or `path`, not both")
        if self.model and self.path:
            raise ValueError("give `model` or `path`, not both")
        if self.replicas and not self.url:
            raise ValueError("`replicas` are further addresses beside `url`")
        if self.api_key_env and not self.url:
            raise ValueError("`api_key_env` belongs to a server that runs already: give its `url`")
        if self.gpus and self.tensor_parallel and len(self.gpus) != self.tensor_parallel:
            raise ValueError("`tensor_parallel` is the number of `gpus`: leave it out, or name as many")
        if self.revision and (self.url or not self.model):
            raise ValueError("`revision` is of a `model` that is started here")
        if self.gpus and len(set(self.gpus)) < len(self.gpus):
            raise ValueError("`gpus` names one twice")
        if reserved := RESERVED_FLAGS & {flag.split("=")[0] for flag in self.flags}:
            raise ValueError(f"`flags`: {min(reserved)} is set by other keys")
        if not self.managed and (given := sorted(ENGINE_KEYS & self.model_fields_set)):
            raise ValueError(
                f"{', '.join(f'`{key}`' for key in given)}: for a model that is started here; give `model`"
            )
        return self

    @field_validator("url")
    @classmethod
    def _an_address(cls, url: str | None) -> str | None:
        return None if url is None else _checked_address(url)

    @field_validator("replicas")
    @classmethod
    def _addresses(cls, urls: list[str]) -> list[str]:
        return [_checked_address(url) for url in urls]

    @property
    def managed(self) -> bool:
        """Whether `rsd serve` starts it, or `mode = "offline"` loads it."""
        return self.model is not None and self.url is None

    @property
    def api_key(self) -> str | None:
        """The key that `api_key_env` names, from the environment."""
        return None if self.api_key_env is None else _from_environment(self.api_key_env)


def _checked_address(url: str) -> str:
    parts = urlsplit(url)
    # reading `port` raises where it is no number
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("an address looks like http://host:8000")
    return url


def _from_environment(variable: str) -> str:
    key = os.environ.get(variable)
    if not key:
        raise ConfigurationError(f"the environment variable {variable} (api_key_env) is not set")
    return key


class RewardConfig(ModelConfig):
    """The reward: the draft's confidence, a process reward model, or a chat model as judge."""

    kind: Kind | None = None
    """None: confidence where no model is named, else told by the model's name."""
    centre: float | None = None
    """None: 0, for the kind `outcome`; a reward file says its own."""
    curve: StepCalibration | None = None
    scale: float = Field(default=1.0, gt=0)
    engine: Literal["vllm", "transformers"] = "vllm"
    device: str = "cpu"

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "RewardConfig":
        if self.kind == "confidence" and (self.url or self.path or self.model):
            raise ValueError("the confidence is the draft's own, and has no `url`, `path` or `model`")
        if self.path and self.path.suffix == SUFFIX and self.kind not in (None, *OF_THE_DRAFT):
            raise ValueError(f"{self.path} is a reward file: its kind is 'trained' or 'combined'")
        if self.kind in OF_THE_DRAFT and (self.url or self.model):
            for key in ("centre", "curve") if self.kind == "combined" else ("centre",):
                if getattr(self, key) is None:
                    raise ValueError(
                        f"the kind {self.kind!r} needs its `{key}` on a server: `rsd export-reward` says it"
                    )
        if self.kind not in (None, "confidence", "judge", *OF_THE_DRAFT) and not (self.url or self.model):
            raise ValueError(f"the kind {self.kind!r} needs a `model` or a `url`")
        if self.engine == "transformers" and (self.url or not self.model):
            raise ValueError('`engine = "transformers"` computes a `model` in this process: give one, and no `url`')
        return self

    @property
    def managed(self) -> bool:
        """Whether `rsd serve` starts it, or `mode = "offline"` loads it."""
        return super().managed and self.engine == "vllm"

    @property
    def resolved_kind(self) -> Kind:
        """The kind: as given, or as the model's name tells; without a model the draft's confidence.

        Raises:
            ConfigurationError: the name of a model that is started here tells nothing.
        """
        if self.kind:
            return self.kind
        if not self.model:
            if self.path and self.path.suffix == SUFFIX:
                return "trained"
            return "judge" if self.url or self.path else "confidence"
        known = kind_of(self.model)
        if known is None and not self.url:
            raise ConfigurationError(
                f"reward: the name {self.model!r} does not tell how the model is asked; give its `kind`: "
                f"{', '.join(kind for kind in get_args(Kind) if kind != 'confidence')}"
            )
        return known or "judge"


class ServeConfig(BaseModel):
    """How `rsd serve` listens and logs, and how engines in this process share a GPU."""

    model_config = ConfigDict(extra="forbid")

    host: str = "127.0.0.1"
    api_key_env: str = "RSD_API_KEY"
    logs: Path = Path(".rsd/logs")
    sleep: bool = False

    @property
    def api_key(self) -> str | None:
        """The servers' key; needed once they listen beyond this machine."""
        if self.host in LOOPBACK and self.api_key_env not in os.environ:
            return None
        return _from_environment(self.api_key_env)


class Config(BaseModel):
    """The whole of `rsd.toml`."""

    model_config = ConfigDict(extra="forbid")

    preset: str | None = None
    mode: Literal["serve", "offline"] = "serve"
    draft: ModelConfig = Field(default_factory=ModelConfig)
    target: ModelConfig = Field(default_factory=ModelConfig)
    reward: RewardConfig = Field(default_factory=RewardConfig)
    serve: ServeConfig = Field(default_factory=ServeConfig)
    settings: RSDSettings = Field(default_factory=RSDSettings)

    @model_validator(mode="after")
    def _offline_shares_one_gpu(self) -> "Config":
        for role in ROLES if self.mode == "offline" else ():
            if given := sorted({"gpus", "tensor_parallel", "port"} & self.role(role).model_fields_set):
                raise ValueError(f"{role}.{given[0]}: engines in this process share one GPU; `rsd serve` uses several")
        return self

    def role(self, role: Role) -> ModelConfig:
        """The model in this role."""
        config: ModelConfig = getattr(self, role)
        return config

    def address(self, role: Role) -> str | None:
        """Where the model in this role is served, by somebody else or by `rsd serve`; None where it is not."""
        config = self.role(role)
        if config.url or not config.managed or self.mode == "offline":
            return config.url
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.serve.host, self.serve.host)  # noqa: S104  # not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{config.port or PORTS[role]}"


def load_config(file: Path | None, overrides: dict[str, Any] | None = None) -> Config:
    """Read the file, and lay it over its preset and the overrides over it, table by table.

    Args:
        file: The file; None takes `rsd.toml` in the current folder if there is one.
        overrides: Such as `{"settings": {"threshold": 0.5}}`. A table that says which model it is about (`url`, `path`,
            `model`, or a reward of the kind "confidence", "judge", "trained" or "combined") replaces the one below it.

    Raises:
        ConfigurationError: in one line, what is wrong and where.
    """
    tables: dict[str, Any] = {}
    source = file or DEFAULT_FILE
    if file is not None or source.exists():
        try:
            tables = tomllib.loads(source.read_text())
        except OSError as error:
            raise ConfigurationError(f"cannot read {source}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{source} is not TOML: {error}") from error
    overrides = overrides or {}
    name = overrides.get("preset", tables.get("preset"))
    family = preset(name) if isinstance(name, str) else {}  # anything else is refused below
    try:
        return Config.model_validate(_laid_over(_laid_over(dict(family), tables), overrides))
    except ValidationError as error:
        raise ConfigurationError(f"{describe(error)}") from error


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    laid = dict(below)
    for key, value in above.items():
        under = below.get(key, {})
        if isinstance(value, dict) and not isinstance(under, dict):
            continue  # it is refused as it stands
        elsewhere = isinstance(value, dict) and (
            {"url", "path", "model"} & value.keys() or value.get("kind") in ("confidence", "judge", *OF_THE_DRAFT)
        )
        if isinstance(value, dict) and value.get("engine") == "transformers":
            under = {name: given for name, given in under.items() if name not in ENGINE_KEYS}
        laid[key] = {**under, **value} if isinstance(value, dict) and not elsewhere else value
    return laid
