"""How good is the network that `make demo` trains, and how much do runs differ?"""

from brushwork.models.options import options
from brushwork.scripts.cli import parse_and_run
from brushwork.scripts.experiments.trainings import TrainingArguments, run_trainings


@options
class Arguments(TrainingArguments):
    """How good is the network that `make demo` trains, and how much do runs differ?

    The preset emoji-32 on six styles of emoji, in ten minutes of one core. Half an hour on two cores:
        brushwork reproduce demo
        brushwork reproduce demo --quick
    """


def main() -> None:
    """Parse the command line and run the experiment."""
    parse_and_run(Arguments, lambda args: run_trainings("demo", args))


if __name__ == "__main__":
    main()
