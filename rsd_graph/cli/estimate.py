"""`rsd estimate`."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsd_graph.cli.errors import ErrorLine, exit_codes
from rsd_graph.cli.options import ConfigFile
from rsd_graph.cli.progress import Stages

if TYPE_CHECKING:
    from rsd_graph.costs import Parameters
    from rsd_graph.evaluation.comparison import Run
    from rsd_graph.evaluation.prediction import Speeds

Size = Annotated[str | None, typer.Option(help="Parameters of the model, such as 7b.", show_default="as recorded")]


def estimate(
    logs: Annotated[
        list[Path],
        typer.Argument(help="Logs of `rsd bench` or `inspect eval`, or folders of them.", show_default=False),
    ],
    hardware: Annotated[
        list[str] | None,
        typer.Option(
            help="h100, h200, a100, l40s, laptop, or several such as 4xh100; `this` measures the models of rsd.toml "
            "here, and compares with the recorded seconds. Repeat it for more.",
            show_default="h100",
        ),
    ] = None,
    draft: Size = None,
    target: Size = None,
    reward: Annotated[
        str | None,
        typer.Option(help="Parameters of the process reward model; 0 for none.", show_default="as recorded"),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Problems that are solved at once.")] = 1,
    precision: Annotated[float, typer.Option(min=0.1, help="Bytes of a parameter: 2 for bfloat16, 1 for FP8.")] = 2.0,
    price: Annotated[
        float | None, typer.Option(min=0, help="Dollars an hour, of all the hardware.", show_default="not shown")
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Servers without a prefix cache: each call reads everything again.")
    ] = False,
    shared: Annotated[
        bool,
        typer.Option(
            "--shared",
            help="All models share the hardware, as on one GPU. Measured by `this`, models in this process always do.",
        ),
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Predict how long recorded runs would take on other hardware, and with models of other sizes.

    Which steps were kept, and how long they are, stays as recorded. Each pass takes the longer of moving the model's
    weights and computing (the roofline model), or what the engine takes if that is more.

    Exit code: 0 on success, 1 on an error, 2 for an unknown option, 130 on Ctrl-C.
    """
    with exit_codes(ErrorLine(), extras="eval"):
        from rsd_graph.evaluation.prediction import predictions, rooflines
        from rsd_graph.evaluation.roofline import hardware as known
        from rsd_graph.inspect.logs import read_runs

        runs = read_runs(logs)
        names = dict.fromkeys(hardware or ["h100"])
        machines = {name: known(name) for name in names if name != "this"}
        if machines:
            sizes = _sizes(runs, draft, target, reward)
            speeds = {
                name: rooflines(
                    sizes,
                    on,
                    batch=batch,
                    bytes_per_parameter=precision,
                    cached=not no_cache,
                    price=price,
                    shared=shared,
                )
                for name, on in machines.items()
            }
            typer.echo(predictions(runs, speeds).markdown())
        if "this" in names:
            here = asyncio.run(_measured(config, batch, shared=shared))
            typer.echo(predictions(runs, {"this": here}, measured=True).markdown())


def _sizes(runs: "Sequence[Run]", draft: str | None, target: str | None, reward: str | None) -> "Parameters":
    """The sizes that the user says, and those that the logs know for the rest."""
    from rsd_graph.costs import Parameters
    from rsd_graph.errors import ConfigurationError
    from rsd_graph.evaluation.roofline import parameters

    recorded = [asdict(each.parameters) for run in runs for each in run.solved.values() if each.parameters]
    several = {role: {each[role] for each in recorded} for role in ("draft", "target", "reward")}
    sizes: dict[str, float] = {role: found.pop() for role, found in several.items() if len(found) == 1}
    for role, size in (("draft", draft), ("target", target), ("reward", reward)):
        if size is not None:
            sizes[role] = 0.0 if role == "reward" and size.strip() == "0" else parameters(size)
    missing = [f"--{role}" for role in ("draft", "target", "reward") if role not in sizes]
    if missing:
        unsaid = "are of models of several sizes" if recorded else "do not say how large the models are"
        raise ConfigurationError(f"the logs {unsaid}: pass {', '.join(missing)}")
    return Parameters(**sizes)


async def _measured(config: Path | None, batch: int, *, shared: bool) -> "Speeds":
    """The speeds of the models, here and now."""
    from rsd_graph.assembly import assemble
    from rsd_graph.config import load_config
    from rsd_graph.evaluation.prediction import Speeds
    from rsd_graph.evaluation.speed import measure, measure_reward

    with Stages() as stages:
        chosen = load_config(config)
        # models in this process share its cores, or its GPU
        shared = shared or all(chosen.address(role) is None for role in ("draft", "target"))
        async with assemble(chosen, slots=batch, progress=stages.stage) as models:
            await models.start()
            draft, target = await measure(models.draft, batch), await measure(models.target, batch)
            reward = await measure_reward(models.reward, batch) if models.running_for_reward else None
            return Speeds(draft, target, reward, batch=batch, shared=shared)
