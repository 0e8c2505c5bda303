"""`rsd.toml`: which models to use, where they run, and the settings of the runs.

    preset = "qwen2.5-math-7b"

    [draft]
    url = "http://127.0.0.1:8000"

    [settings]
    threshold = 0.7

docs/settings.md lists every key; it is generated from the models below. What is left out is the embedded default.
"""

import os
import re
import tomllib
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from rsd_graph._internal.addresses import LOOPBACK, checked_host, checked_url
from rsd_graph._internal.files import expanded, read_regular, require_no_control
from rsd_graph.errors import ConfigurationError, describe
from rsd_graph.presets import preset
from rsd_graph.rewards.combined import StepCalibration
from rsd_graph.rewards.confidence import ConfidenceCurve
from rsd_graph.rewards.families import FAMILIES, recognize
from rsd_graph.rewards.trained.format import is_reward_file
from rsd_graph.settings import RSDSettings

TRAINED_KINDS = ("trained", "combined")
"""Kinds of reward that `rsd train-reward` makes."""
DEFAULT_FILE = Path("rsd.toml")
LARGEST_FILE = 256 << 10
"""Bytes of `rsd.toml`."""
_DEEPEST_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){40}""", re.ASCII)
"""A dotted key of so many parts: reading it takes time and memory that grow with the square of their number."""

Role = Literal["draft", "target", "reward"]
ROLES: tuple[Role, ...] = ("draft", "target", "reward")
PORTS: dict[Role, int] = {"draft": 8000, "target": 8001, "reward": 8002}

ENGINE_KEYS = {"gpus", "tensor_parallel", "memory", "context", "flags", "port"}
"""Keys of models that are started here."""
RESERVED_FLAGS = {"--host", "--port", "--api-key", "--model", "--served-model-name"}

Place = Literal["server", "managed", "offline", "transformers", "file", "embedded", "draft", "target"]
"""Where a role's model runs.

- `server`: on a server that runs already.
- `managed`: on a server that `rsd serve` starts.
- `offline`: in this process, by vLLM.
- `transformers`: in this process, by plain transformers (a reward only).
- `file`: in this process, by llama.cpp, from a GGUF file.
- `embedded`: in this process, by llama.cpp, with the embedded default's weights.
- `draft`, `target`: no model of its own (a reward only): that model gives the reward too.
"""


def _name(text: str) -> str:
    """A name that can be an argument of a program and is not one of its options."""
    if text.startswith("-") or not text.strip():
        raise ValueError("a name is not empty, and does not begin with -")
    return require_no_control(text)


def _variable(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):  # it may be the key itself
        raise PydanticCustomError("secret", "the name of an environment variable has only letters, digits and _")
    return text


Url = Annotated[str, AfterValidator(checked_url)]
UserPath = Annotated[Path, AfterValidator(expanded)]
Name = Annotated[str, AfterValidator(_name)]
Argument = Annotated[str, AfterValidator(require_no_control)]
Variable = Annotated[str, AfterValidator(_variable)]


def kinds() -> tuple[str, ...]:
    """Every kind of reward: the draft's confidence, the families of reward models, and a trained one with both."""
    return ("confidence", "combined", *FAMILIES)


class ModelConfig(BaseModel):
    """A model: on a server (`url`), started here (`model`), from a file (`path`), or the embedded default."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    url: Url | None = Field(
        default=None,
        description="Address of a server that runs already: vLLM, llama.cpp, or one with the OpenAI completions API.",
    )
    replicas: list[Url] = Field(
        default=[], description="More servers of the same model, beside `url`; conversations are spread over them."
    )
    path: UserPath | None = Field(default=None, description="A GGUF file, run in this process by llama.cpp.")
    model: Name | None = Field(
        default=None,
        description="The model's name. With `url`: one of those that the server lists, the first by default. Without: "
        'what `rsd serve` starts, or what `mode = "offline"` loads.',
    )
    parameters: float | None = Field(
        default=None,
        gt=0,
        description="Number of the model's parameters: for the FLOPs count, and for planning GPU memory where the "
        "model's name does not give it.",
    )
    api_key_env: Variable | None = Field(
        default=None, description="Environment variable that holds the API key of the server at `url`."
    )
    timeout: float = Field(
        default=600,
        gt=0,
        description="Seconds that one step may take, all its requests together, or one request for a reward.",
    )
    chat_template_kwargs: dict[str, Any] = Field(
        default={},
        description="Passed to the model's chat template, such as `{ enable_thinking = false }` for a model that "
        "would think before each step.",
    )
    revision: Name | None = Field(default=None, description="Revision of `model` on the hub.")
    gpus: list[int] | None = Field(
        default=None, min_length=1, description="GPUs of a model that is started here; planned by default."
    )
    tensor_parallel: int | None = Field(
        default=None,
        ge=1,
        description="Over how many GPUs the model is split; by default as many as `gpus`, or planned.",
    )
    memory: float | None = Field(
        default=None, gt=0, le=1, description="Share of the memory of each of its GPUs; planned by default."
    )
    context: int | None = Field(
        default=None, ge=1, description="Longest prompt and response together, in tokens; the model's own by default."
    )
    flags: list[Argument] = Field(default=[], description="More flags for vLLM.")
    port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port of a server that `rsd serve` starts; 8000 for the draft, 8001 for the target, 8002 for the "
        "reward by default.",
    )

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
        for reserved in sorted(RESERVED_FLAGS):
            if any(_is_flag(flag, reserved) for flag in self.flags):
                raise ValueError(f"`flags`: {reserved} is set by other keys")
        if not self.managed and (given := sorted(ENGINE_KEYS & self.model_fields_set)):
            raise ValueError(
                f"{', '.join(f'`{key}`' for key in given)}: for a model that is started here; give `model`"
            )
        if self.managed and self.model and self.model.startswith("~"):
            self.model = str(expanded(Path(self.model)))
        return self

    @property
    def managed(self) -> bool:
        """Whether `rsd serve` starts it, or `mode = "offline"` loads it."""
        return self.model is not None and self.url is None

    @property
    def api_key(self) -> str | None:
        """The key that `api_key_env` names, from the environment."""
        return None if self.api_key_env is None else _from_environment(self.api_key_env)


def _is_flag(given: str, flag: str) -> bool:
    """Whether vLLM reads the argument as the flag: with a value behind =, with _ for -, or shortened."""
    name = given.partition("=")[0].replace("_", "-")
    return len(name) > len("--x") and flag.startswith(name)


def _from_environment(variable: str) -> str:
    key = os.environ.get(variable, "").strip()  # a key read from a file ends with a line feed
    if not key:
        raise ConfigurationError(f"the environment variable {variable} (api_key_env) is not set")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigurationError(
            f"the environment variable {variable} (api_key_env) holds a character that no key has: a key is ASCII, "
            "without spaces and line ends"
        )
    return key


class DraftConfig(ModelConfig):
    """The draft, with what only a draft can have."""

    confidence: ConfidenceCurve | None = Field(
        default=None,
        description="How its surprisal becomes the probability that a step is right, where the reward is `confidence`, "
        "and for `gate` and `hedge`: `{ intercept = ..., slope = ... }`, as `rsd fit-confidence` prints it. By default "
        "the embedded draft's.",
    )


class TargetConfig(ModelConfig):
    """The target, with what only a target can have."""

    speculative: int | None = Field(
        default=None,
        ge=1,
        description="Tokens that the draft model proposes to the target's own engine, which verifies them in one pass: "
        "vLLM's `--speculative-config`, or llama.cpp in this process. The engine loads the draft's weights beside the "
        "target's; both need vocabularies of the same size.",
    )

    @model_validator(mode="after")
    def _is_started_here(self) -> "TargetConfig":
        if self.url and self.speculative:
            raise ValueError("`speculative`: for a model that is started here; a server decides it when it starts")
        return self


class RewardConfig(ModelConfig):
    """The reward: the draft's confidence, a process reward model, or a chat model as judge."""

    path: UserPath | None = Field(
        default=None,
        description="A GGUF file, run in this process by llama.cpp as a judge; or a reward file of `rsd train-reward`, "
        "for `trained` (then `kind` may be left out) and `combined`. By default the embedded draft's reward file.",
    )
    kind: str | None = Field(
        default=None,
        description="`confidence` (the draft's own), `trained`, `combined` (both), `judge`, or a family of process "
        f"reward models: {', '.join(f'`{kind}`' for kind in FAMILIES if kind not in ('judge', *TRAINED_KINDS))}. By "
        "default recognized by the model's name; `confidence` where no model is named.",
    )
    centre: float | None = Field(
        default=None,
        description="The logit at which the reward is 0.5: for `outcome` (0 by default), and for `trained` and "
        "`combined` on a server, where `rsd export-reward` prints it.",
    )
    curve: StepCalibration | None = Field(
        default=None,
        description="For `combined` on a server: `{ intercept = ..., value = ..., surprisal = ... }`, as `rsd "
        "export-reward` prints it.",
    )
    scale: float = Field(
        default=1.0, gt=0, description="For `outcome`: the distance in logits from `centre` to a reward of 0.73."
    )
    engine: Literal["vllm", "transformers"] = Field(
        default="vllm", description="What runs `model`: vLLM, or plain transformers in this process."
    )
    device: Name = Field(default="cpu", description='Device of `engine = "transformers"`, such as `cuda:0`.')

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str | None) -> str | None:
        if kind is not None and kind not in kinds():
            raise ValueError(f"a kind of reward is one of {', '.join(kinds())}")
        return kind

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "RewardConfig":
        if self.kind == "confidence" and (self.url or self.path or self.model):
            raise ValueError("the confidence is the draft's own, and has no `url`, `path` or `model`")
        if self.path and is_reward_file(self.path) and self.kind not in (None, *TRAINED_KINDS):
            raise ValueError(f"{self.path} is a reward file: its kind is 'trained' or 'combined'")
        if self.kind in TRAINED_KINDS and (self.url or self.model):
            for key in ("centre", "curve") if self.kind == "combined" else ("centre",):
                if getattr(self, key) is None:
                    raise ValueError(
                        f"the kind {self.kind!r} needs its `{key}` on a server: `rsd export-reward` prints it"
                    )
        if self.kind not in (None, "confidence", "judge", *TRAINED_KINDS) and not (self.url or self.model):
            raise ValueError(f"the kind {self.kind!r} needs a `model` or a `url`")
        if self.engine == "transformers" and (self.url or not self.model):
            raise ValueError('`engine = "transformers"` runs a `model` in this process: give one, and no `url`')
        return self

    @property
    def managed(self) -> bool:
        """Whether `rsd serve` starts it, or `mode = "offline"` loads it."""
        return super().managed and self.engine == "vllm"

    @property
    def resolved_kind(self) -> str | None:
        """The kind: as given, or as the model's name says; None where only a server at `url` knows the name.

        Raises:
            ConfigurationError: no family claims the name of a model that is started here.
        """
        if self.kind:
            return self.kind
        if not self.model:
            if self.path:
                return "trained" if is_reward_file(self.path) else "judge"
            return None if self.url else "confidence"
        kind = recognize(self.model)
        if kind is None and not self.url:
            raise ConfigurationError(
                f"reward: the name {self.model!r} does not say which kind of reward model it is; give its `kind`: "
                f"{', '.join(kind for kind in kinds() if kind != 'confidence')}"
            )
        return kind or "judge"


class LatencyConfig(BaseModel):
    """What makes one run shorter: the wrappers of `rsd_graph.latency`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    ahead: bool | None = Field(
        default=None,
        description="Whether the draft writes the next step while this one is scored; by default where both the draft "
        "and the reward are on servers.",
    )
    warm: bool = Field(
        default=False, description="Whether the target reads accepted steps at once, rather than when it is needed."
    )
    gate: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="The draft's confidence from which on a step is accepted unscored. This changes decisions.",
    )
    hedge: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="The draft's confidence below which the target starts on a step while it is scored.",
    )


class ServeConfig(BaseModel):
    """How `rsd serve` listens and logs, and how engines in this process share a GPU."""

    model_config = ConfigDict(extra="forbid")

    host: Annotated[str, AfterValidator(checked_host)] = Field(
        default="127.0.0.1", description="Address that the servers listen on; anything beyond this machine needs a key."
    )
    api_key_env: Variable = Field(
        default="RSD_API_KEY", description="Environment variable that holds the servers' key."
    )
    logs: UserPath = Field(default=Path(".rsd/logs"), description="Folder of the servers' log files.")
    sleep: bool = Field(
        default=False,
        description='With `mode = "offline"`: models sleep while another works, instead of sharing the memory.',
    )

    @property
    def api_key(self) -> str | None:
        """The servers' key; needed once they listen beyond this machine."""
        if self.host in LOOPBACK and self.api_key_env not in os.environ:
            return None
        return _from_environment(self.api_key_env)


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A role's model, resolved once: where it runs and how it is reached."""

    role: Role
    config: ModelConfig
    place: Place
    addresses: tuple[str, ...] = ()
    """Of its servers; empty for a model in this process."""
    api_key: str | None = None

    @property
    def served(self) -> bool:
        """Whether it is on a server."""
        return bool(self.addresses)


class Config(BaseModel):
    """The whole of `rsd.toml`."""

    model_config = ConfigDict(extra="forbid")

    preset: str | None = Field(
        default=None, description="The name of a preset: a draft, a target and a reward model. The tables override it."
    )
    mode: Literal["serve", "offline"] = Field(
        default="serve",
        description="Where a `model` runs: on a server that `rsd serve` starts, or in this process by vLLM.",
    )
    draft: DraftConfig = Field(default_factory=DraftConfig, description="The model that proposes every step.")
    target: TargetConfig = Field(default_factory=TargetConfig, description="The model that rewrites rejected steps.")
    reward: RewardConfig = Field(default_factory=RewardConfig, description="What scores the draft's steps.")
    latency: LatencyConfig = Field(default_factory=LatencyConfig, description="What makes one run shorter.")
    serve: ServeConfig = Field(default_factory=ServeConfig, description="How model servers are run.")
    settings: RSDSettings = Field(default_factory=RSDSettings, description="The settings of the runs.")

    @model_validator(mode="after")
    def _offline_shares_one_gpu(self) -> "Config":
        for role in ROLES if self.mode == "offline" else ():
            if given := sorted({"gpus", "tensor_parallel", "port"} & self.role(role).model_fields_set):
                raise ValueError(f"{role}.{given[0]}: engines in this process share one GPU; `rsd serve` uses several")
        return self

    @model_validator(mode="after")
    def _speculates_with_the_draft(self) -> "Config":
        if not self.target.speculative:
            return self
        if self.target.managed and not self.draft.model:
            raise ValueError("target.speculative: the target's engine loads the draft too: name its `model` in [draft]")
        if not self.target.managed and (self.draft.url or self.draft.model):
            raise ValueError(
                "target.speculative: the target's engine loads the draft too: give the draft's GGUF file as its `path`"
            )
        return self

    def needing(self, roles: Set[Literal["draft", "target"]]) -> "Config":
        """The same for work that needs these roles alone; the rest is the embedded default: servers may be down."""
        embedded: dict[str, ModelConfig] = {"draft": DraftConfig(), "target": TargetConfig()}
        return self.model_copy(update={role: model for role, model in embedded.items() if role not in roles})

    @property
    def target_can_speculate(self) -> bool:
        """Whether the target runs in this process, so that its engine can load the draft too."""
        return self.resolve("target").place in ("file", "embedded", "offline")

    @property
    def goes_ahead(self) -> bool:
        """Whether the draft writes the next step while this one is scored.

        Models in this process take turns: there is nothing to gain, and the turn that a rejection wastes is lost.
        """
        if self.latency.ahead is not None:
            return self.latency.ahead
        return self.resolve("draft").served and self.resolve("reward").served

    def role(self, role: Role) -> ModelConfig:
        """The model in this role, as the file describes it."""
        config: ModelConfig = getattr(self, role)
        return config

    def address(self, role: Role) -> str | None:
        """Where the model in this role is served, by somebody else or by `rsd serve`; None where it is not."""
        config = self.role(role)
        if config.url or not config.managed or self.mode == "offline":
            return config.url
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.serve.host, self.serve.host)  # noqa: S104  # not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{config.port or PORTS[role]}"

    def resolve(self, role: Role) -> ResolvedModel:
        """Where the model in this role runs, and how it is reached.

        Raises:
            ConfigurationError: a key is not in the environment, or the reward's kind is not known.
        """
        config = self.role(role)
        address = self.address(role)
        if address:
            key = self.serve.api_key if config.managed else config.api_key
            place: Place = "managed" if config.managed else "server"
            return ResolvedModel(role, config, place, (address, *config.replicas), key)
        return ResolvedModel(role, config, self._place_in_this_process(config))

    def _place_in_this_process(self, config: ModelConfig) -> Place:
        if config.model:
            return "offline" if config.managed else "transformers"
        if isinstance(config, RewardConfig):
            if config.resolved_kind in ("confidence", *TRAINED_KINDS):
                return "draft"
            return "file" if config.path else "target"
        return "file" if config.path else "embedded"


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
        tables = _read(source)
    overrides = overrides or {}
    name = overrides.get("preset", tables.get("preset"))
    base = preset(name) if isinstance(name, str) else {}  # anything else is refused below
    try:
        return Config.model_validate(_laid_over(_laid_over(dict(base), tables), overrides))
    except ValidationError as error:
        raise ConfigurationError(f"{describe(error)}") from error


def _read(source: Path) -> dict[str, Any]:
    try:
        content = read_regular(source, LARGEST_FILE)
        text = content.decode("utf-8-sig")
        if deep := _DEEPEST_KEY.search(text):
            raise ValueError(f"a key has too many parts (at line {_line(text, deep.start())})")
        return tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError(f"cannot read {source}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{source} is not TOML: it is not UTF-8 (at line {line})") from error
    except ValueError as error:  # TOMLDecodeError among them
        raise ConfigurationError(f"{source} is not TOML: {error}") from error
    except RecursionError as error:
        line = _line(text, _deepest_bracket(text))
        raise ConfigurationError(f"{source} is not TOML: brackets are nested too deeply (at line {line})") from error


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _deepest_bracket(text: str) -> int:
    depth, deepest, position = 0, 0, 0
    for bracket in re.finditer(r"[\[{\]}]", text):
        depth += 1 if bracket.group() in "[{" else -1
        if depth > deepest:
            deepest, position = depth, bracket.start()
    return position


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    laid = dict(below)
    for key, value in above.items():
        under = below.get(key, {})
        if isinstance(value, dict) and not isinstance(under, dict):
            continue  # validation refuses `under` as it is
        other_model = isinstance(value, dict) and (
            {"url", "path", "model"} & value.keys() or value.get("kind") in ("confidence", "judge", *TRAINED_KINDS)
        )
        if isinstance(value, dict) and value.get("engine") == "transformers":
            under = {name: given for name, given in under.items() if name not in ENGINE_KEYS}
        laid[key] = {**under, **value} if isinstance(value, dict) and not other_model else value
    return laid
