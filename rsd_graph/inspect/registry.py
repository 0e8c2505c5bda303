"""Everything that inspect_ai finds here by name. Its entry point imports this module."""

from rsd_graph.inspect.provider import RSDModel
from rsd_graph.inspect.scorer import final_answer
from rsd_graph.inspect.solvers import SOLVERS
from rsd_graph.inspect.tasks import TASKS

__all__ = ["SOLVERS", "TASKS", "RSDModel", "final_answer"]
