from pathlib import Path

import pytest

from rsd_graph import Generation, TokenUsage
from rsd_graph.data.solutions import Solution
from rsd_graph.errors import ConfigurationError
from rsd_graph.evaluation.drawing import check_picture, draw
from rsd_graph.evaluation.summary import Evaluation

STEPS = (Generation("a", "delimiter"), Generation("b", "eos"))
DONE = Evaluation(
    [Solution("2+2?", STEPS, True), Solution("3+3?", STEPS, False)],
    [[0.9, 0.8], [0.7, 0.2]],
    [[TokenUsage()] * 2] * 2,
    1.0,
)


def test_the_suffix_says_the_format(tmp_path: Path) -> None:
    """Every format that the check lets through is drawn."""
    for name, magic in (("reward.png", b"\x89PNG"), ("reward.pdf", b"%PDF")):
        file = tmp_path / name
        check_picture(file)
        draw(DONE, file, "confidence")
        assert file.read_bytes().startswith(magic)


def test_a_picture_that_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    """Another suffix, or a folder that does not exist; also where nobody has checked before."""
    for name in ("reward.foo", "missing/reward.png"):
        with pytest.raises(ConfigurationError, match="cannot draw"):
            check_picture(tmp_path / name)
        with pytest.raises(ConfigurationError, match="cannot write the picture"):
            draw(DONE, tmp_path / name, "confidence")
