"""The command `brushwork tune`."""

import os
import sys
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from brushwork.data.files import write_file
from brushwork.data.loader import open_pictures
from brushwork.models.options import options
from brushwork.scripts.cli import run_command
from brushwork.scripts.configured import configured
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.preset_files import read_preset
from brushwork.training.presets import PRESETS
from brushwork.training.run.metrics import InLoopMetrics
from brushwork.training.tune.plan import TuningConfig

if TYPE_CHECKING:
    from brushwork.training.tune.search import Tuned

DESCRIPTION = """Search better settings of a preset, or of FILE.json, by short trainings.

Every option of brushwork train holds for all trials; --metrics.best-by is the figure that is searched by. The
same command again goes on with the study in --out. Examples, minutes on a CPU:
    brushwork tune toy --data datasets/toy-16 --trials 10 --metrics.per-style 20
    brushwork tune emoji-32 --data datasets/emoji-32 --trials 12 --trial-kimg 4 --metrics.per-style 50
    brushwork tune emoji-32 --no-defaults --search optimizer.generator_lr=0.003:0.03 batch=8,16,32
"""


@options
class TuneArguments:
    """A study and the preset that it starts from."""

    tuning: Annotated[TuningConfig, tyro.conf.arg(name="")] = field(default_factory=TuningConfig)
    base: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def tune_command(args: TuneArguments) -> "Tuned":
    """Searches, and says what was found and how to train with it."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise TrainingError("brushwork tune runs in one process; start it without a launcher.")
    try:
        import optuna

        from brushwork.training.tune.search import training_on, tune
    except ModuleNotFoundError as error:
        raise TrainingError("Tuning needs Optuna: pip install 'brushwork[tune]'.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pictures = open_pictures(args.base.data, "train", args.base.loader.cache)
    metrics = InLoopMetrics(args.base.metrics, args.base.data)
    tuned = tune(args.base, args.tuning, metrics, training_on(pictures), pictures.fingerprint)
    report(tuned)
    return tuned


def report(tuned: "Tuned") -> None:
    """Prints the table, draws the picture, and says how to go on."""
    from brushwork.training.tune.report import importance_lines, trial_table, tuning_picture

    plan, best = tuned.plan, tuned.best
    if tuned.records:
        print(trial_table(tuned.records, best, [each.name for each in plan.space], plan.figure))
    if tuned.importances:
        print("\n" + importance_lines(tuned.importances))
    picture = tuning_picture(tuned.records, plan.space, plan.figure, plan.better)
    if picture is not None:
        write_file(plan.folder / "tuning.png", picture)
    if tuned.signal is not None:
        print(f"stopped by signal {tuned.signal}: the same command goes on (study {plan.folder})")
    elif best is None:
        print("no trial was completed: lower the learning rates, or raise loss.r1_gamma")
    else:
        print(f"best: trial {best.number}, {plan.figure} {best.value:.4g}; see {plan.folder / 'tuning.png'}")
        print(f"train with it: brushwork train {plan.folder / 'best.json'}")


def tunable() -> dict[str, tuple[str, TuneArguments]]:
    """The presets, each with a folder for its study."""
    return {
        name: (words, TuneArguments(base=replace(config, out=Path(f"runs/tune-{name}"))))
        for name, (words, config) in PRESETS.items()
    }


def from_file(path: Path) -> TuneArguments:
    """A configuration file, with a folder for its study beside the others."""
    return TuneArguments(base=replace(read_preset(path), out=Path(f"runs/tune-{path.stem}")))


def main() -> None:
    """Parses the command line: a preset or a file, then options."""

    def search() -> None:
        tuned = tune_command(configured(tunable(), from_file, DESCRIPTION))
        if tuned.signal is not None:
            sys.exit(128 + tuned.signal)

    run_command(search)


if __name__ == "__main__":
    main()
