"""Frozen networks with published weights, and where their files come from."""
