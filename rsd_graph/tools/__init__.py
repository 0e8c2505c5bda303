"""Code inside a solution: where it begins and ends, and how its output follows it."""
