"""LangChain's standard tests of chat models. docs/embedding.md lists what is switched off, and why.

With `RSD_TEST_PAIR=1`, the integration tests run on the embedded pair, which they download: half an hour on two cores.
"""

import os
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from rsd_graph import Generation, RSDSettings, create_rsd_graph
from rsd_graph.agents import ChatRSD
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp
from rsd_graph.models.weights import DRAFT, TARGET
from rsd_graph.rewards.confidence import ConfidenceReward
from rsd_graph.testing import ScriptedModel, ScriptedReward

PAIR = bool(os.environ.get("RSD_TEST_PAIR"))


class TestUnit(ChatModelUnitTests):
    """The unit tests, on a scripted graph."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatRSD

    @property
    def chat_model_params(self) -> dict[str, Any]:
        model = ScriptedModel([Generation("Hello.", "eos")])
        return {"graph": create_rsd_graph(model, model, ScriptedReward([1.0]))}


class TestIntegration(ChatModelIntegrationTests):
    """The integration tests, on weights that llama.cpp runs in this process: small ones, or the embedded pair's."""

    graph: Any = None

    @pytest.fixture(autouse=True)
    def _graph(self, digit_weights: Path) -> None:
        if TestIntegration.graph is None and PAIR:
            draft, target = (EmbeddedLlamaCpp(weights, slots=2, context=2048) for weights in (DRAFT, TARGET))
            TestIntegration.graph = create_rsd_graph(draft, target, ConfidenceReward())
        elif TestIntegration.graph is None:
            model = EmbeddedLlamaCpp(digit_weights, slots=2, context=512, threads=1)
            settings = RSDSettings(max_step_tokens=4)
            TestIntegration.graph = create_rsd_graph(model, model, ConfidenceReward(), settings=settings)

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatRSD

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"graph": TestIntegration.graph, "max_tokens": 48 if PAIR else 8}

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "rsd-by-another-name"

    @property
    def supported_usage_metadata_details(self) -> Any:
        return {"invoke": ["cache_read_input"], "stream": ["cache_read_input"]}

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> Any:
        model = ChatRSD(**self.chat_model_params)
        if not stream:
            return model.invoke("Hello")
        chunks = list(model.stream("Hello"))
        return sum(chunks[1:], chunks[0])
