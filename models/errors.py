"""The one exception by which `models` tells a user what to mend."""


class ModelError(Exception):
    """A resolution, style or snapshot that cannot be used: one sentence with the value and the remedy."""
