"""Runtimes: one file for each kind of server or engine and each job it does. Imported only when used."""

from rsd_graph.protocols import StepGenerator

__all__ = ["StepGenerator"]
