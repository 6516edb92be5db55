"""The command `brushwork reproduce EXPERIMENT`."""

from brushwork.scripts.cli import run_command, run_script, run_subcommand

EXPERIMENTS = {
    "small": "60 and 200 images of each style: augmentation, and starts from another run",
    "gpu": "what `train auto` reaches on a GPU in eight minutes",
    "across-collections": "variants of a preset on several collections",
    "sensitivity": "which metric sees which fault",
    "agreement": "whether the metrics equal their reference implementations",
}
"""A line of help for each module here that is an experiment."""


def _run(name: str) -> None:
    run_script(f"experiments.{name.replace('-', '_')}")


def main() -> None:
    """Run the experiment that the command line names."""
    run_command(lambda: run_subcommand("brushwork reproduce", "experiment", EXPERIMENTS, _run))


if __name__ == "__main__":
    main()
