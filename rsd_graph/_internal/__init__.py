"""Plumbing that no code outside this repository imports."""
