"""Draft, target and reward by one name: the combinations of the paper, also with Qwen's own reward model."""

from typing import Any

from rsd_graph.errors import ConfigurationError

Tables = dict[str, dict[str, Any]]

SKYWORK_SMALL = {"model": "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B", "parameters": 1.54e9, "context": 4096}
SKYWORK = {"model": "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B", "parameters": 7.6e9, "context": 4096}
QWEN_PRM = {"model": "Qwen/Qwen2.5-Math-PRM-7B", "parameters": 7.6e9, "context": 4096}


def _math(size: str, parameters: float) -> dict[str, Any]:
    return {"model": f"Qwen/Qwen2.5-Math-{size}-Instruct", "parameters": parameters, "context": 4096}


def _general(size: str, parameters: float) -> dict[str, Any]:
    return {"model": f"Qwen/Qwen2.5-{size}-Instruct", "parameters": parameters, "context": 8192}


def _llama(name: str, parameters: float) -> dict[str, Any]:
    return {"model": f"meta-llama/{name}-Instruct", "parameters": parameters, "context": 8192}


PRESETS: dict[str, Tables] = {
    "qwen2.5-math-7b": {"draft": _math("1.5B", 1.54e9), "target": _math("7B", 7.6e9), "reward": SKYWORK_SMALL},
    "qwen2.5-math-7b-skywork-7b": {"draft": _math("1.5B", 1.54e9), "target": _math("7B", 7.6e9), "reward": SKYWORK},
    "qwen2.5-math-7b-qwen-prm": {"draft": _math("1.5B", 1.54e9), "target": _math("7B", 7.6e9), "reward": QWEN_PRM},
    "qwen2.5-math-72b": {"draft": _math("7B", 7.6e9), "target": _math("72B", 72.7e9), "reward": SKYWORK},
    "qwen2.5-math-72b-qwen-prm": {"draft": _math("7B", 7.6e9), "target": _math("72B", 72.7e9), "reward": QWEN_PRM},
    "qwen2.5-7b": {"draft": _general("1.5B", 1.54e9), "target": _general("7B", 7.6e9), "reward": SKYWORK_SMALL},
    "qwen2.5-72b": {"draft": _general("7B", 7.6e9), "target": _general("72B", 72.7e9), "reward": SKYWORK},
    "llama-3-8b": {
        "draft": _llama("Llama-3.2-1B", 1.24e9),
        "target": _llama("Llama-3.1-8B", 8.0e9),
        "reward": SKYWORK_SMALL,
    },
    "llama-3-70b": {
        "draft": _llama("Llama-3.1-8B", 8.0e9),
        "target": _llama("Llama-3.1-70B", 70.6e9),
        "reward": SKYWORK,
    },
}


def preset(name: str) -> Tables:
    """The preset's tables, as in `rsd.toml`.

    Raises:
        ConfigurationError: there is no such preset.
    """
    if name not in PRESETS:
        raise ConfigurationError(f"preset: there is none called {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]
