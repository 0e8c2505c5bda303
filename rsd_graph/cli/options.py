"""Options that several commands share, and how their values become tables of `rsd.toml`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rsd_graph._internal.files import expanded
from rsd_graph.config import kinds
from rsd_graph.rewards.trained.format import is_reward_file


def user_path(path: Path | None) -> Path | None:
    """A path of the command line, with the home folder in place of `~`: a shell leaves it there behind `=`."""
    try:
        return path and expanded(path)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


ConfigFile = Annotated[
    Path | None,
    typer.Option(help="Settings file.", show_default="rsd.toml in this folder, if there is one", callback=user_path),
]


def model_table(model: str) -> dict[str, str]:
    """`--draft` or `--target` as a table: where the model is, at a URL or in a file."""
    return {"url": model} if _is_url(model) else {"path": model}


def reward_table(reward: str) -> dict[str, Any]:
    """`--reward` as the table `[reward]`: a URL, a reward file or a kind; or a kind, a colon, and a URL or a file."""
    kind, _, where = reward.partition(":")
    if not where or kind not in kinds():
        if _is_url(reward) or is_reward_file(Path(reward)):
            return model_table(reward)
        return {"kind": reward, "model": None}  # no model: a preset's reward model gives way
    return {**model_table(where), "kind": kind}


def _is_url(text: str) -> bool:
    """Whether it is meant as an address, well-formed or not."""
    return "://" in text or text.lower().startswith(("http:", "https:"))
