"""The graph as a chat model, in a chain: prompt | model | parser.

python examples/chain.py
python examples/chain.py --fake      # scripted models: no weights, at once
"""

import sys

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from solve import embedded_models, fake_models

from rsd_graph import create_rsd_graph
from rsd_graph.agents import ChatRSD
from rsd_graph.answers import extract_answer

PROMPT = "{name} sold {number} clips in April and half as many in May. How many in all?"


def main() -> None:
    graph = create_rsd_graph(*(fake_models() if "--fake" in sys.argv else embedded_models()))
    model = ChatRSD(graph=graph, max_tokens=400)
    chain = ChatPromptTemplate.from_template(PROMPT) | model.bind(threshold=0.6) | StrOutputParser()
    response = ""
    for piece in chain.stream({"name": "Natalia", "number": 48}):
        response += piece
        print(piece, end="", flush=True)
    print(f"\nanswer: {extract_answer(response)}")


if __name__ == "__main__":
    main()
