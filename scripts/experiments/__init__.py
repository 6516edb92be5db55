"""The command `brushwork reproduce EXPERIMENT`."""

from brushwork.scripts.cli import run_command, run_script, run_subcommand

EXPERIMENTS = {
    "demo": "how good the network of `make demo` is, and how much runs differ",
    "across-collections": "does a preset work on collections that it was not tuned on?",
    "recipe": "what each part of the preset does",
    "small": "60 and 200 images of each style: augmentation, and starts from another run",
    "restyling": "what each part of the restyling preset does",
    "labels": "what a label is worth",
    "sensitivity": "which metric sees which fault",
    "agreement": "whether the metrics equal their reference implementations",
    "speed": "how fast training, sampling and loading are",
    "stylize": "how fast style transfer reaches the loss of published loops",
    "gpu": "how fast training is on a GPU, and what `train auto` reaches in eight minutes",
}
"""A line of help for each module here that is an experiment."""


def _run(name: str) -> None:
    run_script(f"experiments.{name.replace('-', '_')}")


def main() -> None:
    """Run the experiment that the command line names."""
    run_command(lambda: run_subcommand("brushwork reproduce", "experiment", EXPERIMENTS, _run))


if __name__ == "__main__":
    main()
