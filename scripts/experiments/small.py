"""What helps with 60 or 200 images of each style: augmentation, or a start from another run?"""

from typing import Annotated

from annotated_types import Interval

from brushwork.models.options import options
from brushwork.scripts.cli import parse_and_run
from brushwork.scripts.experiments.trainings import TrainingArguments, run_trainings


@options
class Arguments(TrainingArguments):
    """What helps with 60 or 200 images of each style: augmentation, or a start from another run?

    In runs of minutes, `train auto` is `default`, and `transfer-frozen` with `--start-from`. Four hours on
    two cores for each number of images; one of them, and a try:
        brushwork reproduce small
        brushwork reproduce small --images 60
        brushwork reproduce small --quick
    """

    collections: tuple[str, ...] = ("solar", "photographs")
    """Collections to train on."""
    images: tuple[Annotated[int, Interval(ge=0, le=10**6)], ...] = (60, 200)
    """Images of each style."""
    variants: tuple[str, ...] = ("default", "diffaugment", "ada", "transfer", "transfer-frozen")
    """Changes of the preset."""


def main() -> None:
    """Parse the command line and run the experiment."""
    parse_and_run(Arguments, lambda args: run_trainings("small", args))


if __name__ == "__main__":
    main()
