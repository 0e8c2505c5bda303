"""One model alone writes the whole solution, in one request: what a user would do without any of this."""

from rsd_graph.settings import RSDSettings
from rsd_graph.state import Usage
from rsd_graph.strategies.outcome import Models, Outcome, Strategy, Watch, nobody
from rsd_graph.strategies.whole import Written, write_whole


def draft() -> Strategy:
    """The draft alone: the lower end of every comparison, in accuracy and in cost."""

    async def solve(models: Models, problem: str, settings: RSDSettings, watch: Watch = nobody) -> Outcome:
        written = await write_whole(models.draft, "draft", problem, settings)
        return await outcome(written, Usage(draft=written.usage), watch)

    return solve


def target() -> Strategy:
    """The target alone: the upper end."""

    async def solve(models: Models, problem: str, settings: RSDSettings, watch: Watch = nobody) -> Outcome:
        written = await write_whole(models.target, "target", problem, settings)
        return await outcome(written, Usage(target=written.usage), watch)

    return solve


async def outcome(written: Written, usage: Usage, watch: Watch) -> Outcome:
    """The outcome that this solution is; `usage` has the tokens of the models so far."""
    for index, step in enumerate(written.steps):
        await watch({"event": "kept", "step": index, "text": step.text, "author": step.author, "reward": step.reward})
    counted = usage + Usage(question=written.question, response=written.usage.completion)
    return Outcome(written.response, written.answer, written.steps, written.stop, counted)
