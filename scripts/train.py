"""Train a style-conditional StyleGAN."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from brushwork.data.dataset import DATASET_JSON
from brushwork.data.loader import open_dataset
from brushwork.eval.processes import Processes
from brushwork.eval.results import ADVICE
from brushwork.models.options import resolve_device
from brushwork.scripts.arguments import Presets, configured, parse
from brushwork.scripts.cli import run_command
from brushwork.training.auto.choose import REQUEST, choose
from brushwork.training.auto.explain import explain
from brushwork.training.auto.facts import Collection, Machine
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.prepare.transfer import Source
from brushwork.training.preset_files import read_preset
from brushwork.training.presets import PRESETS
from brushwork.training.run.metrics import InLoopMetrics
from brushwork.training.run.progress import clock, seen
from brushwork.training.run.run_folder import RunFolder
from brushwork.training.trainer import Outcome, Trainer, measured_rates

DESCRIPTION = """Train a style-conditional StyleGAN: by `auto`, which chooses for your images, machine and
minutes; from a preset; or from FILE.json: the best.json of `brushwork tune`, or the config.json of a run.
Options override it.

Your own images in half an hour, on the GPUs of a machine, and with the settings of an earlier run:
    brushwork train auto --data datasets/mine --max-minutes 30
    accelerate launch scripts/train.py emoji-32 --data datasets/emoji-32 --out runs/gpus
    brushwork train runs/demo/config.json --out runs/again --seed 1
"""


def train_command(config: TrainConfig) -> Outcome:
    """Train and print how the run ended.

    Raises:
        TrainingError: the run folder is a packed data set, or inside one.
    """
    for folder in (config.out.absolute(), *config.out.absolute().parents):
        if (folder / DATASET_JSON).is_file():
            raise TrainingError(
                f"--out {config.out} lies in the packed data set {folder}, and packing that again would "
                "delete the run: name another folder."
            )
    images = open_dataset(config.data, "train", config.loader.cache)
    trainer = Trainer(config, images, metrics=InLoopMetrics(config.metrics, config.data))
    outcome = trainer.run()
    if trainer.accelerator.is_main_process:
        print(last_line(outcome, config.out))
        if outcome.warning:
            print(f"{outcome.warning}; {ADVICE}.")
    return outcome


def last_line(outcome: Outcome, run: Path) -> str:
    """Return a line on how the run ended, and where the results are or how to resume."""
    at = f"at {seen(outcome.nimg)} and {outcome.resolution} px, in {clock(outcome.seconds)}"
    if outcome.reason == "signal":
        return f"stopped by signal {outcome.signal} {at}; checkpoint written: go on with --resume (run {run})"
    ends = {
        "finished": "finished", "time": "time is up", "collapse": "stopped by --stop-on-collapse",
        "patience": f"stopped by --patience, since {outcome.gave_up},",
    }  # fmt: skip
    return f"{ends[outcome.reason]} {at}: samples in {run / 'samples'}, snapshot in {run / 'snapshots'}"


def launch(presets: Presets[TrainConfig], from_file: Callable[[Path], TrainConfig], description: str) -> None:
    """Parse the command line (a preset or a file, then options) and train.

    The exit code is 128 plus the signal after a signal, and 3 after a collapse.
    """

    def train() -> None:
        outcome = train_command(configured(presets, from_file, description))
        if outcome.signal is not None:
            sys.exit(128 + outcome.signal)
        if outcome.reason == "collapse":
            sys.exit(3)

    run_command(train)


def auto_config(words: Sequence[str]) -> TrainConfig:
    """Choose a configuration for the data set, the machine and the time of the options, and print why.

    With `--resume`, return that of the run, if there is one.

    Raises:
        TrainingError: no data set is named, the folder holds a run already, or no batch fits into the memory.
        DataError, ModelError: the data set cannot be read, or `--start-from` cannot.
    """

    def overridden(config: TrainConfig) -> TrainConfig:
        return parse(
            TrainConfig, default=config, words=words, prog=f"{sys.argv[0]} auto", full_help="--help-all"
        )

    request = overridden(REQUEST)
    if request.data == REQUEST.data:
        raise TrainingError("--data is missing: name your packed data set, --data datasets/mine.")
    images = open_dataset(request.data, "train", request.loader.cache)
    if request.out == REQUEST.out:
        request = replace(request, out=Path("runs", request.data.absolute().name))
    folder = RunFolder(request.out)
    if request.resume and folder.holds_run:
        return replace(read_preset(folder.config_file), out=request.out)
    folder.require_free()
    source = Source.load(request.start_from) if request.start_from else None
    if source is not None:
        source.require_shape(request.fitted_to(images).generator)
    choice = choose(
        request, Collection.of(request.data, images), Machine.of(resolve_device(request.device)), source,
        overridden, lambda config: measured_rates(config, images),
    )  # fmt: skip
    if Processes.joined().main:
        print(f"{explain(choice)}\nThe configuration: {folder.config_file}", flush=True)
    return choice.config


AUTO: Presets[TrainConfig] = {"auto": ("chosen for your images, machine and minutes", auto_config)}


def main() -> None:
    """Train by `auto` or from any preset."""
    launch({**AUTO, **PRESETS}, read_preset, DESCRIPTION)


if __name__ == "__main__":
    main()
