"""`rsd train-reward`, `rsd evaluate-reward` and `rsd export-reward`."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from rsd_graph.cli.progress import Stages
from rsd_graph.config import OF_THE_DRAFT, Config, ModelConfig, RewardConfig, kinds, load_config
from rsd_graph.errors import ConfigurationError, RSDError
from rsd_graph.rewards.trained.format import is_reward_file

if TYPE_CHECKING:
    from rsd_graph.assembly import Assembly
    from rsd_graph.data.problems import Problem
    from rsd_graph.data.solutions import Solution

FAILED, INTERRUPTED = 1, 130

NEEDS_EVAL = "this command needs the extra `eval`: run `pip install 'rsd-graph[eval]'`"
NEEDS_TRAIN = "this command needs the extra `train`: run `pip install 'rsd-graph[local,train]'`"

ConfigFile = Annotated[Path | None, typer.Option(help="Settings file.", show_default="rsd.toml here, if there is one")]


def reward_table(reward: str) -> dict[str, Any]:
    """`--reward` as the table `[reward]`: an address, a reward file, a kind, or a kind, a colon and one of those."""
    kind, _, place = reward.partition(":")
    given = {"kind": kind}
    if not place or kind not in kinds():
        given, place = {}, reward
    if "://" in place:
        return {"url": place, **given}
    if given or is_reward_file(Path(place)):
        return {"path": place, **given}
    return {"kind": place, "model": None}


def evaluate_reward(
    solutions: Annotated[
        Path, typer.Option(help='JSON lines of {"problem": str, "steps": [str], "correct": bool}.', show_default=False)
    ],
    reward: Annotated[
        str | None,
        typer.Option(
            help="confidence (steps need `logprobs`), trained, combined (both), judge, a reward file, or the URL of a "
            "process reward model's server. With a kind and a colon before it, FILE or URL is taken for that: "
            "outcome:URL.",
            show_default="that of rsd.toml, or else trained",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The first so many solutions.", show_default="all")] = None,
    picture: Annotated[Path, typer.Option(help="Where to draw the ROC and reliability curves.")] = Path("reward.png"),
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="The numbers as one JSON object.")] = False,
) -> None:
    """Measure how well a reward model tells right solutions from wrong ones.

    Every step is scored as the newest of those before it. Prints the area under the ROC curve (AUC) of the last step's
    reward, of the lowest, of the mean and of the product, and of every prefix, against the final answer's correctness,
    with 95 % intervals; how far rewards are probabilities; milliseconds and tokens a step.
    """
    with _told(needs=NEEDS_EVAL):
        from rsd_graph.data.solutions import read_solutions
        from rsd_graph.evaluation.rewards import check_picture

        check_picture(picture)
        chosen = read_solutions(solutions)[:limit]
        settings = load_config(config)
        if reward is not None or "reward" not in settings.model_fields_set:
            settings = load_config(config, {"reward": reward_table(reward or "trained")})
        name = (
            reward or settings.reward.public_url or settings.reward.model or settings.reward.resolved_kind or "reward"
        )
        with Stages() as stages:
            evaluation = asyncio.run(_evaluate(_reward_alone(settings), chosen, stages))
        # numbers first: a picture that cannot be written must not take them along
        if as_json:
            typer.echo(json.dumps({"reward": name, **evaluation.as_json()}))
        else:
            _print(evaluation, name)
        evaluation.draw(picture, name)
        if not as_json:
            typer.echo(f"drawn: {picture}")


def train_reward(
    problems: Annotated[
        Path | None,
        typer.Argument(
            help="JSON lines with `question` or `problem`, and `answer` (behind #### or bare). Not needed with "
            "--solutions, unless those lack the `reference` that labels by continuation ask for.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The reward file to write.")] = Path("reward.safetensors"),
    weights: Annotated[
        Path | None,
        typer.Option(
            help="The draft's weights: a GGUF file or a Hugging Face folder. Its solutions come from the draft of "
            "rsd.toml, which has to be the same model.",
            show_default="the embedded draft's",
        ),
    ] = None,
    solutions: Annotated[
        Path | None,
        typer.Option(help="Solutions that the draft wrote already, instead of sampling.", show_default="sampled"),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Problems to sample; a larger number goes on.")] = 1000,
    labels: Annotated[
        Literal["answer", "monte-carlo", "target"],
        typer.Option(
            help="What makes a step right: the final answer; how often the draft gets there from it; that the target "
            "still does."
        ),
    ] = "answer",
    continuations: Annotated[int, typer.Option(min=1, help="Of each step, with monte-carlo.")] = 4,
    family: Annotated[
        Literal["lora", "probe"],
        typer.Option(help="Change the last kept layers (LoRA), or only read the frozen state behind them."),
    ] = "lora",
    layers: Annotated[float, typer.Option(min=0.01, max=1, help="Share of the draft's layers that are kept.")] = 0.58,
    epochs: Annotated[int, typer.Option(min=1, help="Of the LoRA training.")] = 3,
    temperature: Annotated[
        float, typer.Option(min=0, max=2, help="Of the solutions: as you will have the draft write.")
    ] = 0.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Of one solution.")] = 600,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="The same one repeats a run.")] = 0,
    work: Annotated[
        Path, typer.Option(help="Keeps everything under way: the same command goes on where it was stopped.")
    ] = Path(".rsd/reward"),
    config: ConfigFile = None,
) -> None:
    """Make a process reward model of the draft itself: sample, label, read, train, calibrate.

    The result is a file of a few megabytes, for `rsd solve --reward FILE`. The same command goes on after a stop; with
    another --limit, --family, --layers or --epochs it takes from --work what is there.
    """
    with _told(needs=NEEDS_TRAIN, again="goes on from here"):
        from rsd_graph.data.problems import read_problems
        from rsd_graph.data.solutions import read_solutions
        from rsd_graph.models.weights import DRAFT, locate, sha256_of
        from rsd_graph.training.backbone import check_architecture, identity
        from rsd_graph.training.pipeline import Folder, Options, train

        data = solutions or problems
        if data is None:
            raise ConfigurationError("name a file of PROBLEMS, or --solutions that the draft wrote")
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
            raise ConfigurationError(f"the folder {out.parent} of --out is not there")
        with Stages() as stages:
            given = read_problems(problems) if problems else []
            written = read_solutions(solutions) if solutions else None
            path = draft or locate(DRAFT, stages.stage)
            check_architecture(path)
            made_of = {"draft": identity(path), "data": sha256_of(data)}
            if labels == "target":
                made_of["target"] = str(
                    settings.target.model or settings.target.path or settings.target.public_url or "embedded"
                )
            folder = Folder(work, options, made_of)
            with folder.alone():
                known, own = asyncio.run(_gather(settings, given, written, options, folder, stages))
                reward = train(path, known, own, options, folder, stages)
        reward.save(out)
        card = reward.card
        for name, figure in card.training.items():
            typer.echo(f"{name}: {figure}")
        size = out.stat().st_size / 1e3
        typer.echo(f"{out}: {card.family}, {card.layers} layers, {reward.parameters} trained numbers, {size:,.0f} kB")


def export_reward(
    reward: Annotated[Path, typer.Argument(help="The reward file.")],
    folder: Annotated[Path, typer.Argument(help="Where to write the checkpoint.")],
    weights: Annotated[
        Path | None,
        typer.Option(help="The draft that it was trained on: a GGUF file or a folder.", show_default="the embedded"),
    ] = None,
) -> None:
    """Write a trained reward as an ordinary checkpoint, the draft's first layers with it merged in, for vLLM."""
    with _told(needs=NEEDS_TRAIN):
        from rsd_graph.models.weights import DRAFT, locate
        from rsd_graph.rewards.trained.file import load_reward
        from rsd_graph.training.export import export

        loaded = load_reward(reward)
        with Stages() as stages:
            path = weights or locate(DRAFT, stages.stage)
            export(loaded, path, folder)
        typer.echo(
            f"serve it:  vllm serve {folder} --dtype float32 --port 8002\n"
            'use it, in rsd.toml:\n\n[reward]\nurl = "http://127.0.0.1:8002"\nkind = "trained"\n'
            f"centre = {loaded.card.centre:.4f}"
        )
        if curve := loaded.card.curve:
            numbers = ", ".join(f"{name} = {number:.4f}" for name, number in curve.model_dump().items())
            typer.echo(f'\n# with the draft\'s confidence, kind = "combined" and\ncurve = {{ {numbers} }}')


async def _evaluate(settings: Config, solutions: Any, stages: Stages) -> Any:
    from rsd_graph.assembly import assemble
    from rsd_graph.evaluation.rewards import evaluate

    async with assemble(settings, progress=stages.stage) as models:
        await models.start_reward()
        return await evaluate(models.reward, solutions, lambda done, total: stages.stage("scoring", done, total))


def _reward_alone(settings: Config) -> Config:
    """Without the models that this reward does not need: their servers may be down."""
    own = settings.reward.url or settings.reward.model
    resolved_kind = settings.reward.resolved_kind or "reward"
    needed = set()
    if not own and resolved_kind in OF_THE_DRAFT:
        needed = {"draft"}
    elif not own and resolved_kind == "judge":
        needed = {"target"}
    return settings.model_copy(update={role: ModelConfig() for role in {"draft", "target"} - needed})


def _with_weights(settings: Config, weights: Path | None) -> tuple[Config, Path | None]:
    """The configuration that samples with these weights, and the weights; None for the embedded draft's."""
    draft = settings.draft
    elsewhere = draft.url or draft.model
    if weights is None and draft.model and Path(draft.model).is_dir():
        weights = Path(draft.model)
    if weights is not None and not weights.exists():
        raise ConfigurationError(f"the weights {weights} are not there")
    if elsewhere and weights is None:
        raise ConfigurationError(
            "the draft runs on a server, and training reads its weights here: name them with --weights"
        )
    if weights is not None and weights.is_dir() and not elsewhere:
        raise ConfigurationError(
            f"the folder {weights} is read for training, and something has to write solutions: give the draft's "
            f'`url` in rsd.toml, or `mode = "offline"` and `model = "{weights}"` in its table [draft]'
        )
    if weights is not None and not elsewhere:
        draft = draft.model_copy(update={"path": weights})
    no_reward = RewardConfig(kind="confidence")
    return settings.model_copy(update={"draft": draft, "reward": no_reward}), weights or draft.path


async def _gather(
    settings: Config,
    problems: "Sequence[Problem]",
    solutions: "list[Solution] | None",
    options: Any,
    folder: Any,
    stages: Stages,
) -> tuple[Any, Any]:
    """The solutions and their labels; models run only where they are needed."""
    from rsd_graph.assembly import assemble
    from rsd_graph.training.pipeline import label_steps, ready, sample_solutions
    from rsd_graph.training.samples import with_references

    by_target = options.labels == "target"
    # the servers of models that have nothing to do may be down
    if not by_target:
        settings = settings.model_copy(update={"target": ModelConfig()})
    if by_target and solutions is not None:
        settings = settings.model_copy(update={"draft": ModelConfig()})
    async with AsyncExitStack() as closing:
        models: Assembly | None = None
        if solutions is None or options.labels != "answer":
            models = await closing.enter_async_context(assemble(settings, progress=stages.stage))
        if models is not None and solutions is None:
            solutions = await sample_solutions(models.draft, problems, options, folder, stages)
        known = ready(solutions or [])
        continuer = None
        if models is not None and options.labels != "answer":
            known = with_references(known, problems)
            continuer = models.target if by_target else models.draft
        return known, await label_steps(continuer, known, options, folder, stages)


def _print(evaluation: Any, name: str) -> None:
    from rsd_graph.evaluation.metrics import expected_calibration_error

    out = Console(highlight=False)
    title = f"{name}, {sum(evaluation.correct)} of {len(evaluation.correct)} solutions right"
    table = Table("reward of a solution", "AUC (95 % interval)", title=title)
    for what, area in evaluation.areas().items():
        table.add_row(what, str(area))
    out.print(table)
    bins = evaluation.reliability()
    table = Table("reward of the last step", "solutions", "mean reward", "right", title="reliability")
    for each in bins:
        table.add_row(f"{each.low:.1f} to {each.high:.1f}", str(each.count), f"{each.reward:.2f}", f"{each.right:.2f}")
    out.print(table)
    early, late = evaluation.tokens(5, 5), evaluation.tokens(40, 40)
    steps = "".join(
        f", {tokens:.0f} for step {number}" for number, tokens in ((5, early), (40, late)) if tokens is not None
    )
    error = expected_calibration_error(bins)
    out.print(
        f"expected calibration error {error:.3f}; a step takes {evaluation.milliseconds:.1f} ms and computes "
        f"{evaluation.tokens():.0f} tokens{steps}"
    )


@contextmanager
def _told(needs: str, again: str = "begins anew") -> Iterator[None]:
    """Errors in one line, without a traceback. `needs`: the extra's name; `again`: what the command does next time."""
    try:
        yield
    except RSDError as error:
        typer.secho(f"rsd: {error}", fg="red", err=True)
        raise typer.Exit(FAILED) from None
    except OSError as error:
        typer.secho(f"rsd: {error}; once that is mended, the same command {again}", fg="red", err=True)
        raise typer.Exit(FAILED) from None
    except ImportError as error:
        typer.secho(f"rsd: {needs} ({error})", fg="red", err=True)
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        typer.secho(f"rsd: stopped; the same command {again}", err=True)
        raise typer.Exit(INTERRUPTED) from None
