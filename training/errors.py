"""The one exception by which `training` tells a user what to mend."""


class TrainingError(Exception):
    """A configuration, run folder or checkpoint that cannot be used: one sentence, value and remedy."""
