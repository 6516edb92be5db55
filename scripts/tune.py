"""The command `brushwork tune`."""

import os
import sys
from dataclasses import field, replace
from pathlib import Path
from typing import Annotated

import tyro

from brushwork.data.loader import open_dataset
from brushwork.models.options import options
from brushwork.scripts.arguments import configured
from brushwork.scripts.cli import run_command
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.preset_files import read_preset
from brushwork.training.presets import PRESETS
from brushwork.training.run.metrics import InLoopMetrics
from brushwork.training.tune.config import TuningConfig

DESCRIPTION = """Search better settings of a preset, or of FILE.json, by short trainings.

Options of brushwork train apply to every trial; the search optimises the metric --metrics.best-by. The same
command again continues the study in --out. Examples, minutes on a CPU:
    brushwork tune toy --data datasets/emoji-16 --trials 10 --metrics.per-style 20
    brushwork tune emoji-32 --data datasets/emoji-32 --trials 12 --trial-kimg 4 --metrics.per-style 50
    brushwork tune emoji-32 --no-defaults --search optimizer.generator_lr=0.003:0.03 batch=8,16,32
"""


@options
class TuneArguments:
    """A study and the preset that it starts from."""

    tuning: Annotated[TuningConfig, tyro.conf.arg(name="")] = field(default_factory=TuningConfig)
    base: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def tune_command(args: TuneArguments) -> None:
    """Search, then print the trials and how to train with the best one."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise TrainingError("brushwork tune runs in one process; start it without a launcher.")
    import optuna

    from brushwork.training.tune.search import train_on, trial_line, tune

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    images = open_dataset(args.base.data, "train", args.base.loader.cache)
    metrics = InLoopMetrics(args.base.metrics, args.base.data)
    result = tune(args.base, args.tuning, metrics, train_on(images), images.fingerprint)
    plan, best = result.plan, result.best
    if result.signal is not None:
        print(f"stopped by signal {result.signal}: the same command goes on (study {plan.base.out})")
        sys.exit(128 + result.signal)
    if best is None:
        print("no trial was completed: lower the learning rates, or raise loss.r1_gamma")
    else:
        print(f"best: {trial_line(best, plan.metric)}\nall trials: {plan.base.out / 'trials.csv'}")
        print(f"train with it: brushwork train {plan.base.out / 'best.json'}")


def tunable() -> dict[str, tuple[str, TuneArguments]]:
    """Return the presets, each with a folder for its study."""
    return {
        name: (words, TuneArguments(base=replace(config, out=Path(f"runs/tune-{name}"))))
        for name, (words, config) in PRESETS.items()
    }


def from_file(path: Path) -> TuneArguments:
    """Read a configuration file, and add a folder for its study."""
    return TuneArguments(base=replace(read_preset(path), out=Path(f"runs/tune-{path.stem}")))


def main() -> None:
    """Parse the command line, a preset or a file, then options; and search."""
    run_command(lambda: tune_command(configured(tunable(), from_file, DESCRIPTION)))


if __name__ == "__main__":
    main()
