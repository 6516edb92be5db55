"""Options of `brushwork tune`. This module needs no Optuna."""

from brushwork.models.options import Count, Duration, options


@options
class TuningConfig:
    """A search for better settings of a preset. Each trial is measured four times, and pruned if it is worse
    than the median of the others at the same measurement."""

    trials: Count = 20
    """Trials to finish, those of earlier calls included: a larger number continues the study."""
    trial_kimg: Duration | None = None
    """Length of a trial in thousands of images; the growing schedule is scaled with it. None: total_kimg."""
    search: tuple[str, ...] = ()
    """Fields and their ranges or choices: optimizer.generator_lr=0.001:0.03 batch=8,16,32."""
    defaults: bool = True
    """Search the learning rates, the R1 weight, the batch and the restyling weights, too; off: only what
    --search names."""
