"""The one exception by which `training` tells a user what to mend."""


class TrainingError(Exception):
    """A configuration, run folder or checkpoint that cannot be used: one sentence, value and remedy."""


def diverged(what: str, nimg: int) -> TrainingError:
    """The error of a run whose numbers are no longer finite after `nimg` images."""
    return TrainingError(
        f"the {what} at {nimg / 1000:.1f} kimg; the last checkpoint is kept. "
        "Resume it with a lower learning rate in a new run, or raise loss.r1_gamma."
    )
