import ast
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rsd_graph import vllm_plugin
from rsd_graph.rewards.families import FAMILIES

ROOT = Path(__file__).parents[2]


class Registry:
    """vLLM's registry of architectures, as far as a plug-in uses it."""

    def __init__(self, *known: str) -> None:
        self.known: dict[str, Any] = dict.fromkeys(known)

    def get_supported_archs(self) -> set[str]:
        return set(self.known)

    def register_model(self, architecture: str, model: str) -> None:
        assert architecture not in self.known, f"{architecture} is registered twice: vLLM warns of that"
        self.known[architecture] = model


def register(monkeypatch: pytest.MonkeyPatch, registry: Registry) -> dict[str, Any]:
    """What is known after the plug-in was loaded beside this registry."""
    vllm: Any = ModuleType("vllm")
    vllm.ModelRegistry = registry
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    vllm_plugin.register()
    return registry.known


def test_the_families_architectures_are_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """VLLM loads plug-ins several times in some processes."""
    theirs = {name for family in FAMILIES.values() for name in family.vllm_architectures}
    assert theirs >= {"Qwen2ForPrmModel", "Qwen2ForLastStepReward"}
    registry = Registry("Qwen2ForCausalLM")
    first = dict(register(monkeypatch, registry))
    assert first.keys() == {"Qwen2ForCausalLM", *theirs}
    assert register(monkeypatch, registry) == first


def test_an_architecture_that_vllm_has_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later vLLM may bring its own."""
    assert register(monkeypatch, Registry("Qwen2ForPrmModel"))["Qwen2ForPrmModel"] is None


def test_the_registered_names_are_classes_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """VLLM imports them by `module:class`, in the process that runs the model; nothing is imported before."""
    for name in register(monkeypatch, Registry()).values():
        module, kind = name.split(":")
        assert module not in sys.modules
        source = (ROOT / Path(*module.split("."))).with_suffix(".py").read_text()
        assert kind in {node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}


def test_the_entry_point_is_the_function() -> None:
    """VLLM finds the plug-in by `vllm.general_plugins`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, function = project["entry-points"]["vllm.general_plugins"]["rsd_graph"].split(":")
    assert getattr(import_module(module), function) is vllm_plugin.register
