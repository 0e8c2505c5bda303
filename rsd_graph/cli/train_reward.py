"""`rsd train-reward`."""

import asyncio
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rsd_graph.cli.errors import ErrorLine, exit_codes
from rsd_graph.cli.options import ConfigFile, user_path
from rsd_graph.cli.progress import Stages
from rsd_graph.cli.terminal_text import say
from rsd_graph.config import Config, RewardConfig, load_config
from rsd_graph.errors import ConfigurationError

if TYPE_CHECKING:
    from rsd_graph.assembly import Assembly
    from rsd_graph.rewards.trained.file import RewardFile


def train_reward(
    problems: Annotated[
        Path | None,
        typer.Argument(
            help="Problems, as JSON lines with `question` or `problem`, and `answer` (the bare answer, or a text that "
            "ends in #### and the answer). Not needed with --solutions, unless --labels is monte-carlo or target and "
            "the solutions lack `reference`, the right answer.",
            show_default=False,
            callback=user_path,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Reward file to write.", callback=user_path)] = Path("reward.safetensors"),
    weights: Annotated[
        Path | None,
        typer.Option(
            help="The draft's weights: a GGUF file or a Hugging Face folder. The solutions come from the draft of "
            "rsd.toml, which must be the same model.",
            show_default="the embedded draft's",
            callback=user_path,
        ),
    ] = None,
    solutions: Annotated[
        Path | None,
        typer.Option(
            help="Solutions that the draft has already written, to use instead of sampling.",
            show_default="sampled",
            callback=user_path,
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="Number of problems to solve; a larger number reuses those that are solved.")
    ] = 1000,
    labels: Annotated[
        Literal["answer", "monte-carlo", "target"],
        typer.Option(
            help="What makes a step right. answer: the final answer is right. monte-carlo: how often the draft reaches "
            "the right answer from there. target: the target still reaches it from there."
        ),
    ] = "answer",
    continuations: Annotated[
        int, typer.Option(min=1, help="Continuations of each step, with --labels monte-carlo.")
    ] = 4,
    family: Annotated[
        Literal["lora", "probe"],
        typer.Option(
            help="lora: train LoRA adapters in the last of the kept layers. probe: train only a linear probe, on the "
            "frozen layers' output."
        ),
    ] = "lora",
    layers: Annotated[float, typer.Option(min=0.01, max=1, help="Share of the draft's layers to keep.")] = 0.58,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of the LoRA training.")] = 3,
    temperature: Annotated[
        float, typer.Option(min=0, max=2, help="Sampling temperature; use the one you will deploy with.")
    ] = 0.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Token limit of one solution.")] = 600,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Random seed; the same seed repeats a run.")] = 0,
    work: Annotated[
        Path,
        typer.Option(help="Folder for unfinished work, from which the same command resumes.", callback=user_path),
    ] = Path(".rsd/reward"),
    config: ConfigFile = None,
) -> None:
    """Train a process reward model from the draft itself.

    The draft solves problems, each step is labelled as right or wrong, and a small addition to the draft's first layers
    is trained on the labels and calibrated. The result is a file of a few megabytes, for `rsd solve --reward FILE`.

    Run the same command again to resume after a stop. With another --limit, --family, --layers or --epochs it reuses
    the work in --work that still applies.

    Exit code: 0 on success, 1 on an error, 2 for an unknown option, 130 on Ctrl-C.
    """
    with exit_codes(ErrorLine("resume"), extras="local,train", again="resume"):
        data = solutions or problems
        if data is None:
            raise ConfigurationError("name a file of problems, or give --solutions that the draft has written")
        from rsd_graph.data.problems import read_problems
        from rsd_graph.data.solutions import read_solutions
        from rsd_graph.models.weights import DRAFT, locate, sha256_of
        from rsd_graph.training.backbone import check_architecture, identity
        from rsd_graph.training.options import Options
        from rsd_graph.training.pipeline import gather, train
        from rsd_graph.training.workdir import WorkDir

        options = Options(
            limit=limit,
            labels=labels,
            continuations=continuations,
            layers=layers,
            epochs=epochs,
            temperature=temperature,
            max_tokens=max_tokens,
            family=family,
            seed=seed,
        )
        settings, draft = _with_weights(load_config(config), weights)
        if out.parent != Path() and not out.parent.is_dir():
            raise ConfigurationError(f"the folder {out.parent} of --out does not exist")
        with Stages() as stages:
            given = read_problems(problems) if problems else []
            written = read_solutions(solutions) if solutions else None
            path = draft or locate(DRAFT, stages.stage)
            check_architecture(path)
            made_of = {"draft": identity(path), "data": sha256_of(data)}
            if labels == "target":
                made_of["target"] = str(
                    settings.target.model or settings.target.path or settings.target.url or "embedded"
                )
            workdir = WorkDir(work, options, made_of)
            with workdir.alone():
                make_models = partial(_models, settings, stages)
                known, own = asyncio.run(gather(make_models, given, written, options, workdir, stages.stage))
                reward = train(path, known, own, options, workdir, stages.stage)
        reward.save(out)
        _show(reward, out)


def _show(reward: "RewardFile", out: Path) -> None:
    card = reward.card
    for name, figure in card.training.items():
        say(f"{name}: {figure}")
    size = out.stat().st_size / 1e3
    say(f"{out}: {card.family}, {card.layers} layers, {reward.parameters} trained parameters, {size:,.0f} kB")


def _with_weights(settings: Config, weights: Path | None) -> tuple[Config, Path | None]:
    """The configuration that samples with these weights, and the weights; None for those of the embedded draft."""
    draft = settings.draft
    elsewhere = draft.url or draft.model
    if weights is None and draft.model and Path(draft.model).is_dir():
        weights = Path(draft.model)
    if weights is not None and not weights.exists():
        raise ConfigurationError(f"the weights {weights} do not exist")
    if elsewhere and weights is None:
        raise ConfigurationError(
            "the draft runs on a server, but training needs its weights on this machine: name them with --weights"
        )
    if weights is not None and weights.is_dir() and not elsewhere:
        raise ConfigurationError(
            f"the folder {weights} can be trained on, but cannot write the solutions: give the draft's `url` in "
            f'rsd.toml, or `mode = "offline"` and, in its table [draft], `model = "{weights}"`'
        )
    if weights is not None and not elsewhere:
        draft = draft.model_copy(update={"path": weights})
    no_reward = RewardConfig(kind="confidence")
    return settings.model_copy(update={"draft": draft, "reward": no_reward}), weights or draft.path


@asynccontextmanager
async def _models(
    settings: Config, stages: Stages, roles: Set[Literal["draft", "target"]]
) -> "AsyncIterator[Assembly]":
    """The models of these roles; the servers of the others may be down."""
    from rsd_graph.assembly import assemble

    async with assemble(settings.needing(roles), progress=stages.stage) as models:
        yield models
