"""Runs Python that nobody has read, behind walls that are tried out first."""

from rsd_graph.errors import SandboxError
from rsd_graph.sandbox.limits import Limits
from rsd_graph.sandbox.local import LocalSandbox, default_sandbox
from rsd_graph.sandbox.protocols import Execution, Sandbox, Session

__all__ = ["Execution", "Limits", "LocalSandbox", "Sandbox", "SandboxError", "Session", "default_sandbox"]
