"""A run as the page shows it, made of nothing but the events that the graph has sent."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rsd_graph.budget import shift
from rsd_graph.errors import ConfigurationError, describe
from rsd_graph.settings import RSDSettings

Event = Mapping[str, Any]
"""An `RSDEvent`, or one of the page's own: `problem`, `started`, `review`, `answered`, `usage`, `result`, `error`,
`interrupted`."""


@dataclass(slots=True)
class Draft:
    """What the draft proposed."""

    text: str
    reward: float | None = None
    accepted: bool | None = None
    given_up: bool = False


@dataclass(slots=True)
class Card:
    """A kept step, with the draft that it replaced, if it replaced one."""

    index: int
    author: str
    text: str
    reward: float | None
    """Of the draft's step."""
    edited: bool = False
    rejected: Draft | None = None


@dataclass(slots=True)
class Story:
    """What has happened in a run so far."""

    problem: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    """Those that the run chose; the others have their defaults."""
    cards: list[Card] = field(default_factory=list)
    draft: Draft | None = None
    """The newest proposal, until a step is kept."""
    review: dict[str, Any] | None = None
    """The question that the run waits with."""
    usage: dict[str, Any] = field(default_factory=dict)
    answer: str | None = None
    stop: str | None = None
    error: str | None = None
    ended: bool = False
    """Whether nothing more will come unless the run is resumed."""
    _edited: bool = False

    @property
    def threshold(self) -> float:
        """In [0, 1]."""
        return float(self.settings.get("threshold", 0.7))

    def threshold_at(self, index: int) -> float:
        """What the reward of the step with this index, counted from 0, is compared with: a budget moves it."""
        budget = self.settings.get("budget")
        if budget is None:
            return self.threshold
        moved = self.threshold + shift(float(budget), (card.author for card in self.cards[:index]))
        return min(max(moved, 0.0), 1.0)

    @property
    def status(self) -> str:
        """In one word or two."""
        if self.error:
            return "failed"
        if self.stop:
            return "done" if self.stop == "eos" else self.stop.replace("_", " ")
        if self.review:
            return "waits for you"
        return "interrupted" if self.ended else "running"

    def tell(self, event: Event) -> None:
        """Go on with the next event. An event of a kind that is not known says nothing."""
        match event.get("event"):
            case "problem":
                self.problem, self.settings = event["problem"], dict(event.get("settings") or {})
            case "started":
                self.error, self.ended, self.review = None, False, None
            case "proposed":
                self.draft = Draft(event["text"], given_up=bool(event.get("given_up")))
            case "scored" if self.draft:
                self.draft.reward, self.draft.accepted = event["reward"], event["accepted"]
            case "review":
                self.review = {key: value for key, value in event.items() if key != "event"}
            case "answered":
                self.review, self._edited = None, event["answer"].get("action") == "edit"
            case "kept":
                self._keep(event)
            case "usage":
                self.usage = dict(event["usage"])
            case "finished":
                self.stop, self.answer = event["stop"], event["answer"]
            case "result":
                self._end(event)
            case "error":
                self.error, self.ended = event["message"], True
            case "interrupted":
                self.ended = True

    def _keep(self, event: Event) -> None:
        replaced = self.draft if event["author"] == "target" or self._edited else None
        self.cards.append(Card(event["step"], event["author"], event["text"], event["reward"], self._edited, replaced))
        self.draft, self._edited = None, False

    def _end(self, event: Event) -> None:
        """The last line of `rsd solve --json`, or of a run on the page."""
        self.stop, self.answer, self.ended = event.get("stop"), event.get("answer"), True
        self.usage = dict(event.get("usage") or self.usage)
        for card, step in zip(self.cards, event.get("steps") or (), strict=False):
            card.edited = bool(step.get("edited"))


def told(events: Iterable[Event]) -> Story:
    """The story that these events tell."""
    story = Story()
    for event in events:
        story.tell(event)
    return story


def read_events(text: str, name: str) -> list[Event]:
    """The events in the output of `rsd solve --json`.

    Raises:
        ConfigurationError: it is none; the message names the line.
    """
    events: list[Event] = [{"event": "problem", "problem": name}]
    story = told(events)
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
            story.tell(event)
            if event.get("event") == "problem":
                RSDSettings.model_validate(story.settings)  # the page's form shows them
        except ValidationError as error:
            raise ConfigurationError(f"{name}, line {number}: {describe(error)}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigurationError(f"{name}, line {number}: not a line of `rsd solve --json` ({error})") from error
        events.append(event)
    if not any(event.get("event") in {"kept", "result", "error"} for event in events):
        raise ConfigurationError(f"{name} holds no run: it should be the output of `rsd solve --json`")
    return events


def read_file(file: Path) -> list[Event]:
    """As `read_events`, of a file."""
    try:
        return read_events(file.read_text(encoding="utf-8"), file.name)
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file} is not UTF-8 text") from error
