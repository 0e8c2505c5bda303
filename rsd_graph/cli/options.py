"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from rsd_graph._internal.addresses import checked_host
from rsd_graph._internal.files import expanded


def user_path(path: Path | None) -> Path | None:
    """A path of the command line, with the home folder in place of `~`: a shell leaves it there behind `=`."""
    try:
        return path and expanded(path)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def host_to_listen_on(host: str) -> str:
    """A host of the command line, checked."""
    try:
        return checked_host(host)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Host = Annotated[
    str,
    typer.Option(help="Address to listen on; anything beyond this machine needs a key.", callback=host_to_listen_on),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(help="Settings file.", show_default="rsd.toml in this folder, if there is one", callback=user_path),
]


DataSet = Annotated[
    str,
    typer.Argument(
        help="Name of a data set, such as gsm8k or math500, or a file of JSON lines with questions and answers.",
        show_default=False,
    ),
]
DataFile = Annotated[
    Path | None,
    typer.Option(
        "--data", help="The data set in its publisher's format.", show_default="from the hub", callback=user_path
    ),
]
Draft = Annotated[
    str | None, typer.Option(help="Draft model: a server's URL or a GGUF file.", show_default="embedded, 0.5B")
]
Target = Annotated[
    str | None, typer.Option(help="Target model: a server's URL or a GGUF file.", show_default="embedded, 1.5B")
]
Reward = Annotated[
    str | None,
    typer.Option(
        help="Reward model: confidence (the draft's own), trained (for the embedded draft), combined (both), judge "
        "(asks the embedded target), a reward file from `rsd train-reward`, or the URL of a process reward model's "
        "server. A process reward model is recognized by name; any other model there is used as a judge. To name "
        "the kind of a file or URL, put it and a colon in front: outcome:URL.",
        show_default="confidence",
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(help="Preset of models: the one that `rsd serve` was started with.", show_default="none"),
]
Threshold = Annotated[
    str | None, typer.Option(help="Lowest reward, from 0 to 1, at which a draft step is kept.", show_default="0.7")
]
Budget = Annotated[
    str | None,
    typer.Option(
        help="Share of steps, from 0 to 1, that the target may write; the threshold moves so as to keep it.",
        show_default="none",
    ),
]
Weighting = Annotated[
    str | None,
    typer.Option(
        help="How a reward becomes a probability of acceptance: step, constant, clipping, sigmoidal or logistic.",
        show_default="step",
    ),
]
MaxSteps = Annotated[str | None, typer.Option(help="Stop after this many steps.", show_default="100")]
MaxTokens = Annotated[
    str | None, typer.Option(help="Stop after this many tokens of the response.", show_default="4096")
]
Temperature = Annotated[str | None, typer.Option(help="Sampling temperature; 0 is greedy.", show_default="0")]
Tools = Annotated[
    str | None,
    typer.Option(
        help="`python` runs the code in kept steps, in the sandbox, and shows the models its output.",
        show_default="off",
    ),
]
Review = Annotated[
    str | None,
    typer.Option(
        help="`rejected` asks you before what the target wrote in place of a rejected step is kept; `all` before any "
        "step is.",
        show_default="off",
    ),
]
InterruptBelow = Annotated[
    str | None,
    typer.Option(help="Ask you about a step of the target whose reward is below this.", show_default="never"),
]
Seed = Annotated[str | None, typer.Option(help="Random seed; the same seed repeats a run.", show_default="0")]
