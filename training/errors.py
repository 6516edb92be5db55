"""The exceptions by which `training` tells a user what to mend."""


class TrainingError(Exception):
    """A configuration, run folder or checkpoint that cannot be used: one sentence, value and remedy."""


class Diverged(TrainingError):
    """A run whose numbers are no longer finite: a matter of its settings, which another may do better."""


def diverged(what: str, nimg: int) -> Diverged:
    """The error of a run whose numbers are no longer finite after `nimg` images."""
    return Diverged(
        f"the {what} at {nimg / 1000:.1f} kimg; the last checkpoint is kept. "
        "Resume it with a lower learning rate in a new run, or raise loss.r1_gamma."
    )
