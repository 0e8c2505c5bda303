"""Asks a person at a terminal what becomes of a step under review."""

from typing import Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.prompt import Prompt
from rich.text import Text

from rsd_graph.cli.terminal_text import plain
from rsd_graph.errors import RSDError
from rsd_graph.review import Action, Question

WORDS: dict[Action, str] = {
    "accept": "[a]ccept",
    "draft": "take the [d]raft's",
    "edit": "[e]dit",
    "redraw": "[r]edraw",
    "stop": "[s]top",
}
REASONS = {
    "every_step": "step {number} waits for you",
    "rejected": "step {number}: the draft's was rejected; the target wrote this",
    "low_reward": "step {number}: the target's scores low too",
}


def ask(console: Console, asked: Question) -> dict[str, Any]:
    """What the person answers to the question, as the run takes it.

    Raises:
        RSDError: standard input has ended.
    """
    shown = asked["target"] or asked["draft"]
    assert shown is not None  # noqa: S101  # a question is about a step
    reward = "" if shown["reward"] is None else f"  reward {shown['reward']:.2f}"
    heading = REASONS[asked["reason"]].format(number=asked["step"] + 1)
    console.print(Text.assemble(("  ?  ", "bold yellow"), (heading, "bold"), (reward, "dim")))
    console.print(Padding(plain(shown["text"].strip("\n")), (0, 0, 1, 5)))
    if error := asked.get("error"):
        console.print(plain(f"     {error}", "red"))
    letters: dict[str, Action] = {_letter(action): action for action in asked["actions"]}
    menu = Text("     " + " · ".join(WORDS[action] for action in asked["actions"]))
    try:
        letter = Prompt.ask(menu, console=console, choices=list(letters), default="a", show_choices=False)
        action = letters[letter]
        return {"action": action, **({"text": _edited(console, shown["text"])} if action == "edit" else {})}
    except EOFError as error:
        raise RSDError(f"standard input ended before step {asked['step'] + 1} was reviewed") from error


def _letter(action: Action) -> str:
    word = WORDS[action]
    return word[word.index("[") + 1]


def _edited(console: Console, text: str) -> str:
    """The step as the person writes it: in their editor, or in one line where there is no terminal for one."""
    if not console.is_terminal:
        return console.input("     the step: ")
    written = click.edit(text, extension=".md")
    return text if written is None else written.rstrip("\n")
