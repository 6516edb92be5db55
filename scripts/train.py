"""Train a style-conditional StyleGAN."""

import sys
from collections.abc import Callable
from pathlib import Path

from brushwork.data.loader import open_pictures
from brushwork.eval.collapse import ADVICE
from brushwork.scripts.cli import run_command
from brushwork.scripts.configured import configured
from brushwork.training.config import TrainConfig
from brushwork.training.preset_files import read_preset
from brushwork.training.presets import PRESETS, Presets
from brushwork.training.run.metrics import InLoopMetrics
from brushwork.training.run.progress import clock
from brushwork.training.trainer import Outcome, Trainer

DESCRIPTION = """Train a style-conditional StyleGAN from a preset, or from FILE.json: what tuning wrote, or
the config.json of a run. Every option overrides it.

On a processor in ten minutes, on the GPUs of a machine, and what tuning found to be best:
    brushwork train emoji-32 --data datasets/emoji-32 --max-minutes 10
    accelerate launch scripts/train.py emoji-64 --data datasets/emoji-64
    brushwork train runs/tune-emoji-32/best.json
"""


def train_command(config: TrainConfig) -> Outcome:
    """Trains, and says at the end where everything lies."""
    pictures = open_pictures(config.data, "train", config.loader.cache)
    metrics = InLoopMetrics(config.metrics, config.data)
    trainer = Trainer(config, pictures, metrics=metrics)
    outcome = trainer.run()
    if trainer.accelerator.is_main_process:
        print(last_line(outcome, config.out))
        if outcome.warning:
            print(f"{outcome.warning}; {ADVICE}.")
    return outcome


def last_line(outcome: Outcome, run: Path) -> str:
    """What became of the run, and how to go on."""
    at = f"at {outcome.nimg / 1000:.1f} kimg and {outcome.resolution} px, in {clock(outcome.seconds)}"
    if outcome.signal is not None:
        return f"stopped by signal {outcome.signal} {at}; checkpoint written: go on with --resume (run {run})"
    why = {"finished": "finished", "time": "time is up", "collapse": "stopped by --stop-on-collapse"}[
        outcome.reason
    ]
    return f"{why} {at}: samples in {run / 'samples'}, snapshot in {run / 'snapshots'}"


def launch(presets: Presets, from_file: Callable[[Path], TrainConfig], description: str) -> None:
    """Parses the command line, a preset or a file and then options, and trains."""

    def train() -> None:
        outcome = train_command(configured(presets, from_file, description))
        if outcome.signal is not None:
            sys.exit(128 + outcome.signal)
        if outcome.reason == "collapse":
            sys.exit(3)

    run_command(train)


def main() -> None:
    """Trains from any preset."""
    launch(PRESETS, read_preset, DESCRIPTION)


if __name__ == "__main__":
    main()
