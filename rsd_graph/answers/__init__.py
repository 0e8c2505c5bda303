"""The final answer: extracted from a response, and compared with a reference answer."""

from rsd_graph.answers.compare import same_answer
from rsd_graph.answers.extract import extract_answer

__all__ = ["extract_answer", "same_answer"]
