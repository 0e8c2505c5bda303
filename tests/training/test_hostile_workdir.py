"""The folder of unfinished work, which somebody else may have filled."""

import asyncio
import json
import os
import stat
from pathlib import Path

import pytest

from rsd_graph.data.problems import Problem
from rsd_graph.data.solutions import Solution
from rsd_graph.errors import ConfigurationError, WeightsError
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation
from rsd_graph.testing import ScriptedModel
from rsd_graph.training.labels import by_continuation
from rsd_graph.training.options import Options
from rsd_graph.training.samples import sample
from rsd_graph.training.workdir import WorkDir

SOLUTION = Solution("p", (Generation("a", "delimiter"), Generation("b", "eos")), correct=True, reference="4")


def open_folder(path: Path) -> None:
    WorkDir(path, Options(), {"draft": "x"})


@pytest.mark.parametrize("content", ["[]", "3", "{", 100_000 * "[", '{"draft": NaN}', "\x00"])
def test_a_note_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    """With its folder, in one line."""
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ConfigurationError, match=f"cannot use the folder {tmp_path}") as caught:
        open_folder(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_note_that_never_ends_is_not_read(tmp_path: Path) -> None:
    """A pipe waits for a writer."""
    os.mkfifo(tmp_path / "run.json")
    with pytest.raises(ConfigurationError, match="not a regular file"):
        open_folder(tmp_path)


def test_the_folder_is_its_owners_alone(tmp_path: Path) -> None:
    """It holds problems and what the draft wrote."""
    open_folder(tmp_path / "new" / "reward")
    assert stat.S_IMODE((tmp_path / "new" / "reward").stat().st_mode) == 0o700
    assert json.loads((tmp_path / "new" / "reward" / "run.json").read_text())["draft"] == "x"


@pytest.mark.parametrize("line", ["{}", "[]", '{"problem": ["p"]}', '{"problem": 5}', "x", 100_000 * "["])
def test_a_journal_of_solutions_names_a_line_that_is_none(tmp_path: Path, line: str) -> None:
    """Before anything is solved."""
    (tmp_path / "solutions.jsonl").write_text(line + "\n")
    with pytest.raises(ConfigurationError, match=r"solutions\.jsonl, line 1, is not a record: "):
        asyncio.run(
            sample(ScriptedModel({}), [Problem("p", "4")], RSDSettings(), tmp_path / "solutions.jsonl", lambda *_: None)
        )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"solution": SOLUTION.identity, "labels": [2.0, 1.0]}, "a label is null, or from 0 to 1"),
        ({"solution": SOLUTION.identity, "labels": ["1", 1]}, "line 1, is not a record"),
        ({"solution": SOLUTION.identity, "labels": 5}, "line 1, is not a record"),
        ({"solution": 5, "labels": [1, 1]}, "`solution` is a text"),
        ({"solution": SOLUTION.identity, "labels": [1.0]}, "1 labels for a solution of 2 steps"),
    ],
)
def test_a_journal_of_labels_names_a_line_that_is_none(tmp_path: Path, line: dict[str, object], why: str) -> None:
    """Labels are shares, one for each step."""
    file = tmp_path / "labels.jsonl"
    file.write_text(json.dumps(line) + "\n")
    with pytest.raises(ConfigurationError, match=why):
        asyncio.run(by_continuation(ScriptedModel({}), [SOLUTION], 1, RSDSettings(), file, lambda *_: None))


def test_weights_are_a_file_or_a_folder(tmp_path: Path) -> None:
    """A pipe is neither, nor is the name of a model on the hub."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from rsd_graph.training.backbone import check_architecture

    os.mkfifo(tmp_path / "pipe.gguf")
    for path in (tmp_path / "pipe.gguf", Path("org/model")):
        with pytest.raises(WeightsError, match="neither a regular file nor a folder"):
            check_architecture(path)
