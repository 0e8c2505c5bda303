"""`rsd sample`."""

import asyncio
import json
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsd_graph.cli.errors import ErrorLine, exit_codes
from rsd_graph.cli.options import ConfigFile, DataFile, DataSet, Draft, MaxTokens, Seed, Temperature, user_path
from rsd_graph.cli.progress import Stages
from rsd_graph.cli.terminal_text import say
from rsd_graph.config import Config, load_config
from rsd_graph.overrides import overrides

if TYPE_CHECKING:
    from rsd_graph.data.problems import Problem


def sample(
    data: DataSet,
    file: DataFile = None,
    out: Annotated[
        Path, typer.Option(help="File of solutions to write; the same command goes on there.", callback=user_path)
    ] = Path("solutions.jsonl"),
    limit: Annotated[int | None, typer.Option(min=1, help="The first so many problems.", show_default="all")] = None,
    draft: Draft = None,
    temperature: Temperature = None,
    max_tokens: MaxTokens = None,
    seed: Seed = None,
    config: ConfigFile = None,
) -> None:
    """Have the draft solve problems, and record its solutions: steps, log-probabilities, and whether they are right.

    `rsd fit-confidence`, `rsd evaluate-reward` and `rsd train-reward` read them. A run that was stopped resumes when
    the command is run again.

    Exit code: 0 on success, 1 on an error, 2 for an unknown option, 130 on Ctrl-C.
    """
    with exit_codes(ErrorLine("resume"), extras="local", again="resume"):
        from rsd_graph.data.datasets import load_named
        from rsd_graph.data.solutions import read_solutions

        chosen = {"temperature": temperature, "max_tokens": max_tokens, "seed": seed}
        settings = load_config(config, overrides(draft, None, "confidence", None, chosen)).needing({"draft"})
        problems = load_named(data, file)[:limit]
        out.parent.mkdir(parents=True, exist_ok=True)
        with Stages() as stages:
            asyncio.run(_sample(settings, problems, out, stages))
        wanted = {problem.prompt for problem in problems}
        solutions = [each for each in read_solutions(out) if each.problem in wanted]
        say(f"{out}: {len(solutions)} solutions, {sum(each.correct for each in solutions)} right")


async def _sample(config: Config, problems: "Sequence[Problem]", out: Path, stages: Stages) -> None:
    from rsd_graph.assembly import assemble
    from rsd_graph.training import samples

    async with assemble(config, progress=stages.stage) as models:
        await samples.sample(models.draft, problems, config.settings, out, stages.stage, made_with=_made_with(config))


def _made_with(config: Config) -> str:
    """A hash of what decides the solution of a problem; options may be secret."""
    parts = [
        config.draft.model_dump(mode="json", exclude={"confidence"}, exclude_defaults=True),
        config.settings.model_dump(mode="json", exclude_defaults=True),
    ]
    return blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()
