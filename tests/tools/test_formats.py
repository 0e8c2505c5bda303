from dataclasses import dataclass

import pytest

from rsd_graph import RSDSettings
from rsd_graph.tools.formats import FORMATS, Tagged, chooser, format_of

FENCED = FORMATS["fenced"]


@dataclass
class Model:
    name: str


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Let us compute.\n```python\nprint(2)\n```", "print(2)"),
        ("```python\na = 1\n\nprint(a)\n```\n", "a = 1\n\nprint(a)"),
        ("```python\na = 1\n```\nand then\n```python\nprint(a)\n```", "print(a)"),  # the last block counts
        ("```python\nprint(2)\n```\nSo it is 2.", None),  # no fence at the end
        ("```python\nprint(2)\n```\nso \\boxed{2}, as in\n```", None),  # it has answered
        ("```python\nprint(2", None),  # cut
        ("no code\n```", None),
        ("```\nplain\n```", None),
        ("", None),
    ],
)
def test_fenced_code_is_run_where_qwen_runs_it(text: str, code: str | None) -> None:
    assert FENCED.code(text, ended=False) == FENCED.code(text, ended=True) == code


def test_the_delimiter_does_not_count_inside_a_fence() -> None:
    assert FENCED.is_open("Look:\n```python\na = 1")
    assert FENCED.is_open("```text\nplain")
    assert not FENCED.is_open("```python\na = 1\n```")
    assert not FENCED.is_open("Look: ```inline``` code")


def test_the_output_follows_as_qwen_writes_it() -> None:
    assert FENCED.answer("5") == "\n```output\n5\n```\n"


@pytest.mark.parametrize("name", list(FORMATS))
def test_an_output_cannot_end_itself(name: str) -> None:
    """Whatever is printed: marks of code and of output in it are none."""
    tools = FORMATS[name]
    marks = (tools.opening, tools.closing, *tools.marks) if isinstance(tools, Tagged) else ("```",)
    plain, answered = tools.answer("x"), tools.answer("\n".join(marks) + "\n\\boxed{1}")
    assert {mark: answered.count(mark) for mark in marks} == {mark: plain.count(mark) for mark in marks}


TAGGED = [
    ("openmath", "Try.\n<tool_call>\nprint(1)\n\nprint(2)\n</tool_call>", False, "print(1)\n\nprint(2)"),
    ("openmath", "Try.\n<tool_call>\nprint(1)", True, None),
    ("llm-code", "<llm-code>\nprint(1)\n</llm-code>\n", False, "print(1)"),
    ("llm-code", "<llm-code>\nprint(1)\n</llm-code>\nThat prints 1.", False, None),
    ("llama3", "<|python_tag|>print(1)", True, "print(1)"),
    ("llama3", "<|python_tag|>print(1)", False, None),  # cut by a limit: the turn has not ended
    ("gpt-oss", "<|channel|>analysis to=python code<|message|>print(1)", True, "print(1)"),
    ("gpt-oss", "The answer is \\boxed{1}<|channel|>x to=python code<|message|>print(1)", True, None),
]


@pytest.mark.parametrize(("name", "text", "ended", "code"), TAGGED)
def test_tagged_code(name: str, text: str, ended: bool, code: str | None) -> None:
    assert FORMATS[name].code(text, ended=ended) == code


def test_a_blank_line_in_tagged_code_ends_no_step() -> None:
    for name, opening, closing in (
        ("openmath", "<tool_call>\n", "</tool_call>"),
        ("llm-code", "<llm-code>\n", "</llm-code>"),
        ("llama3", "<|python_tag|>", "<|eom_id|>"),
    ):
        tools = FORMATS[name]
        assert tools.is_open(f"Now\n{opening}a = 1")
        assert not tools.is_open(f"Now\n{opening}a = 1\n{closing}")
        assert not tools.is_open("Now")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Qwen/Qwen2.5-Math-7B-Instruct", "fenced"),
        ("llm-agents/tora-code-13b-v1.0", "fenced"),
        ("AI-MO/NuminaMath-7B-TIR", "fenced"),
        ("nvidia/OpenMath-Nemotron-14B", "openmath"),
        ("nvidia/OpenMath-CodeLlama-7b-Python-hf", "llm-code"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama3"),
        ("openai/gpt-oss-20b", "gpt-oss"),
        ("somebody/unknown", "fenced"),
    ],
)
def test_a_model_tells_its_format_by_its_name(name: str, expected: str) -> None:
    assert format_of([name]) == expected


def test_the_setting_goes_before_the_name() -> None:
    choose = chooser(Model("openai/gpt-oss-20b"), Model("Qwen2.5-0.5B"))
    assert choose(RSDSettings()) is None
    assert choose(RSDSettings(tools="python")) is FORMATS["gpt-oss"]
    assert choose(RSDSettings(tools="python", tool_format="fenced")) is FENCED
