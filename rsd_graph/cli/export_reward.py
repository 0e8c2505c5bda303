"""`rsd export-reward`."""

from pathlib import Path
from typing import Annotated

import typer

from rsd_graph.cli.errors import ErrorLine, exit_codes
from rsd_graph.cli.options import user_path
from rsd_graph.cli.progress import Stages
from rsd_graph.cli.terminal_text import say
from rsd_graph.models.weights import DRAFT, locate
from rsd_graph.rewards.trained.file import load_reward
from rsd_graph.rewards.trained.format import Card


def export_reward(
    reward: Annotated[Path, typer.Argument(help="Reward file from `rsd train-reward`.", callback=user_path)],
    folder: Annotated[Path, typer.Argument(help="Folder to write the checkpoint to.", callback=user_path)],
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights of the draft that it was trained on: a GGUF file or a Hugging Face folder.",
            show_default="the embedded draft's",
            callback=user_path,
        ),
    ] = None,
) -> None:
    """Write a trained reward as a checkpoint that vLLM can serve.

    The checkpoint holds the draft's first layers with the reward merged in. Prints the command that serves it, and the
    lines for rsd.toml that use it.

    Exit code: 0 on success, 1 on an error, 2 for an unknown option, 130 on Ctrl-C.
    """
    with exit_codes(ErrorLine(), extras="local,train"):
        loaded = load_reward(reward)  # before torch is imported, which takes seconds
        from rsd_graph.training.export import export

        with Stages() as stages:
            path = weights or locate(DRAFT, stages.stage)
            export(loaded, path, folder)
        say(instructions(loaded.card, folder))


def instructions(card: Card, folder: Path) -> str:
    """How to serve the checkpoint, and what to write into rsd.toml."""
    text = (
        f"serve it:  vllm serve {folder} --dtype float32 --port 8002\n"
        'use it, in rsd.toml:\n\n[reward]\nurl = "http://127.0.0.1:8002"\nkind = "trained"\n'
        f"centre = {card.centre:.4f}"
    )
    if card.curve is None:
        return text
    numbers = ", ".join(f"{name} = {number:.4f}" for name, number in card.curve.model_dump().items())
    return f'{text}\n\n# to add the draft\'s confidence: kind = "combined", and\ncurve = {{ {numbers} }}'
