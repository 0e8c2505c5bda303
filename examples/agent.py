"""The graph as a tool beside others, in an agent of LangChain (`pip install langchain`).

python examples/agent.py                                # a script stands in for the agent's own model
python examples/agent.py --model openai:gpt-5-mini      # any model that calls tools
python examples/agent.py --fake                         # the solver's models are scripted too: no weights, at once
"""

import argparse
from typing import Any

from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from solve import PROBLEM, embedded_models, fake_models

from rsd_graph import create_rsd_graph
from rsd_graph.agents import as_tool


@tool
def remember(fact: str) -> str:
    """Keep a fact for later."""
    return f"kept: {fact}"


class Script(GenericFakeChatModel):
    """A model that calls tools as its script says."""

    def bind_tools(self, *_: Any, **__: Any) -> Any:
        """Whatever the tools are."""
        return self


def scripted() -> BaseChatModel:
    def call(name: str, **arguments: str) -> AIMessage:
        return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": name}])

    said = [call("solve_problem", problem=PROBLEM), call("remember", fact="Natalia sells clips"), AIMessage("Done.")]
    return Script(messages=iter(said))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="the agent's own model, as `init_chat_model` takes it")
    parser.add_argument("--fake", action="store_true", help="use scripted models")
    options = parser.parse_args()
    graph = create_rsd_graph(*(fake_models() if options.fake else embedded_models()))
    model = init_chat_model(options.model) if options.model else scripted()
    agent = create_agent(model, [as_tool(graph, settings={"max_steps": 30}), remember])
    for message in agent.invoke({"messages": [HumanMessage(PROBLEM)]})["messages"]:
        message.pretty_print()


if __name__ == "__main__":
    main()
