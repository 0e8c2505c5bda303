"""Plumbing that nobody imports from outside."""
