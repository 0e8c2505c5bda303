"""Evaluate rewards and calibrate them. Needs the extra `eval`.

`scoring` has a reward score recorded solutions, `summary` says in numbers how well it did (`metrics`), `drawing` draws
that, and `calibration` fits a reward to outcomes.
"""
