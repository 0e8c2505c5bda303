"""Builds the documentation's site into `build/site`; any warning fails it.

The pages link to source files as a code host shows them, `../rsd_graph/graph.py`. On the site such a link leads to a
page that holds the file, so that every link works in both places, and offline.
"""

import re
import shutil
import subprocess
import sys
from os.path import relpath
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
STAGE = ROOT / "build" / "docs"
LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)([^)\s]*)(?=\))")
COLOR = re.compile(r"\x1b\[[\d;]*m")
LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json", ".yaml": "yaml"}


class Site:
    """The pages on their way into the site."""

    def __init__(self) -> None:
        self._staged: set[Path] = set()

    def page(self, file: Path) -> Path:
        """Where a file of the repository stands in the site, which is arranged the first time it is asked for."""
        inside = file.is_relative_to(DOCS)
        outside = STAGE / "source" / file.relative_to(ROOT)
        place = STAGE / file.relative_to(DOCS) if inside else outside.with_name(f"{file.name.removesuffix('.md')}.md")
        if file in self._staged:
            return place
        self._staged.add(file)
        place.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".md":
            text = file.read_text()
            place.write_text(LINK.sub(lambda link: self._link(link, file, place), text))
        elif inside:
            shutil.copy(file, place)
        else:
            name = file.relative_to(ROOT)
            place.write_text(f"# {name}\n\n~~~~{LANGUAGES.get(file.suffix, 'text')}\n{file.read_text()}\n~~~~\n")
        return place

    def _link(self, link: re.Match[str], file: Path, place: Path) -> str:
        to = (file.parent / link[1]).resolve()
        if not to.is_file():
            sys.exit(f"{file.relative_to(ROOT)}: there is no file {link[1]}")
        return relpath(self.page(to), place.parent) + link[2]


def main() -> None:
    """Arrange the pages, and have them rendered."""
    shutil.rmtree(STAGE, ignore_errors=True)
    site = Site()
    for file in sorted(file for file in DOCS.rglob("*") if file.suffix in (".md", ".png", ".css")):
        site.page(file)
    # next to this interpreter, in whichever environment that is
    zensical = Path(sys.executable).with_name("zensical")
    run = subprocess.run(
        [zensical, "build", "--clean", "--strict"], cwd=ROOT, text=True, capture_output=True, check=False
    )
    told = COLOR.sub("", run.stdout + run.stderr.partition("Traceback")[0])
    print(told)
    sys.exit(run.returncode or int("warning" in told.lower()))


if __name__ == "__main__":
    main()
