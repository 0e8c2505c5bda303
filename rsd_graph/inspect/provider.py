"""RSD as a model of inspect_ai: any task runs on a pair, with `--model rsd/embedded` or `--model rsd/rsd.toml`."""

from collections.abc import Sequence
from typing import Any

from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput, modelapi
from inspect_ai.tool import ToolChoice, ToolInfo
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from rsd_graph.errors import ConfigurationError
from rsd_graph.inspect.backends import opened
from rsd_graph.inspect.options import read_options
from rsd_graph.inspect.solvers import STOP_REASONS
from rsd_graph.inspect.steps import Steps
from rsd_graph.inspect.usage import model_usage
from rsd_graph.settings import RSDSettings, with_fields
from rsd_graph.strategies.rsd import run

KINDS: dict[str, type[BaseMessage]] = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
READ = ("text", "reasoning")
"""Parts of a message: what an earlier answer thought is left out, as chat templates leave it out."""
SAMPLING = ("max_tokens", "temperature", "top_p", "seed")
"""Fields of inspect_ai's `GenerateConfig` that `RSDSettings` has too."""


@modelapi(name="rsd")
class RSDModel(ModelAPI):
    """RSD as a model.

    Args:
        model_name: A settings file that ends in `.toml`; by any other name, such as `embedded`, the models are those
            of `rsd.toml` in this folder, or else the embedded default.
        base_url: Not used: `draft`, `target` and `reward` take addresses.
        api_key: Not used: keys stand in the settings file.
        config: How to generate; its temperature, top-p, seed and token limit apply to the run.
        model_args: `draft`, `target`, `reward` and `preset` as on the command line of `rsd`, and fields of
            `RSDSettings`: `-M threshold=0.8`. A task says itself how to answer, so that without a `system_prompt`
            there, or in the settings file, RSD adds none; with `tools`, it adds the one that asks for programs.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008  # as inspect_ai's own providers
        **model_args: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        file = {"config": model_name} if model_name.endswith(".toml") else {}
        given = {**model_args, **file}
        self._chosen = read_options(given, defaults={"system_prompt": ""})  # the task has its own
        if self._chosen.settings.tools == "python":  # the usual prompt then says how to write programs
            self._chosen = read_options(given)

    async def generate(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,  # noqa: ARG002  # of the protocol
        config: GenerateConfig,
    ) -> ModelOutput:
        """Have the graph answer the last message, of the user.

        Raises:
            ConfigurationError: RSD cannot do justice to what is asked: tools, content that is no text, several choices;
                or the conversation does not end with the user.
            RSDError: a model or the reward could not answer.
        """
        if tools:
            raise ConfigurationError("RSD calls no tools: choose a task without them")
        if (config.num_choices or 1) > 1:
            raise ConfigurationError("RSD writes one answer at a time: ask for more by epochs, rather than num_choices")
        _require_text(input)
        models = await opened(self._chosen.config)
        settings = _sampled(self._chosen.settings, config)
        messages = [KINDS[each.role](each.text) for each in input]
        solved = await run(models, {"messages": messages}, settings, Steps(settings))
        text = solved["response"]
        for stop in config.stop_seqs or ():
            text = text.partition(stop)[0]
        reason = STOP_REASONS[solved["stop"]]
        output = ModelOutput.from_content(f"rsd/{self.model_name}", text, stop_reason=reason)
        usage = solved["usage"]
        output.usage = model_usage(usage.draft + usage.target + usage.reward)
        return output


def _require_text(conversation: Sequence[ChatMessage]) -> None:
    if not conversation or conversation[-1].role != "user":
        raise ConfigurationError("the conversation must end with a message of the user, which is the problem")
    for message in conversation:
        if message.role not in KINDS:
            raise ConfigurationError(
                f"RSD calls no tools, and the conversation has a message of the role {message.role}"
            )
        for part in () if isinstance(message.content, str) else message.content:
            if part.type not in READ:  # an answer without it would be graded as if the model had seen it
                raise ConfigurationError(
                    f"RSD reads text alone, and the {message.role}'s message has a part of type {part.type}"
                )


def _sampled(settings: RSDSettings, config: GenerateConfig) -> RSDSettings:
    given = {name: value for name in SAMPLING if (value := getattr(config, name)) is not None}
    return with_fields(settings, given) if given else settings
