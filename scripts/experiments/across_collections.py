"""Does a preset work on collections that it was not tuned on?"""

from brushwork.models.options import options
from brushwork.scripts.cli import parse_and_run
from brushwork.scripts.experiments.trainings import TrainingArguments, run_trainings


@options
class Arguments(TrainingArguments):
    """Does a preset work on collections that it was not tuned on?

    A preset on icons, photographs and drawn modes. Two hours on two cores; and another preset, and a try:
        brushwork reproduce across-collections
        brushwork reproduce across-collections --collections mingcute --seeds 1
        brushwork reproduce across-collections --quick
    """

    collections: tuple[str, ...] = ("emoji", "solar", "photographs", "modes")
    """Collections to train on; mingcute is one on which no default was tuned."""


def main() -> None:
    """Parse the command line and run the experiment."""
    parse_and_run(Arguments, lambda args: run_trainings("across-collections", args))


if __name__ == "__main__":
    main()
