"""How models write code that is to be run, and how they expect to see its output: one row a format.

- `fenced`: Qwen2.5-Math, ToRA, Numina. Run as Qwen's own evaluation does (`evaluation/math_eval.py` in
  https://github.com/QwenLM/Qwen2.5-Math).
- `openmath`, `llm-code`, `llama3`, `gpt-oss`: as the code tags of NVIDIA's NeMo-Skills have them
  (https://github.com/NVIDIA/NeMo-Skills, `nemo_skills/prompt/code_tags`).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from rsd_graph.errors import ConfigurationError
from rsd_graph.protocols import Named
from rsd_graph.settings import RSDSettings

AUTO = "auto"
"""The format of the model, told by its name."""

FENCE = "```"
OPENING = "```python"

PROMPT = (
    "Please integrate natural language reasoning with programs to solve the problem above, and put your final answer "
    "within \\boxed{}."
)
"""What Qwen2.5-Math is asked for tool-integrated reasoning."""


class ToolFormat(Protocol):
    """How a model's text holds code."""

    @property
    def names(self) -> str:
        """Regular expression for the names of its models; case is ignored."""
        ...

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts, beside the step delimiter, at which the model must stop."""
        ...

    @property
    def shows_control_tokens(self) -> bool:
        """Whether the model marks code with control tokens, which servers leave out of the text unless asked."""
        ...

    def is_open(self, text: str) -> bool:
        """Whether the text ends inside code, where a blank line ends no step.

        Args:
            text: What the models have written since the last output.
        """
        ...

    def code(self, text: str, *, ended: bool) -> str | None:
        """The code that the text asks to run; None if it asks for none.

        Args:
            text: As for `is_open`.
            ended: Whether the model has ended its turn there.
        """
        ...

    def marked(self, text: str, *, ended: bool) -> str:
        """A step with the marks that a server has left out of it, where that can be told.

        Args:
            text: The step.
            ended: As for `code`.
        """
        ...

    def answer(self, output: str) -> str:
        """What follows the code: its output, as the model expects to read it. Nothing in the output ends it early."""
        ...


@dataclass(frozen=True, slots=True)
class Fenced:
    """A Markdown block of Python, followed by a block called `output`."""

    names: str = r"qwen|tora|numina|mathstral|deepseek|llemma"
    stops: tuple[str, ...] = ("```output",)
    shows_control_tokens: bool = False

    def is_open(self, text: str) -> bool:
        """See `ToolFormat`. A block of any language counts."""
        is_open = False
        for line in text.split("\n"):
            if _opens(line):
                is_open = True
            elif line.startswith(FENCE):
                is_open = not is_open
        return is_open

    def code(self, text: str, *, ended: bool) -> str | None:  # noqa: ARG002  # a fence may come anywhere
        """See `ToolFormat`: the last block of Python, if a fence ends the text and no answer stands in it."""
        if "boxed" in text or not text.rstrip().endswith(FENCE):
            return None
        block: list[str] | None = None
        code: list[str] | None = None
        for line in text.rstrip().split("\n"):
            if _opens(line):
                block = code = []
            elif line.startswith(FENCE):
                block = None
            elif block is not None:
                block.append(line)
        return None if code is None or block is not None else "\n".join(code)

    def marked(self, text: str, *, ended: bool) -> str:  # noqa: ARG002  # of the protocol
        """See `ToolFormat`."""
        return text

    def answer(self, output: str) -> str:
        """See `ToolFormat`."""
        return f"\n```output\n{unmarked(output, (FENCE,))}\n```\n"


@dataclass(frozen=True, slots=True)
class Tagged:
    """Code between an opening and a closing mark."""

    names: str
    opening: str
    closing: str
    output: str
    """What follows the code, with `{}` where its output belongs."""
    stops: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    """What may not stand in an output, beside the marks of the code: it would end the output."""
    shows_control_tokens: bool = False
    ends_turn: bool = False
    """Whether the closing mark is a control token that ends the model's turn, and so is no part of its text."""

    def is_open(self, text: str) -> bool:
        """See `ToolFormat`."""
        _, opened, rest = text.rpartition(self.opening)
        return bool(opened) and self.closing not in rest

    def code(self, text: str, *, ended: bool) -> str | None:
        """See `ToolFormat`: the last block, if nothing follows it and no answer stands before it."""
        before, opened, rest = text.rpartition(self.opening)
        code, closed, after = rest.partition(self.closing)
        is_whole = ended if self.ends_turn else bool(closed)
        return code.strip("\n") if opened and is_whole and not after.strip() and "boxed" not in before else None

    def marked(self, text: str, *, ended: bool) -> str:  # noqa: ARG002  # of the protocol
        """See `ToolFormat`."""
        return text

    def answer(self, output: str) -> str:
        """See `ToolFormat`."""
        return self.output.replace("{}", unmarked(output, (self.opening, self.closing, *self.marks)))


FORMATS: dict[str, ToolFormat] = {
    "fenced": Fenced(),
    "openmath": Tagged(
        names=r"openmath-nemotron",
        opening="<tool_call>",
        closing="</tool_call>",
        output="\n```output\n{}\n```\n",
        stops=("```output",),
        marks=(FENCE,),
    ),
    "llm-code": Tagged(
        names=r"openmath-(codellama|mistral|llama)",
        opening="<llm-code>",
        closing="</llm-code>",
        output="\n<llm-code-output>\n{}\n</llm-code-output>\n",
        stops=("<llm-code-output>",),
        marks=("<llm-code-output>", "</llm-code-output>"),
    ),
    "llama3": Tagged(
        names=r"llama-?3",
        opening="<|python_tag|>",
        closing="<|eom_id|>",
        output="<|eom_id|><|start_header_id|>ipython<|end_header_id|>\n\ncompleted\n[stdout]\n{}\n[/stdout]<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        marks=("[/stdout]",),
        shows_control_tokens=True,
        ends_turn=True,
    ),
    "gpt-oss": Tagged(
        names=r"gpt-?oss",
        opening="to=python code<|message|>",
        closing="<|call|>",
        output="<|call|><|start|>python to=assistant<|channel|>analysis<|message|>{}<|end|><|start|>assistant",
        marks=("<|end|>",),
        shows_control_tokens=True,
        ends_turn=True,
    ),
}
"""All formats by name."""

DEFAULT = "fenced"


def format_of(names: Sequence[str]) -> str:
    """The format of the first of these models whose name tells it; `fenced` for names that tell nothing."""
    special_first = [name for name in FORMATS if name != DEFAULT]
    for model in names:
        for name in special_first:
            if re.search(FORMATS[name].names, model, re.IGNORECASE):
                return name
    return DEFAULT


Choose = Callable[[RSDSettings], ToolFormat | None]
"""The format of a run with these settings; None where no code is run."""


def chooser(*models: Named, calls: ToolFormat | None = None) -> Choose:
    """Chooses by the settings, and with `auto` by the names of the models, the one that counts first.

    Args:
        models: Those of the graph.
        calls: The format of calls, if the graph has tools of its own.
    """

    def choose(settings: RSDSettings) -> ToolFormat | None:
        if settings.tools == "off":
            return None
        if settings.tools == "functions":
            if calls is None:
                raise ConfigurationError("`tools` is functions, but the graph has none: make it with `tools=[...]`")
            return calls
        name = settings.tool_format
        return FORMATS[format_of([str(model.name) for model in models]) if name == AUTO else name]

    return choose


def no_tools(settings: RSDSettings) -> ToolFormat | None:  # noqa: ARG001  # a `Choose`
    """No code is run."""
    return None


def _opens(line: str) -> bool:
    return line.startswith(OPENING) or line.endswith(OPENING)


def shortened(text: str, longest: int) -> str:
    """The text, or both its ends if it has more characters than that."""
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]}...{text[-half:]}"


def unmarked(text: str, marks: Sequence[str]) -> str:
    """The text with none of these marks in it; it reads the same."""
    for mark in marks:
        text = text.replace(mark, _broken(mark))
    return text


def _broken(mark: str) -> str:
    """The mark with a zero-width space after its first character: it reads the same, and is none any more."""
    return f"{mark[0]}\u200b{mark[1:]}"
