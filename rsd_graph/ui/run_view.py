"""One run on the page: it draws what is new, as often as the run changes."""

from collections.abc import Mapping
from typing import Any

from nicegui import ui

from rsd_graph.errors import ConfigurationError
from rsd_graph.ui.cards import card_html, growing_html, shown_html
from rsd_graph.ui.drawing import drawing, edges_of
from rsd_graph.ui.live import Live, Runner
from rsd_graph.ui.story import Story
from rsd_graph.ui.texts import as_html

LEGEND = '<span><b class="draft">●</b> kept</span><span><b class="target">●</b> rewritten by the target</span>'
LOOK_EVERY = 0.2
"""Seconds between two looks at the run."""
LABELS = {
    "accept": "Accept",
    "draft": "Take the draft's",
    "edit": "Keep my text",
    "redraw": "Draw again",
    "stop": "Stop here",
}
COLOURS = {"draft": "#0891b2", "target": "#c026d3"}
GREY = "#8a94a6"
"""These are read on white and on black."""
REASONS = {
    "every_step": "waits for you",
    "rejected": "waits for you: the draft's was rejected, and the target wrote another",
    "low_reward": "waits for you: the target's scores low too",
}


class RunView:
    """Draws a run into the element that is open, and keeps it up to date.

    Args:
        runner: Has the run, and does what buttons ask for.
        live: The run.
        origin: See `Summary.origin`.
    """

    def __init__(self, runner: Runner, live: Live, origin: str | None) -> None:
        self._runner = runner
        self._live = live
        self._version = -1
        self._drawn = 0
        self._asked: Mapping[str, Any] | None = None
        story = live.story
        ui.label(story.problem).classes("problem")
        self._outcome = ui.html("").classes("outcome").props('aria-live="polite"')
        with ui.element("div").classes("row"):
            self._stop = ui.button("Stop", on_click=lambda: runner.stop(live.id)).props("outline dense no-caps")
            self._resume = ui.button("Resume", on_click=self._on_resume).props("outline dense no-caps")
        with ui.element("div").classes("overview"):
            self._machine = ui.html("")
            with ui.element("div"):
                self._chart = ui.echart(_chart(story)).classes("chart")
                ui.html(LEGEND).classes("legend")
        self._review = ui.element("div").classes("review")
        self._steps = ui.element("div").classes("steps")
        self._growing = ui.html("").classes("steps")
        if origin != "file":
            self._fork_form(story)
        self._timer = ui.timer(LOOK_EVERY, self.look)
        self.look()

    def look(self) -> None:
        """Draw what has changed since the last look."""
        if self._version == self._live.version:
            return
        self._version = self._live.version
        live, story = self._live, self._live.story
        self._outcome.set_content(outcome_html(story, self._runner))
        self._stop.set_visibility(live.is_running)
        self._resume.set_visibility(not live.is_running and not story.stop and not story.review and self._can_resume())
        edges = edges_of(self._runner.edges, story.settings)
        self._machine.set_content(drawing(edges, "review" if story.review else live.node))
        with self._steps:
            for card in story.cards[self._drawn :]:
                ui.html(card_html(card, story.threshold_at(card.index)))
        if len(story.cards) != self._drawn:
            self._drawn = len(story.cards)
            self._chart.options.update(_chart(story))
            self._chart.update()
        self._growing.set_content(growing_html(story, live.node, live.words))
        self._ask(story.review)

    def _can_resume(self) -> bool:
        return bool(self._live.story.error) or self._live.story.status == "interrupted"

    def _ask(self, asked: Mapping[str, Any] | None) -> None:
        """Show the question of a review, and its buttons."""
        if asked is self._asked and asked is not None:
            return
        self._asked = asked
        self._review.clear()
        self._review.set_visibility(asked is not None)
        if asked is None:
            return
        written = asked.get("target") or asked.get("draft") or {"text": "", "reward": None}
        with self._review:
            reason = REASONS.get(str(asked.get("reason")), REASONS["every_step"])
            ui.label(f"Step {int(asked.get('step', 0)) + 1} {reason}").classes("text-weight-medium")
            with ui.element("div").classes("both"):
                for author in ("draft", "target"):
                    shown = asked.get(author)
                    if shown:
                        ui.html(shown_html(author, shown["text"], shown["reward"], float(asked["threshold"])))
            text = ui.textarea("Your text", value=written["text"]).props("outlined dense autogrow")
            with ui.element("div").classes("row"):
                for action in asked.get("actions", ("accept",)):
                    button = ui.button(LABELS.get(action, action)).props("dense no-caps")
                    button.props("unelevated" if action == "accept" else "outline")
                    button.on_click(lambda _, action=action: self._on_answer(action, text.value))

    async def _on_answer(self, action: str, text: str) -> None:
        if action == "edit" and not text.strip():
            ui.notify("The step needs a text.", type="warning")
            return
        answer = {"action": action, **({"text": text} if action == "edit" else {})}
        await self._runner.answer(self._live.id, answer)

    async def _on_resume(self) -> None:
        await self._runner.resume(self._live.id)

    def _fork_form(self, story: Story) -> None:
        """Ask from which step, and with which threshold, another run goes on."""
        ui.html("Another threshold, from a step on", tag="h2")
        with ui.element("div").classes("row"):
            step = ui.number("From step", value=1, min=1, step=1).props("dense outlined").classes("w-28")
            threshold = ui.number("Threshold", value=story.threshold, min=0, max=1, step=0.05)
            threshold.props("dense outlined").classes("w-28")

            async def fork() -> None:
                if step.value is None or threshold.value is None or not 0 <= threshold.value <= 1:
                    ui.notify("A threshold lies between 0 and 1.", type="warning")
                    return
                try:
                    run = await self._runner.fork(self._live.id, int(step.value) - 1, float(threshold.value))
                except ConfigurationError as error:
                    ui.notify(str(error), type="warning")
                else:
                    ui.navigate.to(f"/run/{run}")

            ui.button("Fork", on_click=fork).props("outline dense no-caps")


def outcome_html(story: Story, runner: Runner) -> str:
    """The state of the run in one line: answer or error, tokens by role, FLOPs."""
    parts = [f"<span>{as_html(story.status)}</span>"]
    if story.answer is not None:
        parts.insert(0, f'<span class="answer">{as_html(f"${story.answer}$")}</span>')
    if story.error:
        parts.append(f'<span class="error">{as_html(story.error)}</span>')
    by_draft = sum(card.author == "draft" for card in story.cards)
    if story.cards:
        parts.append(f"<span>{by_draft} of {len(story.cards)} steps by the draft</span>")
    if story.usage:
        written = {role: story.usage[role]["completion"] for role in ("draft", "target")}
        parts.append(f"<span>{written['draft']} draft tokens, {written['target']} target tokens</span>")
        cost = runner.cost(story)
        if cost and cost.target_only:
            parts.append(f"<span>{cost.total / cost.target_only:.2f} times the FLOPs of the target alone</span>")
    return "".join(parts)


def _chart(story: Story) -> dict[str, Any]:
    """Rewards over steps, with the threshold as a line."""
    points = [
        {"value": [card.index + 1, round(card.reward, 4)], "itemStyle": {"color": COLOURS[card.author]}}
        for card in story.cards
        if card.reward is not None and card.author in COLOURS
    ]
    axis = {
        "type": "value",
        "axisLabel": {"color": GREY},
        "nameTextStyle": {"color": GREY},
        "splitLine": {"show": False},
    }
    steps = max([card.index + 1 for card in story.cards], default=1)
    label = {"formatter": "threshold", "color": GREY}
    line = {"silent": True, "symbol": "none", "lineStyle": {"color": GREY}}
    inside = {**line, "label": {**label, "position": "insideEndTop"}}
    compared = [[card.index + 1, story.threshold_at(card.index)] for card in story.cards if card.reward is not None]
    fixed = {"markLine": {**inside, "data": [{"yAxis": story.threshold}]}}
    moving = {**line, "type": "line", "step": "middle", "data": compared, "endLabel": {**label, "show": True}}
    has_budget = story.settings.get("budget") is not None
    along = {"min": 0.5, "max": steps + 0.5, "name": "step", "nameLocation": "middle", "nameGap": 10}
    return {
        "animation": False,
        "aria": {"enabled": True},
        "grid": {"left": 36, "right": 16, "top": 22, "bottom": 26},
        "tooltip": {"trigger": "item"},
        "xAxis": {**axis, **along, "axisLabel": {"show": False}},
        "yAxis": {**axis, "min": 0, "max": 1, "interval": 0.5, "name": "reward"},
        "series": [
            {"type": "scatter", "symbolSize": 9, "data": points, **({} if has_budget else fixed)},
            *([moving] if has_budget else []),
        ],
    }
