"""Measure rewards and calibrate them. Needs the extra `eval`."""
