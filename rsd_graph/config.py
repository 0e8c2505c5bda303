"""`rsd.toml`: which models to use, and the settings of the runs.

    [draft]                 # target is the same
    url = "http://127.0.0.1:8000"     # a vLLM, llama.cpp or other OpenAI-compatible server
    model = "Qwen/Qwen2.5-Math-1.5B-Instruct"   # by default the first that the server lists
    parameters = 1.5e9      # for the FLOPs count
    api_key_env = "MY_KEY"  # environment variable that holds the server's key

    [target]
    path = "model.gguf"     # or a GGUF file, computed in this process

    [reward]
    kind = "judge"          # by default "confidence", the draft's own
    url = "http://127.0.0.1:8002"     # of the judge; by default the embedded target judges
    parameters = 7e9        # of the judge

    [settings]
    threshold = 0.7         # any field of RSDSettings

What is left out is the embedded default.
"""

import os
import tomllib
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from rsd_graph.errors import ConfigurationError, describe
from rsd_graph.settings import RSDSettings

DEFAULT_FILE = Path("rsd.toml")


class ModelConfig(BaseModel):
    """One model: on a server (`url`), from a file (`path`), or the embedded default."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = None
    path: Path | None = None
    model: str | None = None
    parameters: float | None = Field(default=None, gt=0)
    api_key_env: str | None = None
    timeout: float = Field(default=600, gt=0)

    @model_validator(mode="after")
    def _one_place(self) -> "ModelConfig":
        if self.url and self.path:
            raise ValueError("give `url` or `path`, not both")
        if not self.url and (self.model or self.api_key_env):
            raise ValueError("`model` and `api_key_env` belong to a server: give its `url`")
        return self

    @field_validator("url")
    @classmethod
    def _an_address(cls, url: str | None) -> str | None:
        if url is not None:
            parts = urlsplit(url)
            # reading `port` raises where it is no number
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
                raise ValueError("an address looks like http://host:8000")
        return url

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

    @model_validator(mode="before")
    @classmethod
    def _a_place_is_a_judges(cls, table: Any) -> Any:
        if isinstance(table, dict) and {"url", "path"} & table.keys():
            return {"kind": "judge", **table}
        return table

    @model_validator(mode="after")
    def _confidence_has_no_place(self) -> "RewardConfig":
        if self.kind == "confidence" and (self.url or self.path):
            raise ValueError("`url` and `path` are a judge's: the confidence is the draft's own")
        return self


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
        below = tables.get(table, {})
        if isinstance(below, dict):  # anything else is refused below
            tables[table] = values if elsewhere else {**below, **values}
    try:
        return Config.model_validate(tables)
    except ValidationError as error:
        raise ConfigurationError(f"{describe(error)}") from error
