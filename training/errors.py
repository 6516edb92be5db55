"""Exceptions of `training`, each with one sentence for the user."""


class TrainingError(Exception):
    """A configuration, run folder or checkpoint that cannot be used: one sentence, value and remedy."""


class Diverged(TrainingError):
    """The numbers of a run are no longer finite."""
