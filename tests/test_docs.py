"""The documentation is tested like code: its blocks run or are checked, its links lead somewhere."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from rsd_graph.cli import app
from rsd_graph.config import load_config

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "deploy/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
BLOCK = re.compile(r"^(?:<!-- (not run): [^\n]+ -->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
LONGEST_README = 150


@dataclass(frozen=True)
class Block:
    """One fenced block of code."""

    page: Path
    line: int
    language: str
    text: str
    runs: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """All blocks in these languages."""
    return [block for page in PAGES for block in blocks_of(page) if block.language in languages]


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start(3)) + 1
        yield Block(page, line, found[2], found[3], runs=not found[1])


def test_the_readme_is_short() -> None:
    """A newcomer reads it in a few minutes; all else is in docs/."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= LONGEST_README


def test_every_block_names_its_language() -> None:
    """So that each is checked by one of the tests here, or is plain text on purpose."""
    known = {"python", "sh", "toml", "json", "text", "mermaid"}
    assert [str(block) for page in PAGES for block in blocks_of(page) if block.language not in known] == []


RUNNING = sorted({block.page for block in blocks("python") if block.runs})


@pytest.mark.parametrize("page", RUNNING, ids=lambda page: page.name)
def test_python_blocks_run(page: Path) -> None:
    """The blocks of one page run in its order, as one program; those marked as not run are skipped."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks("python"):
        if block.page == page and block.runs:
            # its lines are where they are on the page, so that a traceback shows them
            exec(compile("\n" * (block.line - 1) + block.text, page, "exec"), namespace)


def test_python_blocks_pass_the_type_checker(tmp_path: Path) -> None:
    """Every block of every page, also those that do not run here: names, arguments and types exist."""
    for page in {block.page for block in blocks("python")}:
        lines = ["# mypy: allow-redefinition-new, local-partial-types"]
        for block in blocks("python"):
            if block.page == page:
                lines += [""] * (block.line - 1 - len(lines)) + block.text.splitlines()
        (tmp_path / f"{page.stem.replace('-', '_')}.py").write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "mypy", "--no-error-summary", *map(str, tmp_path.glob("*.py"))]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.stdout.replace(f"{tmp_path}/", "") == ""
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_toml_blocks_are_configurations(block: Block, tmp_path: Path) -> None:
    """`rsd` reads each as its rsd.toml."""
    file = tmp_path / "rsd.toml"
    file.write_text(block.text)
    load_config(file)


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_blocks_are_json(block: Block) -> None:
    """Each line is one value."""
    for line in block.text.splitlines():
        json.loads(line)


def commands(block: Block) -> Iterator[list[str]]:
    """The commands of a block, each as the words that a shell would pass."""
    for line in re.sub(r"(\\|&&|\|)\n", r"\1 ", block.text).replace("\\ ", " ").splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        command: list[str] = []
        for word in [*words, ";"]:
            if word not in ("&&", "|", ";"):
                command.append(word)
            elif command:
                yield command
                command = []


@pytest.mark.parametrize("block", blocks("sh"), ids=str)
def test_commands_exist(block: Block) -> None:
    """`rsd` knows each command and option; `make` each word; scripts and extras are there."""
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for program, *arguments in commands(block):
        match Path(program).name:
            case "rsd":
                parse(arguments)
            case "make":
                assert set(arguments) <= targets
            case "python" | "python3" if arguments[0].endswith(".py"):
                script = (ROOT / arguments[0]).read_text()
                options = [each.partition("=")[0] for each in arguments if each.startswith("--")]
                assert [option for option in options if f'"{option}"' not in script] == []
            case "pip" | "python":
                check_extras(arguments)


def parse(arguments: list[str]) -> None:
    """Parse a command line of `rsd`, and run nothing."""
    name, *rest = arguments
    command = get_command(app).commands[name]  # type: ignore[attr-defined]  # a group has commands
    if rest != ["--help"]:
        command.make_context(name, list(rest))


def check_extras(arguments: list[str]) -> None:
    """Of `pip install '.[local]' --group dev`: both are in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for argument in arguments:
        if found := re.fullmatch(r"\.\[([\w,]+)\]", argument):
            assert set(found[1].split(",")) <= project["project"]["optional-dependencies"].keys()
    groups = [after for option, after in pairwise(arguments) if option == "--group"]
    assert set(groups) <= project["dependency-groups"].keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file, or a folder, and every anchor a heading, as a code host shows them."""
    text = BLOCK.sub("", page.read_text())
    broken = []
    for to, anchor in LINK.findall(text):
        file = (page.parent / to).resolve() if to else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(f"{to}#{anchor}" if anchor else to)
    assert broken == []


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = HEADING.findall(BLOCK.sub("", page.read_text()))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_sites_navigation() -> None:
    """Nobody has to guess an address."""
    site = (ROOT / "zensical.toml").read_text()
    pages = [str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if f'"{page}"' not in site] == []


def test_the_generated_references_are_current() -> None:
    """What the settings, rsd.toml and the command line take is what their pages say."""
    command = [sys.executable, str(ROOT / "docs" / "references.py"), "--check"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_the_command_lines_page_shows_every_default() -> None:
    """Also those that are 0."""
    page = (ROOT / "docs" / "command-line.md").read_text()
    for row in (
        "| `--temperature` | NUMBER, at least 0, at most 2 | `0.0` |",
        "| `--epochs` | INTEGER, at least 1 | `3` |",
    ):
        assert row in page
    assert "\nrsd train-reward [OPTIONS] [PROBLEMS]\n" in page


def test_the_two_commands_of_the_readme_are_marked() -> None:
    """CI runs them word for word: the block after the marker, as `.ci/run` finds it."""
    lines = (ROOT / "README.md").read_text().splitlines()
    for marker in ("<!-- solve -->", "<!-- test -->"):
        start = lines.index(marker)
        assert lines[start + 1] == "```sh"
        block = lines[start + 2 : lines.index("```", start + 2)]
        assert block[0].startswith("python3 -m venv .venv && .venv/bin/python -m pip install")
        assert not re.search(r"&& *$", block[-1])
