"""The exception that `models` raises for mistakes of a user."""


class ModelError(Exception):
    """A resolution, style or snapshot that cannot be used: one sentence with the value and the remedy."""
