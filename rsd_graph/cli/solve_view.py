"""What `rsd solve` shows: steps for people, or JSON lines for programs."""

import json
import sys
from dataclasses import asdict, dataclass
from io import TextIOWrapper
from textwrap import indent
from typing import Any, Protocol

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from rsd_graph.cli.errors import print_error
from rsd_graph.cli.progress import Stages
from rsd_graph.cli.review_prompt import ask
from rsd_graph.cli.terminal_text import plain
from rsd_graph.costs import Flops
from rsd_graph.errors import RSDError
from rsd_graph.events import RSDEvent
from rsd_graph.review import Question
from rsd_graph.state import Author, RSDOutput

BAR = 8
LIVE_LINES = 6
"""Lines of a step that are shown while it grows: they must fit on a small terminal."""
STYLES: dict[Author, str] = {"draft": "cyan", "target": "magenta", "tool": "yellow"}
ENDINGS = {
    "max_steps": "stopped at the step limit (--max-steps)",
    "max_tokens": "stopped at the token limit (--max-tokens)",
    "context_overflow": "stopped: the problem and the solution together are longer than the model's context",
    "no_progress": "stopped: neither model wrote anything but blank lines",
    "stopped": "stopped in the review",
}


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run, with its time and cost."""

    output: RSDOutput
    seconds: float
    flops: Flops | None
    """None where the models' sizes are unknown."""


class View(Protocol):
    """Shows a run."""

    @property
    def is_live(self) -> bool:
        """Whether it shows text that is still being written."""
        ...

    def progress(self, what: str, done: float, total: float) -> None:
        """Weights are being downloaded, verified or merged: a `Progress`."""

    def loading(self) -> None:
        """Models are being connected or loaded."""

    def started(self) -> None:
        """The models are ready, and the draft writes the first step."""

    def event(self, event: RSDEvent) -> None:
        """The graph has sent an event."""

    def text(self, piece: str) -> None:
        """The response has grown by this; only a view that is live is told."""

    def ask(self, asked: Question) -> Any:
        """The run pauses for a review. Returns the answer, as the run takes it."""

    def result(self, result: Result) -> None:
        """The run is complete, or a limit ended it."""

    def error(self, error: RSDError) -> None:
        """The run has failed."""

    def interrupted(self) -> None:
        """The user pressed Ctrl-C."""

    def close(self) -> None:
        """Nothing more will come."""


class TerminalView:
    """Shows each step once it is written: its author, its reward as a bar, and rejected drafts dimmed.

    On a terminal, the end of what the target writes is shown as it grows.
    """

    def __init__(self) -> None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a symbol that the locale lacks must not end the run
        self._out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
        self._err = Console(stderr=True)
        self._waiting = self._out.status("") if self._out.is_terminal else None
        self._stages: Stages | None = None
        self._proposal = ""
        self._kept = 0
        self._rewriting: str | None = None
        """What the target has written of its step; None while it does not write."""

    @property
    def is_live(self) -> bool:
        return self._waiting is not None

    def progress(self, what: str, done: float, total: float) -> None:
        if not self._err.is_terminal:
            return
        if self._stages is None:
            self.close()  # two live displays cannot share a terminal
            self._stages = Stages(self._err)
            self._stages.start()
        self._stages.stage(what, done, total)

    def loading(self) -> None:
        self._wait("loading the models")

    def started(self) -> None:
        self.close()
        self._wait("the draft writes step 1")

    def event(self, event: RSDEvent) -> None:
        match event["event"]:
            case "proposed":
                self._proposal = event["text"]
            case "scored" if not event["accepted"]:
                self._step("draft", event["step"], event["reward"], self._proposal, rejected=True)
                self._rewriting = ""
                self._wait(f"the target rewrites step {event['step'] + 1}")
            case "kept":
                self._rewriting = None  # the step is shown whole
                reward = event["reward"] if event["author"] == "draft" else None
                self._step(event["author"], event["step"], reward, event["text"])
                self._kept += 1
                self._wait(f"the draft writes step {event['step'] + 2}")
            case "finished":
                self.close()

    def text(self, piece: str) -> None:
        if self._rewriting is None:
            return
        self._rewriting += piece
        written = plain(self._rewriting.strip("\n"))
        lines = written.wrap(self._out, max(self._out.width - 4, 1))[-LIVE_LINES:]  # the spinner and a margin
        self._wait(Text("\n").join(lines))

    def ask(self, asked: Question) -> Any:
        self.close()
        answer = ask(self._out, asked)
        if answer["action"] == "redraw":
            self._wait(f"step {asked['step'] + 1} is drawn again")
        return answer

    def result(self, result: Result) -> None:
        output, usage = result.output, result.output["usage"]
        by_draft = sum(step.author == "draft" for step in output["steps"])
        if output["stop"] in ENDINGS:
            self._out.print(plain(ENDINGS[output["stop"]], "yellow"))
        self._out.print(Text.assemble(("answer  ", "dim"), plain(output["answer"] or "none found", "bold green")))
        facts = [
            f"{usage.draft.completion} draft tokens",
            f"{usage.target.completion} target tokens",
            f"{usage.discarded} discarded",
            f"{result.seconds:.1f} s",
            f"{by_draft} of {len(output['steps'])} steps by the draft",
        ]
        if result.flops and result.flops.target_only:
            share = result.flops.total / result.flops.target_only
            facts.append(f"{share:.2f} times the FLOPs of the target alone")
        self._out.print(plain("        " + " · ".join(facts), "dim"))

    def error(self, error: RSDError) -> None:
        self.close()
        print_error(" ".join(str(error).split()))

    def interrupted(self) -> None:
        self.close()
        print_error(f"interrupted after {self._kept} step{'s' if self._kept != 1 else ''}")

    def close(self) -> None:
        if self._waiting:
            self._waiting.stop()
        if self._stages:
            self._stages.close()
            self._stages = None

    def _wait(self, what: str | Text) -> None:
        if self._waiting:
            self._waiting.update(plain(what, "dim") if isinstance(what, str) else what)
            self._waiting.start()

    def _step(self, author: Author, index: int, reward: float | None, text: str, rejected: bool = False) -> None:
        heading = Text.assemble(
            (f"{index + 1:>3}  ", "dim"),
            (f"{author:<7}", STYLES[author]),
            _bar(reward),
            ("  rejected" if rejected else ""),
        )
        body = plain(text.strip("\n"))
        if rejected:
            heading.stylize("dim")
            body.stylize("dim")
        self._out.print(heading)
        if self._out.is_terminal:
            self._out.print(Padding(body, (0, 0, 1, 5)))
        else:  # a file has no width: do not wrap lines
            self._out.print(Text(indent(body.plain, 5 * " ") + "\n"))


def _bar(reward: float | None) -> str:
    if reward is None:
        return ""
    full = round(reward * BAR)
    return f"{'█' * full}{'░' * (BAR - full)} {reward:.2f}"


class JSONView:
    """Prints one JSON object per line: the graph's events, then one `result`, `error` or `interrupted`."""

    def progress(self, what: str, done: float, total: float) -> None:
        pass

    def loading(self) -> None:
        pass

    def started(self) -> None:
        pass

    @property
    def is_live(self) -> bool:
        return False

    def event(self, event: RSDEvent) -> None:
        self._print({**event})

    def text(self, piece: str) -> None:
        pass

    def ask(self, asked: Question) -> Any:
        self._print({"event": "review", **asked})
        line = sys.stdin.readline()
        if not line.strip():
            raise RSDError(f"standard input ended before step {asked['step'] + 1} was reviewed")
        try:
            return json.loads(line)
        except ValueError:
            return line.strip()  # an action alone; the run says if it is none

    def result(self, result: Result) -> None:
        flops = asdict(result.flops) | {"saving": result.flops.saving} if result.flops else None
        output = result.output
        self._print(
            {
                "event": "result",
                "response": output["response"],
                "answer": output["answer"],
                "stop": output["stop"],
                "steps": [asdict(step) for step in output["steps"]],
                "usage": asdict(output["usage"]),
                "seconds": round(result.seconds, 3),
                "flops": flops,
            }
        )

    def error(self, error: RSDError) -> None:
        self._print(
            {
                "event": "error",
                "error": type(error).__name__,
                "message": str(error),
                "steps": [asdict(step) for step in error.steps],
            }
        )

    def interrupted(self) -> None:
        self._print({"event": "interrupted"})

    def close(self) -> None:
        pass

    def _print(self, line: dict[str, Any]) -> None:
        print(json.dumps(line), flush=True)
