"""Searching settings by short trainings."""
