"""Ways to decode, one file per strategy."""
