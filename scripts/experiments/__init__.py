"""Experiments that docs/ reports, one script each."""
