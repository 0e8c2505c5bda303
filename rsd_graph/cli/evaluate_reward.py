"""`rsd evaluate-reward`."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rsd_graph.cli.errors import ErrorLine, exit_codes
from rsd_graph.cli.evaluate_reward_view import print_tables
from rsd_graph.cli.options import ConfigFile, user_path
from rsd_graph.cli.progress import Stages
from rsd_graph.cli.terminal_text import say
from rsd_graph.config import TRAINED_KINDS, Config, load_config
from rsd_graph.overrides import reward_table

if TYPE_CHECKING:
    from rsd_graph.data.solutions import Solution
    from rsd_graph.evaluation.summary import Evaluation


def evaluate_reward(
    solutions: Annotated[
        Path,
        typer.Option(
            help="Recorded solutions, as `rsd sample` writes them, or other JSON lines with "
            '"problem" (text), "steps" (list of texts) and "correct" (true or false).',
            show_default=False,
            callback=user_path,
        ),
    ],
    reward: Annotated[
        str | None,
        typer.Option(
            help="Reward model: confidence (the steps need `logprobs`), trained, combined (both), judge, a reward "
            "file, or the URL of a process reward model's server. To name the kind of a file or URL, put it and a "
            "colon in front: outcome:URL.",
            show_default="that of rsd.toml, or else trained",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Score only the first so many solutions.", show_default="all")
    ] = None,
    picture: Annotated[
        Path, typer.Option(help="File for the plot of the ROC curve and of the reliability.", callback=user_path)
    ] = Path("reward.png"),
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as one JSON object.")] = False,
) -> None:
    """Measure how well a reward model tells right solutions from wrong ones.

    Scores every step of recorded solutions, given the steps before it, and compares the rewards with whether the final
    answers are right. Prints the area under the ROC curve (AUC), with 95 % intervals, of the last step's reward, of the
    lowest, of the mean, of the product, and of every prefix; how close the rewards are to probabilities; and the
    milliseconds and tokens per step.

    Exit code: 0 on success, 1 on an error, 2 for an unknown option, 130 on Ctrl-C.
    """
    with exit_codes(ErrorLine(), extras="eval"):
        from rsd_graph.data.solutions import read_solutions
        from rsd_graph.evaluation.drawing import check_picture, draw

        check_picture(picture)
        chosen = read_solutions(solutions)[:limit]
        settings = load_config(config)
        if reward is not None or "reward" not in settings.model_fields_set:
            settings = load_config(config, {"reward": reward_table(reward or "trained")})
        name = reward or settings.reward.url or settings.reward.model or settings.reward.resolved_kind or "reward"
        with Stages() as stages:
            evaluation = asyncio.run(_evaluate(_reward_alone(settings), chosen, stages))
        # numbers first: they must not be lost if the picture cannot be written
        if as_json:
            typer.echo(json.dumps({"reward": name, **evaluation.as_json()}))
        else:
            print_tables(evaluation, name)
        draw(evaluation, picture, name)
        if not as_json:
            say(f"drawn: {picture}")


async def _evaluate(settings: Config, solutions: "Sequence[Solution]", stages: Stages) -> "Evaluation":
    from rsd_graph.assembly import assemble
    from rsd_graph.evaluation.scoring import evaluate

    async with assemble(settings, progress=stages.stage) as models:
        await models.start_reward()
        return await evaluate(models.reward, solutions, stages.stage)


def _reward_alone(settings: Config) -> Config:
    """The configuration without the models that this reward does not need: their servers may be down."""
    own = settings.reward.url or settings.reward.model
    resolved_kind = settings.reward.resolved_kind
    needed: set[Literal["draft", "target"]] = set()
    if not own and resolved_kind in TRAINED_KINDS:
        needed = {"draft"}
    elif not own and resolved_kind == "judge":
        needed = {"target"}
    return settings.needing(needed)
