import json
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module
from pathlib import Path

import rsd_graph
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp

ROOT = Path(__file__).parents[1]


def test_the_public_surface_is_what_all_says() -> None:
    """Every public name is in `__all__`, and nothing else is, submodules aside."""
    public = {
        name
        for name, value in vars(rsd_graph).items()
        if not name.startswith("_") and type(value) is not type(rsd_graph)
    }
    assert public == set(rsd_graph.__all__)


def test_importing_the_package_imports_nothing_heavy() -> None:
    """Neither torch nor vLLM nor transformers nor sympy, nor a backend's client."""
    code = (
        "import sys, rsd_graph; print([name for name in "
        "('torch', 'vllm', 'transformers', 'sympy', 'math_verify', 'xllamacpp', 'openai', 'huggingface_hub') "
        "if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_nodes_at_the_top_is_a_link() -> None:
    """The nodes are easy to find, and there is one copy of them."""
    assert (ROOT / "nodes").is_symlink()
    assert (ROOT / "nodes").resolve() == ROOT / "rsd_graph" / "nodes"


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    """Typed, with every module and the verifier's child, and without tests or a top-level `nodes`."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].removesuffix(".dist-info").split("-")[0] for name in names} == {"rsd_graph"}
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "rsd_graph").rglob("*.py")}
    assert sources <= set(names)
    assert "rsd_graph/py.typed" in names


def test_studio_finds_graphs_without_a_checkpointer() -> None:
    """`langgraph dev` loads the graphs that `langgraph.json` names, and adds its own checkpointer."""
    for entry in json.loads((ROOT / "langgraph.json").read_text())["graphs"].values():
        file, name = entry["path"].split(":")
        sys.path.insert(0, str((ROOT / file).parent))
        try:
            graph = getattr(import_module(Path(file).stem), name)
        finally:
            sys.path.pop(0)
        assert graph.checkpointer is None
        if name == "graph":
            assert set(graph.get_context_jsonschema()["properties"]) == set(rsd_graph.RSDSettings.model_fields)


def test_a_lazy_model_starts_nothing_by_itself(tiny_weights: Path) -> None:
    """Making a model loads no weights: Studio starts at once, and the first run loads them."""
    assert EmbeddedLlamaCpp(tiny_weights)._running.made is None


def test_every_module_has_a_layer() -> None:
    """import-linter says nothing of a module that its contract does not name: a new one has to choose its floor."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contract = project["tool"]["importlinter"]["contracts"][0]
    named = {name.strip().removeprefix("rsd_graph.") for layer in contract["layers"] for name in layer.split("|")}
    assert named == modules(ROOT / "rsd_graph") - {"_internal"} | {
        f"_internal.{name}" for name in modules(ROOT / "rsd_graph" / "_internal")
    }


def modules(folder: Path) -> set[str]:
    """The names of the modules and packages in a folder."""
    files = [*folder.glob("*.py"), *(file.parent for file in folder.glob("*/__init__.py"))]
    return {file.stem for file in files} - {"__init__"}
