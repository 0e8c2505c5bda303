"""The state machine with code in it: on scripted models and a scripted sandbox, and with real Python behind walls."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from rsd_graph import Generation, RSDSettings, Score, Step, TokenUsage, create_rsd_graph
from rsd_graph.nodes.tool import told
from rsd_graph.rewards.prm import step_texts
from rsd_graph.sandbox import Execution
from rsd_graph.testing import ScriptedModel, ScriptedReward
from tests.graph.scripts import KEEP, REWRITE, step, thread

CODE = "Let us compute.\n```python\na = 6\n\nprint(a * 7)\n```"
PROGRAM = "```python\nprint(1)\n```"
ON: Any = {"tools": "python"}


class Calculator:
    """A sandbox that knows two programs, and remembers what it was asked."""

    def __init__(self) -> None:
        self.ran: list[tuple[list[str], str]] = []

    async def run(self, code: str, timeout: float = 5) -> Execution:  # noqa: ASYNC109, ARG002
        return Execution("42" if "print" in code else "")

    @asynccontextmanager
    async def session(self, history: Sequence[str] = ()) -> AsyncIterator[Any]:
        sandbox = self

        class Session:
            async def run(self, code: str, timeout: float = 5) -> Execution:  # noqa: ASYNC109
                sandbox.ran.append((list(history), code))
                return await sandbox.run(code, timeout)

        yield Session()


def pieces(*texts: str) -> Any:
    """A model that writes these texts one after another; what it stops at is not in them."""

    def write(_: Any, response: str, __: Any) -> Generation:
        index = next(index for index in range(len(texts), -1, -1) if index == 0 or texts[index - 1] in response)
        text = texts[index]
        return step(text, "eos" if index == len(texts) - 1 else "delimiter", tokens=5)

    return ScriptedModel(write)


def test_code_is_run_and_its_output_follows() -> None:
    """As Qwen's own loop writes it, byte for byte; blank lines in the code end no step."""
    draft = pieces("Let us compute.\n```python\na = 6", "print(a * 7)\n```\n", "So it is \\boxed{42}.")
    sandbox = Calculator()
    out = create_rsd_graph(draft, pieces("-"), ScriptedReward([KEEP]), sandbox=sandbox).invoke(
        {"problem": "6 * 7?"}, context=ON
    )
    assert out["response"] == CODE + "\n```output\n42\n```\nSo it is \\boxed{42}."
    assert [each.author for each in out["steps"]] == ["draft", "tool", "draft"]
    assert (out["answer"], out["stop"]) == ("42", "eos")
    assert sandbox.ran == [([], "a = 6\n\nprint(a * 7)")]
    assert out["steps"][1].reward is None
    assert out["usage"].draft.completion == 15


def test_without_the_setting_nothing_runs() -> None:
    sandbox = Calculator()
    draft = pieces(CODE.replace("\n\n", "\n"), "So it is \\boxed{42}.")
    out = create_rsd_graph(draft, pieces("-"), ScriptedReward([KEEP]), sandbox=sandbox).invoke({"problem": "p"})
    assert [each.author for each in out["steps"]] == ["draft", "draft"]
    assert sandbox.ran == []


def test_a_model_that_ends_its_text_at_the_code_goes_on() -> None:
    """Some end their turn after a block: Qwen's loop does not ask why it ended."""
    draft = ScriptedModel(
        lambda _, response, __: step("\\boxed{42}" if "output" in response else "```python\nprint(1)\n```", "eos")
    )
    out = create_rsd_graph(draft, pieces("-"), ScriptedReward([KEEP]), sandbox=Calculator()).invoke(
        {"problem": "p"}, context=ON
    )
    assert [each.author for each in out["steps"]] == ["draft", "tool", "draft"]


def test_a_model_that_does_not_know_the_stop_is_cut() -> None:
    """What it dreams up as the output is thrown away."""
    dreamt = "```python\nprint(1)\n```\n```output\n7\n```\nSo \\boxed{7}."
    draft = ScriptedModel(lambda _, response, __: step("\\boxed{42}" if "output" in response else dreamt, "eos"))
    out = create_rsd_graph(draft, pieces("-"), ScriptedReward([KEEP]), sandbox=Calculator()).invoke(
        {"problem": "p"}, context=ON
    )
    assert out["response"] == "```python\nprint(1)\n```\n```output\n42\n```\n\\boxed{42}"


def test_code_of_a_rejected_draft_never_runs() -> None:
    sandbox = Calculator()
    draft = ScriptedModel(
        lambda _, response, __: step("\\boxed{1}", "eos") if response else step("```python\nprint(666)\n```")
    )
    target = ScriptedModel([step("```python\nprint(2)\n```")])
    out = create_rsd_graph(draft, target, ScriptedReward([REWRITE, KEEP]), sandbox=sandbox).invoke(
        {"problem": "p"}, context=ON
    )
    assert [code for _, code in sandbox.ran] == ["print(2)"]
    assert [each.author for each in out["steps"]] == ["target", "tool", "draft"]


def test_the_reward_may_see_the_output_first() -> None:
    """The code runs once; what it printed is part of what is scored, and follows the step if that is kept."""

    class Looking(ScriptedReward):
        seen: list[str]

        async def score(self, messages: Any, steps: Any, candidates: Sequence[Generation]) -> list[Score]:
            self.seen = [*getattr(self, "seen", ()), candidates[0].text]
            return await super().score(messages, steps, candidates)

    for rewards, ran in (([KEEP], 1), ([REWRITE, KEEP], 2)):
        sandbox, reward = Calculator(), Looking(rewards)
        draft = ScriptedModel(
            lambda _, response, __: step("\\boxed{42}", "eos") if response else step("```python\nprint(1)\n```")
        )
        target = ScriptedModel([step("```python\nprint(2)\n```")])
        out = create_rsd_graph(draft, target, reward, sandbox=sandbox).invoke(
            {"problem": "p"}, context={**ON, "tools_before_score": True}
        )
        assert reward.seen[0] == "```python\nprint(1)\n```\n```output\n42\n```\n"
        assert len(sandbox.ran) == ran
        assert out["steps"][1] == Step("\n```output\n42\n```\n", "tool")


def test_earlier_code_is_there_again() -> None:
    """Each block runs after those of the kept steps, so state needs no interpreter that remembers."""
    blocks = [f"```python\nx{number} = {number}\nprint(x{number})\n```" for number in range(3)]
    draft = pieces(*blocks, "\\boxed{0}")
    sandbox = Calculator()
    create_rsd_graph(draft, pieces("-"), ScriptedReward([KEEP]), sandbox=sandbox).invoke({"problem": "p"}, context=ON)
    code = [block.removeprefix("```python\n").removesuffix("\n```") for block in blocks]
    assert sandbox.ran == [(code[:number], code[number]) for number in range(3)]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_run_resumes_before_its_code(asynchronous: bool) -> None:
    draft = pieces("```python\nprint(1)\n```", "\\boxed{42}")
    graph = create_rsd_graph(
        draft, pieces("-"), ScriptedReward([KEEP]), sandbox=Calculator(), checkpointer=InMemorySaver()
    )
    given: Any = {"problem": "p"}
    graph.invoke(given, thread(), context=ON, interrupt_before=["tool"])
    paused = graph.get_state(thread())
    assert (paused.next, paused.values["code"]) == (("tool",), "print(1)")
    out = asyncio.run(graph.ainvoke(None, thread())) if asynchronous else graph.invoke(None, thread())
    assert out["response"].endswith("\n```output\n42\n```\n\\boxed{42}")


def test_limits_end_a_run_with_code() -> None:
    draft = ScriptedModel([step("```python\nprint(1)\n```", "eos", tokens=9)])
    graph = create_rsd_graph(draft, pieces("-"), ScriptedReward([KEEP]), sandbox=Calculator())
    out = graph.invoke({"problem": "p"}, context={**ON, "max_steps": 6})
    assert (out["stop"], len(out["steps"])) == ("max_steps", 6)


def test_an_answer_in_the_output_is_none() -> None:
    """The models have to give it."""

    class Boxing(Calculator):
        async def run(self, code: str, timeout: float = 5) -> Execution:  # noqa: ASYNC109, ARG002
            return Execution("\\boxed{7}\n<|im_end|>")

    draft = pieces("```python\nprint(1)\n```", "I do not know.")
    out = create_rsd_graph(draft, pieces("-"), ScriptedReward([KEEP]), sandbox=Boxing()).invoke(
        {"problem": "p"}, context=ON
    )
    assert out["answer"] != "7"
    assert "<|im_end|>" not in out["response"]


def test_a_reward_model_sees_code_and_output_as_one_step() -> None:
    steps = [Step("code", "draft"), Step("\n```output\n1\n```\n", "tool"), Step("so", "draft")]
    assert step_texts(steps, Generation("end", "eos")) == ["code\n```output\n1\n```\n", "so", "end"]


@pytest.mark.parametrize(
    ("execution", "text"),
    [
        (Execution(" 5\n"), "5"),
        (Execution(""), "Done"),
        (Execution("begun", "Traceback\nNameError: name 'x' is not defined"), "NameError: name 'x' is not defined"),
        (Execution("begun", "TimeoutError: too long", timed_out=True), "Timeout Error"),
        (Execution("a" * 300 + "b" * 300), "a" * 200 + "..." + "b" * 200),
        (Execution("a" * 400), "a" * 400),
    ],
)
def test_outputs_are_told_as_qwens_executor_tells_them(execution: Execution, text: str) -> None:
    assert told(execution) == text


def test_real_python_behind_walls() -> None:
    """The default sandbox: state persists, the last expression is printed, an error is told, files are out of reach."""
    blocks = [
        "```python\nfrom sympy import symbols, solve\nx = symbols('x')\n\nsolutions = solve(x**2 - 4, x)\n```",
        "```python\nsolutions\n```",
        "```python\nopen('/etc/passwd').read()\n```",
        "```python\n1/0\n```",
    ]
    draft = pieces(*(piece for block in blocks for piece in block.split("\n\n")), "\\boxed{2}")
    out = create_rsd_graph(draft, pieces("-"), ScriptedReward([KEEP])).invoke(
        {"problem": "Solve x^2 = 4."}, context={**ON, "tool_timeout": 30}
    )
    outputs = [each.text for each in out["steps"] if each.author == "tool"]
    assert outputs[0] == "\n```output\nDone\n```\n"
    assert outputs[1] == "\n```output\n[-2, 2]\n```\n"
    assert "root:" not in outputs[2]
    assert "Error" in outputs[2]
    assert outputs[3] == "\n```output\nZeroDivisionError: division by zero\n```\n"
    assert out["usage"].draft == TokenUsage(prompt=60, completion=30)


def test_the_node_is_drawn_where_the_graph_runs_code() -> None:
    """Where it is made to; a single run may switch it on in any graph."""
    models: Any = pieces("-"), pieces("-"), ScriptedReward([KEEP])
    plain, made, given = (
        create_rsd_graph(*models),
        create_rsd_graph(*models, settings=RSDSettings(tools="python")),
        create_rsd_graph(*models, sandbox=Calculator()),
    )
    assert "tool" not in plain.get_graph().nodes
    for graph in (made, given):
        edges = {(edge.source, edge.target) for edge in graph.get_graph().edges}
        assert {("check", "tool"), ("tool", "check")} <= edges
