"""A model provider of inspect_ai: any task runs on a pair, `--model rsd/embedded` or `-M config=rsd.toml`."""

from typing import Any

from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput, modelapi
from inspect_ai.tool import ToolChoice, ToolInfo


@modelapi(name="rsd")
class RSDModel(ModelAPI):
    """RSD as a model."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008  # as inspect_ai's own providers
        **model_args: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)

    async def generate(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,  # noqa: A002
    ) -> ModelOutput:
        """Not yet."""
        raise NotImplementedError
