"""`python -m rsd_graph.cli`, which is `rsd`."""

from rsd_graph.cli import app

app()
