"""The transcript of a run: a span for each step and each candidate, as Markdown that a person can read."""

import time
from collections.abc import Mapping
from typing import Any

from inspect_ai.log import transcript
from inspect_ai.util import span

from rsd_graph.events import RSDEvent
from rsd_graph.settings import RSDSettings
from rsd_graph.strategies.outcome import Candidate

SOURCE = "rsd-graph"


class Steps:
    """Writes what a strategy tells into the transcript of the running sample.

    Args:
        settings: Of the run: they say what the rewards are compared with.
    """

    def __init__(self, settings: RSDSettings) -> None:
        self._settings = settings
        self._seen: dict[str, Mapping[str, Any]] = {}
        self._since = time.monotonic()
        self.rejected: dict[int, int] = {}
        """Tokens of each draft step that the target rewrote, by the step's number."""

    async def __call__(self, event: RSDEvent | Candidate) -> None:
        """Take an event; see `strategies.outcome.Watch`."""
        match event["event"]:
            case "kept":
                await self._kept(event)
            case "candidate":
                await self._candidate(event)
            case "finished":
                pass
            case name:
                self._seen[name] = event

    async def _kept(self, kept: Mapping[str, Any]) -> None:
        number, author = kept["step"], kept["author"]
        seen, self._seen = self._seen, {}
        seen = {name: event for name, event in seen.items() if event["step"] == number}
        rejected = seen["proposed"]["text"] if "replaced" in seen and "proposed" in seen else None
        if rejected is not None:
            self.rejected[number] = seen["proposed"]["tokens"]
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        reward = kept["reward"]
        about = f"{author}" if reward is None else f"{author}, reward {reward:.2f}"
        async with span(f"step {number + 1}: {about}", type="rsd_step"):
            transcript().info(self._markdown(kept, rejected, seconds), source=SOURCE)

    def _markdown(self, kept: Mapping[str, Any], rejected: str | None, seconds: float) -> str:
        author, reward = kept["author"], kept["reward"]
        compared = f"threshold {self._settings.threshold:.3g}"
        if self._settings.weighting != "step":
            compared = f"weighting {self._settings.weighting}"
        elif self._settings.budget is not None:
            compared = f"budget {self._settings.budget:.3g}"
        head = [f"**{author}**", *([f"reward {reward:.3g}, {compared}"] if reward is not None else [])]
        line = " · ".join([*head, f"{seconds:.2f} s"])
        if author == "tool":
            return f"{line}\n\n```text\n{kept['text'].strip()}\n```"
        if rejected is None:
            return f"{line}\n\n{_quoted(kept['text'])}"
        return f"{line}\n\nRejected, by the draft:\n\n{_quoted(rejected)}\n\nKept instead:\n\n{_quoted(kept['text'])}"

    async def _candidate(self, event: Mapping[str, Any]) -> None:
        where = "" if event["step"] is None else f"step {event['step'] + 1}, "
        about = [*(["chosen"] if event["chosen"] else [])]
        if event["reward"] is not None:
            about.append(f"reward {event['reward']:.2f}")
        if event["step"] is None:
            about.append(f"answer {event['answer']}")
        name = f"{where}candidate {event['number'] + 1}" + (f": {', '.join(about)}" if about else "")
        async with span(name, type="rsd_candidate"):
            transcript().info(f"{', '.join(about)}\n\n{_quoted(event['text'])}", source=SOURCE)


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.strip().splitlines()) or "> *(blank)*"
