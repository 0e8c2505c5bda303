"""`rsd.toml`: which models to use, and the settings of the runs.

    [draft]                 # target is the same
    url = "http://127.0.0.1:8000"     # a vLLM, llama.cpp or other OpenAI-compatible server
    model = "Qwen/Qwen2.5-Math-1.5B-Instruct"   # by default the first that the server lists
    parameters = 1.5e9      # for the FLOPs count
    api_key_env = "MY_KEY"  # environment variable that holds the server's key

    [target]
    path = "model.gguf"     # or a GGUF file, computed in this process

    [reward]
    kind = "confidence"     # or "judge"
    url = "http://127.0.0.1:8001"     # of the judge; by default the target judges

    [settings]
    threshold = 0.7         # any field of RSDSettings

What is left out is the embedded default.
"""

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rsd_graph.errors import ConfigurationError
from rsd_graph.settings import RSDSettings

DEFAULT_FILE = Path("rsd.toml")


class ModelConfig(BaseModel):
    """One model: on a server (`url`), from a file (`path`), or the embedded default."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = Field(default=None, pattern=r"^https?://")
    path: Path | None = None
    model: str | None = None
    parameters: float | None = Field(default=None, gt=0)
    api_key_env: str | None = None
    timeout: float = Field(default=600, gt=0)

    @model_validator(mode="after")
    def _one_place(self) -> "ModelConfig":
        if self.url and self.path:
            raise ValueError("give `url` or `path`, not both")
        return self

    @property
    def api_key(self) -> str | None:
        """The key that `api_key_env` names, from the environment."""
        if self.api_key_env is None:
            return None
        key = os.environ.get(self.api_key_env)
        if not key:
            raise ConfigurationError(f"the environment variable {self.api_key_env} (api_key_env) is not set")
        return key


class RewardConfig(ModelConfig):
    """The reward: the draft's confidence, or a chat model as judge."""

    kind: Literal["confidence", "judge"] = "confidence"


class Config(BaseModel):
    """The whole of `rsd.toml`."""

    model_config = ConfigDict(extra="forbid")

    draft: ModelConfig = Field(default_factory=ModelConfig)
    target: ModelConfig = Field(default_factory=ModelConfig)
    reward: RewardConfig = Field(default_factory=RewardConfig)
    settings: RSDSettings = Field(default_factory=RSDSettings)


def load_config(file: Path | None, overrides: dict[str, dict[str, Any]] | None = None) -> Config:
    """Read the file and lay the overrides, table by table, over it.

    Args:
        file: The file; None takes `rsd.toml` in the current folder if there is one.
        overrides: Such as `{"settings": {"threshold": 0.5}}`. One that names a model's `url` or `path` replaces its
            table.

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
    for table, values in (overrides or {}).items():
        elsewhere = {"url", "path", "kind"} & values.keys()
        tables[table] = values if elsewhere else {**tables.get(table, {}), **values}
    try:
        return Config.model_validate(tables)
    except ValidationError as error:
        raise ConfigurationError(f"{describe(error)}") from error


def describe(error: ValidationError) -> str:
    """A validation error in one line that names each wrong value and says what is allowed."""
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'configuration'}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"
        + ("" if problem["type"] in ("extra_forbidden", "missing") else f", got {problem['input']!r}")
        for problem in error.errors()
    )
