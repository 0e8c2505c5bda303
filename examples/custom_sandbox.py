"""A sandbox of your own: here one that computes and does nothing else, on any system, without a process.

python examples/custom_sandbox.py "What is 12345 * 6789 + 98765?"
python examples/custom_sandbox.py --fake      # scripted models: no weights, at once
"""

import ast
import operator
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from solve import embedded_models
from tools import PROBLEM, fake_models

from rsd_graph import create_rsd_graph
from rsd_graph.sandbox import Execution

SIGNS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class Calculator:
    """Runs one expression of numbers and `+ - * /`, and refuses everything else: there are no walls to break."""

    async def run(self, code: str, timeout: float = 5) -> Execution:  # noqa: ASYNC109, ARG002  # of the protocol
        """See `Sandbox.run`."""
        try:
            return Execution(output=str(value(ast.parse(code.strip(), mode="eval").body)))
        except (SyntaxError, ValueError, ZeroDivisionError) as error:
            return Execution(output="", error=f"{type(error).__name__}: {error}")

    @asynccontextmanager
    async def session(self, history: Sequence[str] = ()) -> AsyncIterator["Calculator"]:  # noqa: ARG002
        """See `Sandbox.session`."""
        yield self


def value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in SIGNS:
            return SIGNS[type(sign)](value(left), value(right))
        case _:
            raise ValueError("a calculator takes numbers and + - * / only")


def main() -> None:
    models = fake_models() if "--fake" in sys.argv else embedded_models()
    graph = create_rsd_graph(*models, sandbox=Calculator())
    problem = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), PROBLEM)
    out = graph.invoke({"problem": problem}, context={"tools": "python"})
    for step in out["steps"]:
        print(f"{step.author:>7}: {step.text.strip()}")
    print(f" answer: {out['answer']}")


if __name__ == "__main__":
    main()
