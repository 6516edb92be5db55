"""What does each part of the restyling preset do?"""

from brushwork.models.options import options
from brushwork.scripts.cli import parse_and_run
from brushwork.scripts.experiments.trainings import TrainingArguments, run_trainings


@options
class Arguments(TrainingArguments):
    """What does each part of the restyling preset do? One part at a time is left out.

    `paired` trains on pairs of one subject in two styles: an upper bound. Two hours on two cores, and a try:
        brushwork reproduce restyling
        brushwork reproduce restyling --quick
    """

    preset: str = "emoji-32-restyle"
    """Name of a preset of `brushwork train` with encoders."""
    variants: tuple[str, ...] = (
        "default",
        "no-classifier",
        "no-cycle",
        "no-details",
        "no-autoencoding",
        "paired",
    )
    """Changes of the preset."""


def main() -> None:
    """Parse the command line and run the experiment."""
    parse_and_run(Arguments, lambda args: run_trainings("restyling", args))


if __name__ == "__main__":
    main()
