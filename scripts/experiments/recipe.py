"""What does each part of the preset do?"""

from brushwork.models.options import options
from brushwork.scripts.cli import parse_and_run
from brushwork.scripts.experiments.trainings import TrainingArguments, run_trainings


@options
class Arguments(TrainingArguments):
    """What does each part of the preset do? One part at a time is as it was before, or as others have it.

    `logistic` is the logistic loss with R1 alone, `average-deviation` one minibatch deviation for all
    features, `small-epsilon` StyleGAN's epsilon in AdaIN. Seven hours on two cores; one
    collection, and a try:
        brushwork reproduce recipe
        brushwork reproduce recipe --collections solar
        brushwork reproduce recipe --quick
    """

    collections: tuple[str, ...] = ("emoji", "solar")
    """Collections to train on."""
    variants: tuple[str, ...] = (
        "default", "logistic", "average-deviation", "small-epsilon", "alternating", "one-resolution",
        "modulated",
    )  # fmt: skip
    """Changes of the preset."""


def main() -> None:
    """Parse the command line and run the experiment."""
    parse_and_run(Arguments, lambda args: run_trainings("recipe", args))


if __name__ == "__main__":
    main()
