"""`python -m rsd_graph.cli`, the same as `rsd`."""

from rsd_graph.cli import app

app()
