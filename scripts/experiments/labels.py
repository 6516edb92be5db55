"""What is a label worth?"""

from brushwork.models.options import options
from brushwork.scripts.cli import parse_and_run
from brushwork.scripts.experiments.trainings import TrainingArguments, run_trainings


@options
class Arguments(TrainingArguments):
    """What is a label worth? A tenth of the images of each style keeps its label.

    `one-label-in-ten` trains on the rest without a style, `guessed-labels` under the style of which a
    classifier is sure. An hour and a half on two cores, and a try:
        brushwork reproduce labels
        brushwork reproduce labels --quick
    """

    variants: tuple[str, ...] = ("default", "one-label-in-ten", "guessed-labels")
    """Changes of the preset."""


def main() -> None:
    """Parse the command line and run the experiment."""
    parse_and_run(Arguments, lambda args: run_trainings("labels", args))


if __name__ == "__main__":
    main()
