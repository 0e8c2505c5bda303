"""A batch job over many problems: a pool of Ray actors, each with a graph that solves many problems at once.

python examples/ray_batch.py problems.jsonl answers                         # the embedded pair
python examples/ray_batch.py problems.jsonl answers --config rsd.toml --actors 4 --at-once 64
python examples/ray_batch.py problems.jsonl answers --fake                  # scripted models: no weights

Needs `pip install 'ray[data]'`. Each line of the input has an `id` and a `problem`; each line of the output an
`answer`, the `response`, the tokens by role, or the `error` of a problem that could not be solved. What the folder
holds already is not solved again: a job that was stopped goes on where it was.
"""

import argparse
import asyncio
import json
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from solve import embedded_models, fake_models

from rsd_graph import create_rsd_graph
from rsd_graph.errors import RSDError

Row = dict[str, Any]


class Solver:
    """An actor: its models are made once, and the problems of a batch are solved together.

    Args:
        config: Path of an `rsd.toml`; by default the embedded pair.
        fake: Whether scripted models take the place of the embedded pair.
    """

    def __init__(self, config: str | None = None, fake: bool = False) -> None:
        self._loop = asyncio.new_event_loop()  # outlives the batches, and so do the connections
        self._stack = AsyncExitStack()
        self._graph: Any = (
            self._loop.run_until_complete(self._configured(config))
            if config
            else create_rsd_graph(*(fake_models() if fake else embedded_models()))
        )

    async def _configured(self, config: str) -> Any:
        from rsd_graph.assembly import assemble
        from rsd_graph.config import load_config

        configuration = load_config(Path(config))
        made = await self._stack.enter_async_context(assemble(configuration))
        return create_rsd_graph(*made.faster, settings=configuration.settings)

    def __call__(self, batch: dict[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """The rows of the batch, column by column, as Ray wants them."""
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        solved = self._loop.run_until_complete(self._all(rows))
        return {key: [row[key] for row in solved] for key in solved[0]} if solved else {}

    def close(self) -> None:
        """Close the models. Under Ray, an actor ends with its process."""
        self._loop.run_until_complete(self._stack.aclose())
        self._loop.close()

    async def _all(self, rows: Iterable[Row]) -> list[Row]:
        return list(await asyncio.gather(*(self._solved(row) for row in rows)))

    async def _solved(self, row: Row) -> Row:
        """One problem; what goes wrong with it stays in its row."""
        try:
            out = await self._graph.ainvoke({"problem": row["problem"]})
        except RSDError as error:
            return {"id": row["id"], "answer": None, "response": "", "usage": "{}", "error": str(error)}
        usage = json.dumps(asdict(out["usage"]))
        return {"id": row["id"], "answer": out["answer"], "response": out["response"], "usage": usage, "error": None}


def unsolved(problems: Path, answers: Path) -> list[Row]:
    """The problems for which the folder has no answer yet."""
    done = {
        json.loads(line)["id"]
        for file in sorted(answers.glob("*.json*"))
        for line in file.read_text(encoding="utf-8").splitlines()
    }
    rows = [json.loads(line) for line in problems.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [{"id": row["id"], "problem": row["problem"]} for row in rows if row["id"] not in done]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", type=Path, help="JSON lines with `id` and `problem`")
    parser.add_argument("answers", type=Path, help="folder for JSON lines")
    parser.add_argument("--config", help="rsd.toml of the models, which run on servers")
    parser.add_argument("--actors", type=int, default=1, help="processes; each takes a core (default: 1)")
    parser.add_argument("--at-once", type=int, default=8, help="problems that an actor solves at once (default: 8)")
    parser.add_argument("--fake", action="store_true", help="use scripted models")
    options = parser.parse_args()
    rows = unsolved(options.problems, options.answers)
    if not rows:
        print(f"nothing to do: {options.answers} has an answer for every problem")
        return

    import ray
    from ray.data import SaveMode

    data = ray.data.from_items(rows).map_batches(
        Solver,
        fn_constructor_kwargs={"config": options.config, "fake": options.fake},
        batch_size=options.at_once,
        concurrency=options.actors,
        num_cpus=1,
    )
    data.write_json(str(options.answers.resolve()), mode=SaveMode.APPEND)
    print(f"{len(rows)} problems, answers in {options.answers}")


if __name__ == "__main__":
    main()
