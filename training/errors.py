"""Exceptions of `training`, each with one sentence for the user."""

from pathlib import Path


class TrainingError(Exception):
    """A configuration, run folder or checkpoint that cannot be used: one sentence, value and remedy."""


class Diverged(TrainingError):
    """The numbers of a run are no longer finite."""


def diverged(what: str, nimg: int, *, rates: tuple[float, float], start_from: Path | None) -> Diverged:
    """The error of a run that diverged after `nimg` images, with the options of a new run.

    Args:
        rates: learning rates of generator and discriminator.
        start_from: the run folder, if it holds a snapshot.
    """
    options = [f"--start-from {start_from}"] if start_from else []
    options += [
        f"--optimizer.generator-lr {rates[0] / 4:g}",
        f"--optimizer.discriminator-lr {rates[1] / 4:g}",
    ]
    return Diverged(
        f"the {what} at {nimg / 1000:.1f} kimg: the run diverged. Start a new run with lower learning rates: "
        f"--out ANOTHER {' '.join(options)}."
    )
