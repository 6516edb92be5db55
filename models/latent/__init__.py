"""Directions in the space of style codes."""
