"""The data sets by name: where each is, and how it is written. Adding one is one line here."""

import difflib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rsd_graph._internal.files import expanded, read_lines
from rsd_graph.data import formats
from rsd_graph.data.hub import Hub, hub_rows
from rsd_graph.data.problems import Problem
from rsd_graph.errors import ConfigurationError

logger = logging.getLogger(__name__)

STEM = frozenset(
    "abstract_algebra anatomy astronomy college_biology college_chemistry college_computer_science college_mathematics "
    "college_physics computer_security conceptual_physics electrical_engineering elementary_mathematics "
    "high_school_biology high_school_chemistry high_school_computer_science high_school_mathematics "
    "high_school_physics high_school_statistics machine_learning".split()
)
"""The subjects of MMLU that its authors count as STEM, and anatomy."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set that can be chosen by name."""

    title: str
    form: formats.Format
    hub: Hub | None = None
    """None where no copy on the hub is known: it is read from a file."""


DATASETS: dict[str, DataSet] = {
    "gsm8k": DataSet("GSM8K", formats.gsm8k, Hub("openai/gsm8k", "test", "main")),
    "math500": DataSet("MATH-500", formats.math, Hub("HuggingFaceH4/MATH-500", "test")),
    "olympiadbench": DataSet(
        "OlympiadBench, open-ended English mathematics",
        formats.olympiadbench,
        Hub("Hothan/OlympiadBench", "train", "OE_TO_maths_en_COMP"),
    ),
    "gaokao2023en": DataSet(
        "GaoKao 2023 in English", formats.plain, Hub("MARIO-Math-Reasoning/Gaokao2023-Math-En", "train")
    ),
    "minerva_math": DataSet("Minerva Math", formats.boxed, Hub("knoveleng/Minerva-Math", "train")),
    "mmlu_stem": DataSet("MMLU, STEM subjects", formats.mmlu, Hub("cais/mmlu", "test", "all", ("subject", STEM))),
    "gpqa_diamond": DataSet("GPQA Diamond", formats.gpqa, Hub("Idavidrein/gpqa", "train", "gpqa_diamond")),
    "aime24": DataSet("AIME 2024", formats.plain, Hub("HuggingFaceH4/aime_2024", "train")),
    "aime25": DataSet("AIME 2025", formats.plain, Hub("math-ai/aime25", "test")),
    "amc23": DataSet("AMC 2023", formats.plain, Hub("math-ai/amc23", "test")),
    "cn_middle_school": DataSet("CN Middle School", formats.middle_school),
    "college_math": DataSet("College Math", formats.plain),
}


def load_problems(source: str, *, form: str | None = None, seed: int = 0, skip_broken: bool = False) -> list[Problem]:
    """Load the problems of a data set.

    Args:
        source: The name of a data set, which comes from the hub; or a file of JSON lines, in a publisher's format.
        form: The name of the data set in whose format a file is. By default, the fields of each line say it.
        seed: Of the order in which choices are shown.
        skip_broken: Whether a line that is no problem, or has the id of an earlier one, is left out with a warning.

    Returns:
        At least one problem, each with its own `id`: the publisher's, or else its number, counted from 1.

    Raises:
        ConfigurationError: there is no such data set or file, or it cannot be read; the message names the line.
        ImportError: the package `datasets` is not installed, and the data set comes from the hub.
    """
    skipped = logger.warning if skip_broken else None
    if source in DATASETS:
        chosen = DATASETS[source]
        if chosen.hub is None:
            raise ConfigurationError(f"no copy of {source} on the hub is known: pass a file in its publisher's format")
        problems = _parsed(hub_rows(chosen.hub), chosen.form, seed, skipped)
    else:
        file = _file(source)
        reader = DATASETS[form].form if form else formats.any_format
        expected = f"a problem of {form}" if form else "a problem; it needs a question and an answer"
        problems = read_lines(file, expected, lambda row: reader(row, seed), skipped)
    if not problems:
        raise ConfigurationError(f"{source} holds no problem")
    return _with_ids(problems, source, skipped)


def load_named(data: str, file: Path | None, *, seed: int = 0, skip_broken: bool = False) -> list[Problem]:
    """Load what a command line names: a data set or a file, or a data set that is read from a file in its format.

    Args:
        data: See `load_problems`.
        file: If given, of the data set `data`.
        seed: As for `load_problems`.
        skip_broken: As for `load_problems`.

    Raises:
        ConfigurationError: as `load_problems`, or `data` is no data set's name although a file is given.
        ImportError: as `load_problems`.
    """
    if file is None:
        return load_problems(data, seed=seed, skip_broken=skip_broken)
    require_named(data)
    return load_problems(str(file), form=data, seed=seed, skip_broken=skip_broken)


def require_named(data: str) -> None:
    """Refuse what is no data set's name, where a file is given beside it.

    Raises:
        ConfigurationError: it is none.
    """
    if data not in DATASETS:
        raise ConfigurationError(f"there is no data set {data!r}: pass the file alone, or one of {', '.join(DATASETS)}")


def _file(source: str) -> Path:
    file = expanded(Path(source))
    if file.exists() or file.suffix:
        return file
    near = difflib.get_close_matches(source.lower().replace("-", "_"), DATASETS, n=3, cutoff=0.5)
    known = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(DATASETS)}"
    raise ConfigurationError(f"there is no data set and no file {source!r}; {known}")


def _parsed(
    rows: Iterable[Any], form: formats.Format, seed: int, skipped: Callable[[str], object] | None
) -> list[Problem]:
    found: list[Problem] = []
    for number, row in enumerate(rows, start=1):
        try:
            found.append(form(row, seed))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            wrong = f"row {number} is not as expected: {error!r:.300}"
            if skipped is None:
                raise ConfigurationError(wrong) from error
            skipped(wrong)
    return found


def _with_ids(problems: list[Problem], source: str, skipped: Callable[[str], object] | None) -> list[Problem]:
    """The problems, each with an id of its own."""
    named = [problem if problem.id else replace(problem, id=str(number)) for number, problem in enumerate(problems, 1)]
    first: dict[str, int] = {}
    kept: list[Problem] = []
    for number, problem in enumerate(named, start=1):
        before = first.setdefault(problem.id, number)
        if before == number:
            kept.append(problem)
            continue
        wrong = f"{source}: problem {number} has the id {problem.id!r}, as problem {before} has"
        if skipped is None:
            raise ConfigurationError(wrong)
        skipped(wrong)
    return kept
