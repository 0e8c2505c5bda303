"""A comparison as a report: one page of HTML that needs nothing else, and its tables and plots as files."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from rsd_graph._internal.files import write_atomically
from rsd_graph.errors import ConfigurationError
from rsd_graph.evaluation import tables, thresholds
from rsd_graph.evaluation.comparison import Run, baseline_of, labelled
from rsd_graph.evaluation.plots import accuracy_against, over_positions
from rsd_graph.evaluation.prediction import PREDICTED, predictions, rooflines
from rsd_graph.evaluation.roofline import HARDWARE
from rsd_graph.evaluation.tables import Table
from rsd_graph.evaluation.thresholds import comparable

LINE = "Bars are 95 % Wilson intervals; the dotted line joins the draft alone and the target alone."
"""Of a plot of accuracy."""
VIEWER = "http://127.0.0.1:7575/#/logs/"
"""Where `inspect view` shows a log, by its file's name."""
STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
td.number { text-align: right; } th { background: var(--soft); }
td.command { font-family: ui-monospace, monospace; font-size: .8rem; overflow-wrap: anywhere; min-width: 18rem; }
svg { max-width: 100%; min-width: 36rem; height: auto; } figure { margin: 1rem 0; overflow-x: auto; }
p.note { border-left: 3px solid; padding-left: 1rem; }
@media print { body { margin: 0; max-width: none; font-size: 11px; } svg { min-width: 0; }
  figure, tr { break-inside: avoid; } }
"""


@dataclass(frozen=True, slots=True)
class Report:
    """All parts of a report, by the names of their files."""

    tables: Mapping[str, Table]
    plots: Mapping[str, tuple[str, str]]
    """A caption and the picture, as SVG."""
    notes: Sequence[str] = ()
    """What the reader should know first: what is missing, and why."""

    def markdown(self) -> str:
        """The tables, and the notes."""
        notes = [f"> {note}" for note in self.notes]
        return "\n\n".join([*notes, *(table.markdown() for table in self.tables.values() if table.rows)])

    def html(self) -> str:
        """The page."""
        notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in self.notes)
        shown = [_table(table) for table in self.tables.values() if table.rows]
        drawn = [
            f"<figure>{picture}<figcaption>{html.escape(caption)}</figcaption></figure>"
            for caption, picture in (_own_ids(name, plot) for name, plot in self.plots.items())
        ]
        body = "\n".join([*shown[:1], *drawn, *shown[1:]])
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>RSD: strategies compared</title><style>{STYLE}</style></head>\n"
            f"<body><h1>Strategies compared</h1>{notes}\n{body}\n"
            "<p>The links open each log, step by step, while <code>inspect view --log-dir FOLDER</code> runs.</p>"
            "</body></html>\n"
        )

    def write(self, folder: Path) -> Path:
        """Write the page, each table as Markdown and CSV, and each plot as SVG. Returns the page's path.

        Raises:
            ConfigurationError: a file cannot be written.
        """
        page = folder / "report.html"
        files = {page.name: self.html()}
        for name, table in self.tables.items():
            files |= {f"{name}.md": table.markdown() + "\n", f"{name}.csv": table.csv()}
        files |= {f"{name}.svg": picture for name, (_, picture) in self.plots.items()}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                write_atomically(folder / name, text.encode())
        except OSError as error:
            raise ConfigurationError(f"cannot write the report into {folder}: {error.strerror or error}") from error
        return page


def report(runs: Sequence[Run], baseline: str) -> Report:
    """Compare these runs.

    Args:
        runs: At least one.
        baseline: The name of the run that the others are compared with.
    """
    made = {
        "results": tables.results(runs),
        "differences": tables.differences(runs, baseline),
        "tokens": tables.tokens(runs),
        "positions": tables.positions(runs),
        "reliability": tables.reliability(runs),
        "wasted": tables.wasted(runs),
        **_thresholds(runs),
        **_predicted(runs),
        "sources": tables.sources(runs),
    }
    plots: dict[str, tuple[str, str]] = {}
    for data in dict.fromkeys(run.data for run in runs):
        here = [run for run in runs if run.data == data]
        for name, caption, picture in (
            (
                "seconds",
                f"Accuracy against seconds. {LINE}",
                accuracy_against(here, lambda run: run.seconds, "seconds a problem"),
            ),
            (
                "flops",
                f"Accuracy against FLOPs. {LINE}",
                accuracy_against(here, lambda run: run.flops, "FLOPs a problem"),
            ),
            ("steps", "What the draft's proposals were worth, by the step's position.", over_positions(here)),
        ):
            if picture is not None:
                plots[f"{name}-{_file_name(data)}"] = caption, picture
    return Report(made, plots, _notes(runs, baseline))


def _thresholds(runs: Sequence[Run]) -> dict[str, Table]:
    """What other thresholds would do, if the runs of RSD belong together."""
    try:
        found = comparable(runs)
    except ConfigurationError:
        return {}
    return {"thresholds": thresholds.table(found, thresholds.grid(found))}


def _predicted(runs: Sequence[Run]) -> dict[str, Table]:
    """The times on all known hardware, if the models' sizes are known, and are those of all runs."""
    sizes = {each.parameters for run in runs for each in run.solved.values()}
    if len(sizes) != 1 or (known := sizes.pop()) is None or all(run.strategy not in PREDICTED for run in runs):
        return {}
    return {"predicted": predictions(runs, {name: rooflines(known, on) for name, on in HARDWARE.items()})}


def _notes(runs: Sequence[Run], baseline: str) -> list[str]:
    notes = []
    for run, label in labelled(runs):
        if baseline not in {run.name, run.strategy} and baseline_of(run, runs, baseline) is None:
            notes.append(
                f"{label} on {run.data} is compared with nothing: no run of {baseline} there, with the same models."
            )
    by_data = {
        data: {frozenset(run.problems) for run in runs if run.data == data} for data in {run.data for run in runs}
    }
    notes += [
        f"The runs on {data} did not solve the same problems: compare their accuracies by the differences alone."
        for data, solved in sorted(by_data.items())
        if len(solved) > 1
    ]
    if len({(run.source.machine, run.source.in_flight) for run in runs}) > 1:
        notes.append(
            "The runs were not made on the same machine, with the same number of problems at once: their seconds do "
            "not compare."
        )
    return notes


def _table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(column)}</th>" for column in table.columns)
    rows = "\n".join(
        "<tr>"
        + "".join(
            f"<td{_kind(cell, column)}>{_linked(text, column)}</td>"
            for cell, text, column in zip(row, shown, table.columns, strict=True)
        )
        + "</tr>"
        for row, shown in zip(table.rows, table.shown(), strict=True)
    )
    about = f"<p>{html.escape(table.about)}</p>" if table.about else ""
    return (
        f"<section><h2>{html.escape(table.title)}</h2>{about}"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div></section>'
    )


def _kind(cell: object, column: str) -> str:
    if isinstance(cell, int | float):
        return ' class="number"'
    return ' class="command"' if column == "command" else ""


def _linked(text: str, column: str) -> str:
    escaped = html.escape(text)
    return f'<a href="{VIEWER}{quote(text)}">{escaped}</a>' if column == "log" and text else escaped


def _own_ids(name: str, plot: tuple[str, str]) -> tuple[str, str]:
    """The plot with ids that no other picture in the page has."""
    caption, picture = plot
    picture = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', picture)
    picture = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", picture)
    return caption, picture


def _file_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "data"
