"""A program: the page over scripted models, which take their time.

python -m tests.ui.served DATABASE PORT
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from rsd_graph import Generation, RSDSettings, TokenUsage
from rsd_graph._internal.listening import reserve
from rsd_graph.costs import Parameters
from rsd_graph.errors import ModelUnreachableError
from rsd_graph.testing import ScriptedModel, ScriptedReward
from rsd_graph.ui.serve import application, listen, opened

HOSTILE = (
    "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\"> [x](javascript:alert(1))"
)
DRAFTED = [
    r"Half of April's clips are **May's**: $48 \cdot 2 = 96$.",
    "```python\nprint(48 + 24)\n```",
    r"In all that is \boxed{72}.",
]
REWRITTEN = [r"In May she sold \[\frac{48}{2} = 24\] clips.", "So 48 + 24 = 72.", r"The answer is \boxed{72}."]


def drafted(messages: Any, response: str, _: Any) -> Generation:
    asked = messages[-1].text
    index = response.count("\n\n")
    if asked.startswith("many"):
        return said(f"Step {index + 1}: add {index} to {index}.", index == 499)
    if asked.startswith("long"):
        return said("word " * 10_000, last=True)
    if asked.startswith("hostile"):
        return said(HOSTILE, last=True)
    return said(DRAFTED[min(index, 2)], index >= 2)


def said(text: str, last: bool) -> Generation:
    return Generation(text, "eos" if last else "delimiter", TokenUsage(40, 10, 12))


def rewritten(messages: Any, response: str, _: Any) -> Generation:
    index = min(response.count("\n\n"), 2)
    if messages[-1].text.startswith("gone"):
        raise ModelUnreachableError("no answer from http://127.0.0.1:9: is the server running?")
    return said(REWRITTEN[index], index == 2)


class Slow(ScriptedModel):
    """It takes a moment, unless there is much to do."""

    async def generate(self, messages: Any, *given: Any, **options: Any) -> list[Generation]:
        """See `StepGenerator.generate`."""
        hurries = messages[-1].text.startswith("many")
        await asyncio.sleep(0 if hurries else 5 if messages[-1].text.startswith("slow") else 0.15)
        return await super().generate(messages, *given, **options)


def reward(steps: Any, candidate: Generation) -> float:
    if candidate.text in REWRITTEN:
        return 0.55
    return 0.31 if not steps and candidate.text == DRAFTED[0] else 0.9


async def main(database: str, port: str) -> None:
    models = (Slow(drafted, "draft"), Slow(rewritten, "target", streams=True), ScriptedReward(reward))
    settings = RSDSettings(max_steps=1000, max_tokens=100_000)
    with reserve("127.0.0.1", int(port)) as reserved:
        async with opened(models, settings, Path(database), Parameters(0.5e9, 1.5e9)) as runner:
            ready = f"ready {reserved.getsockname()[1]}"
            await listen(application(runner, settings), reserved, lambda: print(ready, flush=True))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
