"""Pairs of a content and an output: read, measured, compared with the real drawing."""
