"""A plug-in for inspect_ai (https://inspect.aisi.org.uk): tasks, solvers, a scorer and a model provider.

It is found by its entry point: with the extra `eval` installed, `inspect eval rsd_graph/gsm8k --solver rsd_graph/rsd`
works. `registry` names everything that it offers.
"""
