"""The command `brushwork reproduce EXPERIMENT`."""

from brushwork.scripts.cli import run_command, run_script, run_subcommand

EXPERIMENTS = {
    "demo": "how good is the network of `make demo`, and how much do runs differ? (half an hour)",
    "across-collections": "does a preset work on what it was not tuned on? (an hour and a half)",
    "recipe": "what does each part of the preset do? (seven hours)",
    "small": "60 and 200 images a style: what do augmentation and another run's start help? (eight hours)",
    "restyling": "what does each part of the restyling preset do? (two hours)",
    "labels": "what is a label worth? (an hour)",
    "inversion": "how near do inverted pictures come, and are codes found again? (half an hour)",
    "sensitivity": "which metric sees which fault? (ten minutes)",
    "agreement": "do the metrics equal their reference implementations? (a quarter of an hour)",
    "speed": "how fast are training, sampling and loading? (a quarter of an hour)",
    "stylize": "how fast does style transfer reach the loss of published loops? (an hour)",
    "gpu": "how fast is training on a GPU, and what does `train auto` reach? (eight minutes)",
}
"""A line of help for each module here that is an experiment, with its time on two cores."""


def _run(name: str) -> None:
    run_script(f"experiments.{name.replace('-', '_')}")


def main() -> None:
    """Run the experiment that the command line names."""
    run_command(lambda: run_subcommand("brushwork reproduce", "experiment", EXPERIMENTS, _run))


if __name__ == "__main__":
    main()
