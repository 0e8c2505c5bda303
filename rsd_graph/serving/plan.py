"""From a configuration to the `vllm serve` commands that fit the GPUs: pure.

Each model gets as few GPUs as its weights need, a power of two. The largest is placed first, the others where most
memory is left. The memory that the weights on a GPU leave free is shared evenly among its models, for their key-value
caches.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from shlex import join

from rsd_graph.config import PORTS, ROLES, Config, ModelConfig, RewardConfig, Role, TargetConfig
from rsd_graph.errors import ConfigurationError
from rsd_graph.rewards.families import FAMILIES
from rsd_graph.serving.gpus import GPU, IN_ORDER

USABLE = 0.92
"""Share of a GPU's memory that models may take together; vLLM's own default for one."""
OVERHEAD_GIB = 3.0
"""Memory that an engine takes on each of its GPUs beyond weights and cache: CUDA's context and graphs, activations."""
LEAST_CACHE_GIB = 2.0
LEAST_CACHE_SHARE = 0.15
"""Smallest key-value cache with which a model fits: in GiB, and as a share of its weights. The larger one counts."""
GIB = 2**30
BYTES_PER_PARAMETER = (
    (r"awq|gptq|int4|w4a16|4bit", 0.6),  # with scales and the layers that stay in 16 bits
    (r"fp8|int8|w8a8|8bit", 1.05),
)
SIZE_IN_NAME = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)b(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """One `vllm serve` process."""

    role: Role
    model: str
    url: str
    command: tuple[str, ...]
    gpus: tuple[int, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The command as it would be typed in a shell."""
        head = " ".join(f"{name}={value}" for name, value in self.environment.items())
        words = list(self.command)
        lines = [join(words[:3])]
        for word in words[3:]:
            if word.startswith("--"):
                lines.append(join([word]))
            else:
                lines[-1] += f" {join([word])}"
        return f"{head} " * bool(head) + " \\\n    ".join(lines)


def plan(config: Config, gpus: Sequence[GPU]) -> list[ServerPlan]:
    """What to run, in the order of draft, target, reward.

    Args:
        config: Models with a `url` run already and are left out.
        gpus: What there is; without any, vLLM's CPU build is assumed, and nothing is shared out.

    Raises:
        ConfigurationError: nothing is to be served, a port is given twice, or the models do not fit.
    """
    if config.mode == "offline":
        raise ConfigurationError('`mode = "offline"` needs no servers: `rsd solve` loads the models itself')
    roles = [role for role in ROLES if config.role(role).managed]
    if not roles:
        raise ConfigurationError(
            "nothing to serve: give `model` in [draft], [target] or [reward] of rsd.toml, or a preset (`--preset`)"
        )
    addresses = [config.address(role) or "" for role in roles]
    if len(set(addresses)) < len(addresses):
        raise ConfigurationError(f"two models have the same port: {', '.join(addresses)}")
    models = {role: config.role(role) for role in roles}
    allocated = (
        allocate(models, gpus, config.draft) if gpus else {role: _as_given(model) for role, model in models.items()}
    )
    return [_server(config, role, url, allocated[role]) for role, url in zip(roles, addresses, strict=True)]


@dataclass(frozen=True, slots=True)
class Allocation:
    """The GPUs that a model gets."""

    gpus: tuple[int, ...]
    share: float | None
    """Share of the memory of each of these GPUs; None leaves it to vLLM."""


@dataclass(slots=True)
class _Tenant:
    """A model that is being placed."""

    role: Role
    model: ModelConfig
    weights: float
    """GiB of all its weights; 0 where its share is given."""
    gpus: tuple[int, ...] = ()

    def least(self, gib: float, parallel: int) -> float:
        """Least GiB that it needs on each of `parallel` GPUs with `gib` of memory each."""
        if self.model.memory is not None:
            return self.model.memory * gib
        weights = self.weights / parallel
        return weights + OVERHEAD_GIB + max(LEAST_CACHE_GIB, LEAST_CACHE_SHARE * weights)


def allocate(
    models: Mapping[Role, ModelConfig], gpus: Sequence[GPU], draft: ModelConfig | None = None
) -> dict[Role, Allocation]:
    """Where each model runs, and its share of the memory there.

    Args:
        models: To be placed.
        gpus: What there is.
        draft: What a target that speculates loads beside itself.

    Raises:
        ConfigurationError: they do not fit, or a model's size is not known.
    """
    size = {gpu.index: gpu.gib for gpu in gpus}
    free = {gpu.index: min(USABLE * gpu.gib, gpu.gib if gpu.free is None else gpu.free) for gpu in gpus}
    tenants = [_Tenant(role, model, _weights_gib(role, model, draft)) for role, model in models.items()]
    # models with given GPUs come first, then the largest
    for tenant in sorted(tenants, key=lambda tenant: (tenant.model.gpus is None, -tenant.weights)):
        tenant.gpus = _given(tenant, size) if tenant.model.gpus else _fewest(tenant, free, size)
        for index in tenant.gpus:
            free[index] -= tenant.least(size[index], len(tenant.gpus))
    for index, left in free.items():
        here = [tenant for tenant in tenants if index in tenant.gpus]
        if left < 0:
            raise ConfigurationError(
                f"GPU {index} ({size[index]:.0f} GiB) is {-left:.0f} GiB too small for "
                f"{', '.join(f'{tenant.role} {tenant.model.model}' for tenant in here)}: use more GPUs, a quantised "
                "model, or a server elsewhere (`url`)"
            )
        growing = sum(tenant.model.memory is None for tenant in here)
        free[index] = left / growing if growing else 0.0  # for each
    return {tenant.role: Allocation(tenant.gpus, _share(tenant, free, size)) for tenant in tenants}


def _as_given(model: ModelConfig) -> Allocation:
    """What the configuration says, unplanned: no GPU was found, which need not mean that there is none."""
    return Allocation(tuple(model.gpus or ()), model.memory)


def _given(tenant: _Tenant, size: Mapping[int, float]) -> tuple[int, ...]:
    wanted = tuple(tenant.model.gpus or ())
    if unknown := set(wanted) - size.keys():
        raise ConfigurationError(f"{tenant.role}.gpus: there is no GPU {min(unknown)}; there are {sorted(size)}")
    return wanted


def _fewest(tenant: _Tenant, free: Mapping[int, float], size: Mapping[int, float]) -> tuple[int, ...]:
    """The smallest power of two of GPUs on which the model fits, those with most room; if it fits on none, all."""
    parallel = tenant.model.tensor_parallel or 1
    if parallel > len(size):
        raise ConfigurationError(
            f"{tenant.role}.tensor_parallel: {parallel} GPUs are asked for, and {len(size)} are here"
        )
    while True:
        roomiest = sorted(size, key=lambda index: (-round(free[index], 3), index))[:parallel]
        fits = all(free[index] >= tenant.least(size[index], parallel) for index in roomiest)
        if fits or tenant.model.tensor_parallel or 2 * parallel > len(size):
            return tuple(sorted(roomiest))
        parallel *= 2


def _share(tenant: _Tenant, spare: Mapping[int, float], size: Mapping[int, float]) -> float:
    """The share that the fullest of its GPUs allows: vLLM takes one share for all GPUs of a model."""
    if tenant.model.memory is not None:
        return tenant.model.memory
    return min((tenant.least(size[index], len(tenant.gpus)) + spare[index]) / size[index] for index in tenant.gpus)


def _weights_gib(role: Role, model: ModelConfig, draft: ModelConfig | None) -> float:
    """GiB of the weights that an engine loads; 0 where its share of the memory is given."""
    if model.memory is not None:
        return 0.0
    beside = _size_gib("draft", draft) if draft and speculates(model) else 0.0
    return _size_gib(role, model) + beside


def _size_gib(role: Role, model: ModelConfig) -> float:
    name = model.model or ""
    parameters = model.parameters or _parameters_in(name)
    if parameters is None:
        raise ConfigurationError(
            f"{role}: the name {name!r} does not say how large the model is; give its `parameters`, or its `memory`"
        )
    size = next((size for pattern, size in BYTES_PER_PARAMETER if re.search(pattern, name, re.IGNORECASE)), 2.0)
    return parameters * size / GIB


def _parameters_in(name: str) -> float | None:
    """The number of parameters that a model's name gives, as in `Qwen2.5-Math-1.5B-Instruct`."""
    sizes = SIZE_IN_NAME.findall(name.rsplit("/", 1)[-1])
    return float(sizes[-1]) * 1e9 if sizes else None


def speculates(model: ModelConfig) -> int | None:
    """How many tokens the draft model proposes to this model's own engine; None if it does not."""
    return model.speculative if isinstance(model, TargetConfig) else None


def _speculation(tokens: int, draft: ModelConfig, parallel: int) -> list[str]:
    """Token-level speculative decoding inside the target's engine: vLLM wants the draft split as the target is."""
    how = {
        "method": "draft_model",
        "model": draft.model,
        "num_speculative_tokens": tokens,
        "draft_tensor_parallel_size": parallel,
        **({"revision": draft.revision} if draft.revision else {}),
    }
    return ["--speculative-config", json.dumps(how)]


def engine_flags(model: ModelConfig, allocation: Allocation, draft: ModelConfig) -> list[str]:
    """Flags that a model's engine takes, on a server or in this process. `draft` is what it may speculate with."""
    flags = ["--revision", model.revision] if model.revision else []
    parallel = len(allocation.gpus) or model.tensor_parallel or 1
    if parallel > 1:
        flags += ["--tensor-parallel-size", str(parallel)]
    if allocation.share is not None:
        rounded_down = int(allocation.share * 100) / 100  # so that the sum fits
        flags += ["--gpu-memory-utilization", f"{rounded_down:.2f}"]
    if model.context:
        flags += ["--max-model-len", str(model.context)]
    flags += ["--generation-config", "vllm"]  # the settings say how to sample, not the model's own files
    flags += ["--enable-prefix-caching"]
    if tokens := speculates(model):
        flags += _speculation(tokens, draft, parallel)
    if isinstance(model, RewardConfig) and model.resolved_kind in FAMILIES:
        flags += FAMILIES[model.resolved_kind].vllm_flags
    return [*flags, *model.flags]


def offline_flags(config: Config, role: Role, gpus: Sequence[GPU]) -> list[str]:
    """Flags of an engine in this process, which shares the first GPU with the others: by memory, or by sleeping.

    Raises:
        ConfigurationError: they do not fit.
    """
    models = {each: config.role(each) for each in ROLES if config.role(each).managed}
    if config.serve.sleep:
        models = {role: models[role]}
    draft = config.draft
    allocation = allocate(models, gpus[:1], draft)[role] if gpus else _as_given(models[role])
    return engine_flags(models[role], allocation, draft)


def _server(config: Config, role: Role, url: str, allocation: Allocation) -> ServerPlan:
    model = config.role(role)
    name = model.model or ""
    address = ["--host", config.serve.host, "--port", str(model.port or PORTS[role])]
    front = ["--enable-prompt-tokens-details"]  # reports cached tokens, except for a reward head
    command = ("vllm", "serve", name, *address, *front, *engine_flags(model, allocation, config.draft))
    visible = IN_ORDER | {"CUDA_VISIBLE_DEVICES": ",".join(map(str, allocation.gpus))} if allocation.gpus else {}
    return ServerPlan(role, name, url, command, allocation.gpus, visible)
