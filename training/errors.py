"""The exceptions by which `training` tells a user what to mend."""

from pathlib import Path


class TrainingError(Exception):
    """A configuration, run folder or checkpoint that cannot be used: one sentence, value and remedy."""


class Diverged(TrainingError):
    """A run whose numbers are no longer finite: a matter of its settings, which another may do better."""


def diverged(what: str, nimg: int, *, rates: tuple[float, float], start_from: Path | None) -> Diverged:
    """The error of a run whose numbers are no longer finite after `nimg` images.

    Args:
        rates: the learning rates of generator and discriminator.
        start_from: the run, if it has left a snapshot that another can start from.
    """
    options = [f"--start-from {start_from}"] if start_from else []
    options += [
        f"--optimizer.generator-lr {rates[0] / 4:g}",
        f"--optimizer.discriminator-lr {rates[1] / 4:g}",
    ]
    return Diverged(
        f"the {what} at {nimg / 1000:.1f} kimg: the run diverged. Begin another one that learns more slowly: "
        f"--out ANOTHER {' '.join(options)}."
    )
