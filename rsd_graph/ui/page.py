"""The pages: one to ask, one for each run, and one that compares two."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nicegui import events, ui
from pydantic import ValidationError

from rsd_graph.errors import ConfigurationError, describe
from rsd_graph.settings import RSDSettings, with_fields
from rsd_graph.ui.cards import card_html
from rsd_graph.ui.form import settings_form
from rsd_graph.ui.live import Live, Runner
from rsd_graph.ui.run_view import RunView, outcome_html
from rsd_graph.ui.runs import Summary
from rsd_graph.ui.story import Story, read_events

STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
HINT = (
    "Ask a problem on the left. The draft writes each step, the reward model scores it, and the target rewrites what "
    "scores below the threshold. What happens appears here, and every run is kept."
)
PAIR = 2
LOOK_EVERY = 1.0
"""Seconds between two looks at what has become of the runs."""
BIGGEST_FILE = 50_000_000
"""Bytes of an uploaded run."""


def add_pages(runner: Runner, defaults: RSDSettings) -> None:
    """Register the pages.

    Args:
        runner: Has the runs.
        defaults: Settings that the form shows at first.
    """

    @ui.page("/", title="rsd")
    async def home() -> None:
        async with frame(None, None):
            ui.label(HINT).classes("empty")

    @ui.page("/run/{run}", title="rsd: a run")
    async def one(run: str) -> None:
        live = await runner.open(run)
        async with frame(run, live):
            if live is None:
                ui.label("There is no such run: it may have been removed.").classes("empty")
            else:
                RunView(runner, live, await runner.runs.origin(run))

    @ui.page("/compare/{first}/{second}", title="rsd: two runs")
    async def two(first: str, second: str) -> None:
        _top()
        with ui.element("main").classes("main both").style("max-width: none"):
            for run in (first, second):
                live = await runner.open(run)
                with ui.element("section").classes("steps"):
                    if live is None:
                        ui.label("There is no such run.").classes("empty")
                        continue
                    story = live.story
                    ui.label(story.problem).classes("problem")
                    ui.label(f"threshold {story.threshold:g}").classes("text-weight-medium")
                    ui.html(outcome_html(story, runner)).classes("outcome")
                    for card in story.cards:
                        ui.html(card_html(card, story.threshold_at(card.index)))

    @asynccontextmanager
    async def frame(here: str | None, live: Live | None) -> AsyncIterator[None]:
        """What every page but the comparison shows: the head, the form, filled in as for this run, and the runs."""
        _top()
        with ui.element("div").classes("columns has-run" if here else "columns"):
            with ui.element("aside").classes("aside"):
                _ask(runner, defaults, live.story if live else Story())
                _list(runner, await runner.runs.newest(), here)
            with ui.element("main").classes("main"):
                yield


def _top() -> None:
    ui.add_css(STYLE)
    ui.colors(primary="#0e7490")
    dark = ui.dark_mode(None)
    with ui.element("div").classes("top"):
        ui.link("rsd", "/")
        ui.label("Reward-guided speculative decoding, step by step").classes("about")
        modes = {None: "Auto", False: "Light", True: "Dark"}
        ui.toggle(modes, value=None).bind_value(dark, "value").props("dense no-caps flat size=sm aria-label=Colours")


def _ask(runner: Runner, defaults: RSDSettings, story: Story) -> None:
    problem = ui.textarea("Problem", value=story.problem).props("outlined autogrow autofocus").classes("w-full")

    async def solve() -> None:
        if not (problem.value or "").strip():
            ui.notify("Write a problem first.", type="warning")
            return
        try:
            chosen = read()
            RSDSettings.model_validate(chosen)
        except ValidationError as error:
            ui.notify(describe(error), type="warning")
        else:
            ui.navigate.to(f"/run/{await runner.start(problem.value, chosen)}")

    problem.on("keydown.ctrl.enter", solve)
    problem.on("keydown.meta.enter", solve)
    ui.button("Solve", on_click=solve).props("unelevated no-caps").tooltip("Ctrl+Enter")
    ui.html("Settings", tag="h2")
    read = settings_form(defaults, with_fields(defaults, story.settings))


def _list(runner: Runner, runs: list[Summary], here: str | None) -> None:
    ui.html("Runs", tag="h2")
    chosen: list[str] = []

    async def opened(given: events.UploadEventArguments) -> None:
        try:
            content = await given.file.text()
            run = await runner.add_file(read_events(content, given.file.name))
        except (ConfigurationError, UnicodeDecodeError) as error:
            ui.notify(str(error), type="warning")
        else:
            ui.navigate.to(f"/run/{run}")

    def choose(run: str, is_chosen: bool) -> None:
        chosen[:] = [each for each in chosen if each != run] + ([run] if is_chosen else [])
        compare.set_enabled(len(chosen) == PAIR)

    async def remove() -> None:
        for run in chosen:
            await runner.remove(run)
        ui.navigate.to("/")

    told: dict[str, ui.label] = {}
    with ui.element("nav").classes("runs").props('aria-label="Runs"'):
        for run in runs:
            with ui.element("div").classes("run"):
                box = ui.checkbox(on_change=lambda change, run=run.id: choose(run, change.value)).props("dense size=sm")
                box.props(f'aria-label="Choose the run of {run.made}"')
                with ui.link(target=f"/run/{run.id}").classes("here" if run.id == here else ""):
                    ui.label(" ".join(run.problem.split())[:120]).classes("what")
                    told[run.id] = ui.label(_told(run)).classes("when")

    async def look() -> None:
        for run in await runner.runs.newest():
            if run.id in told:
                told[run.id].set_text(_told(run))

    ui.timer(LOOK_EVERY, look)
    with ui.element("div").classes("row"):
        compare = ui.button("Compare two", on_click=lambda: ui.navigate.to(f"/compare/{chosen[0]}/{chosen[1]}"))
        compare.props("outline dense no-caps").set_enabled(False)
        ui.button("Remove", on_click=remove).props("flat dense no-caps")
        upload = ui.upload(auto_upload=True, max_file_size=BIGGEST_FILE).on_upload(opened).classes("hidden")
        picked = ui.button("Open a file", on_click=lambda: upload.run_method("pickFiles")).props("flat dense no-caps")
        picked.tooltip("The output of rsd solve --json")


def _told(run: Summary) -> str:
    origin = {None: "", "file": " · from a file"}.get(run.origin, " · a fork")
    return f"{run.made} · {run.status}{origin}"
