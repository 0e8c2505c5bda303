"""Token-level speculative decoding (arXiv 2211.17192): the target alone, faster, by its own engine."""

from rsd_graph.errors import ConfigurationError
from rsd_graph.settings import RSDSettings
from rsd_graph.speculation import Proposals, Speculator, counting_proposals
from rsd_graph.state import TokenUsage, Usage
from rsd_graph.strategies.alone import outcome
from rsd_graph.strategies.outcome import Models, Outcome, Strategy, Watch, nobody
from rsd_graph.strategies.whole import Written, write_whole


def speculative() -> Strategy:
    """The target alone writes the whole solution; its engine verifies tokens that the draft proposes, several at once.

    At temperature 0 the response is that of the target alone, up to rounding. Neither steps nor rewards are involved.

    A target in this process loads the draft's weights as its engine's draft model: `[target] speculative` in rsd.toml
    says how many tokens are proposed at once, 7 by default. A server decides that when it starts. `rsd serve` starts
    vLLM with `--speculative-config` if `[target] speculative` is set; start your own vLLM with that flag, or
    llama-server with `--model-draft`. The server is asked whether it does: vLLM by its metrics, llama.cpp by its slots.

    The draft's tokens are counted where the engine reports them for a request, as llama.cpp does and vLLM does not.
    What the draft read is then taken to be the prompt, and the tokens that it did not propose itself. Proposals that
    are rejected count as discarded, and as read by the target.

    Raises:
        ConfigurationError: when it solves, if the target's engine does not speculate, or does not say so.
    """

    async def solve(models: Models, problem: str, settings: RSDSettings, watch: Watch = nobody) -> Outcome:
        await require_speculation(models)
        with counting_proposals() as proposals:
            written = await write_whole(models.target, "target", problem, settings)
        return await outcome(written, _usage(written, proposals), watch)

    return solve


async def require_speculation(models: Models) -> None:
    """Refuse a target whose engine does not speculate.

    Raises:
        ConfigurationError: it does not, or does not say so.
    """
    target = models.target
    speculates = await target.speculates() if isinstance(target, Speculator) else None
    if speculates:
        return
    found = "does not use speculative decoding" if speculates is False else "does not say that it speculates"
    raise ConfigurationError(
        f"the target {target.name} {found}: set `speculative` in [target] of rsd.toml for a target in this process or "
        "one that `rsd serve` starts, then start it anew; or start its server with `--speculative-config` (vLLM) or "
        "`--model-draft` (llama.cpp)"
    )


def _usage(written: Written, proposals: Proposals) -> Usage:
    rejected = proposals.proposed - proposals.accepted
    if not proposals.proposed:
        return Usage(target=written.usage)
    read = written.usage.prompt + written.usage.completion - proposals.accepted
    return Usage(
        draft=TokenUsage(read, written.usage.cached, proposals.proposed),
        target=written.usage + TokenUsage(prompt=rejected),
        discarded=rejected,
    )
