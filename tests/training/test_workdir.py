from pathlib import Path

import pytest

from rsd_graph.errors import ConfigurationError
from rsd_graph.training.options import Options
from rsd_graph.training.workdir import WorkDir


def test_a_folder_belongs_to_one_run(tmp_path: Path) -> None:
    """What would mix is refused by name; a run with more problems, or of another family, resumes. One run at a time."""
    workdir = WorkDir(tmp_path / "work", Options(seed=1), {"problems": "a.jsonl"})
    again = WorkDir(tmp_path / "work", Options(seed=1, limit=20, family="probe"), {"problems": "a.jsonl"})
    with workdir.alone(), pytest.raises(ConfigurationError, match="another run is using"), again.alone():
        pass
    with again.alone():  # the lock is released
        pass
    with pytest.raises(ConfigurationError, match="seed = 1, and this one has 2"):
        WorkDir(tmp_path / "work", Options(seed=2), {"problems": "a.jsonl"})
    (tmp_path / "work" / "run.json").write_text("{")
    with pytest.raises(ConfigurationError, match="cannot use the folder"):
        WorkDir(tmp_path / "work", Options(), {})


def test_the_refusal_says_how_to_reuse_solutions(tmp_path: Path) -> None:
    """Where there are any."""
    workdir = WorkDir(tmp_path, Options(), {"data": "a"})
    workdir.solutions.write_text("{}\n")
    with pytest.raises(ConfigurationError, match=r"data = a, .*--solutions .*solutions\.jsonl reuses"):
        WorkDir(tmp_path, Options(), {"data": "b"})


def test_files_keep_their_names(tmp_path: Path) -> None:
    """Folders that earlier versions made are resumed."""
    workdir = WorkDir(tmp_path, Options(), {})
    paths = (workdir.solutions, workdir.labels, workdir.checkpoint, workdir.hidden_states(10))
    assert [path.name for path in paths] == ["solutions.jsonl", "labels.jsonl", "adapter.pt", "states-10"]
