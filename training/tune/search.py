"""Tuning: short trainings of one preset with other settings, each measured, the poor ones cut short."""

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import optuna
import torch
from tqdm import tqdm

from brushwork.data.loader import Pictures, StoredPictures
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.stage import Stage

from ..config import TrainConfig
from ..errors import Diverged
from ..preset_files import write_preset
from ..run.metrics import InLoopMetrics
from ..trainer import Outcome, Trainer
from .plan import Plan, TuningConfig, identity_of, measurements, plan_of
from .report import trial_line, write_csv
from .search_space import assigned, value_of
from .study import (
    Record,
    begin_with,
    best_of,
    end_trial,
    give_up,
    importances,
    next_trial,
    opened,
    put_back_cut,
    records,
)


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What a search has found so far."""

    plan: Plan
    records: list[Record]
    best: Record | None
    importances: dict[str, float]
    signal: int | None
    """What stopped it before it was finished."""


# Trials
class Pruned(Exception):
    """The trial is not worth going on with."""


class TrialMetrics(InLoopMetrics):
    """Measures with what all trials share, tells the study, and cuts a poor trial short.

    Raises Pruned, or Diverged where there is nothing left to measure.
    """

    def __init__(self, shared: InLoopMetrics, trial: optuna.Trial, *, figure: str, count: int) -> None:
        super().__init__(shared.config, shared.data)
        self.shared, self.trial, self.figure, self.count = shared, trial, figure, count
        self.seen: list[float] = []

    def prepare(self, device: torch.device) -> None:
        self.shared.prepare(device)

    def __call__(self, generator: Generator, stage: Stage) -> dict[str, float]:
        try:
            figures = self.shared(generator, stage)
        except ModelError as error:  # its pictures are no finite numbers
            raise Diverged(str(error)) from error
        self.report(figures)
        return figures

    def report(self, figures: Mapping[str, float]) -> None:
        """Takes in a measurement. The last is the trial's value, and comes too late to cut it short."""
        value = figures.get(self.figure, math.nan)
        if not math.isfinite(value):
            raise Diverged(f"{self.figure} is {value} at measurement {len(self.seen) + 1}.")
        self.seen.append(value)
        self.trial.report(value, step=len(self.seen))
        if len(self.seen) < self.count and self.trial.should_prune():
            raise Pruned


Train = Callable[[TrainConfig, TrialMetrics], Outcome]
"""Trains as configured, and measures the while."""


def training_on(pictures: Pictures | StoredPictures) -> Train:
    """The trainer on these pictures. A trial is never gone on with, so its checkpoints are removed."""

    def train(config: TrainConfig, metrics: TrialMetrics) -> Outcome:
        trainer = Trainer(config, pictures, metrics=metrics)
        try:
            return trainer.run()
        except (Pruned, Diverged):
            trainer.accelerator.end_training()  # or the next trial would log into this one
            raise
        finally:
            shutil.rmtree(trainer.folder.checkpoints, ignore_errors=True)

    return train


def run_trial(study: optuna.Study, plan: Plan, metrics: InLoopMetrics, train: Train) -> int | None:
    """Does the next trial; the signal that cut it off, if any did."""
    trial, values = next_trial(study, plan.space, plan.base.seed)
    try:
        config = replace(assigned(plan.trial, values), out=plan.folder / "trials" / f"{trial.number:04d}")
        watched = TrialMetrics(metrics, trial, figure=plan.figure, count=measurements(config))
        outcome = train(config, watched)
    except Pruned:
        end_trial(study, trial, "pruned")
    except Diverged as error:
        tqdm.write(f"trial {trial.number}: {error}")
        end_trial(study, trial, "diverged")
    except Exception as error:
        if not isinstance(error, OSError):  # a disk that is full says nothing against the trial
            give_up(study, trial)
        raise
    else:
        if outcome.signal is not None:
            put_back_cut(study)
            return outcome.signal
        end_trial(study, trial, "complete", watched.seen[-1])
    return None


# Search
def tune(base: TrainConfig, tuning: TuningConfig, metrics: InLoopMetrics, train: Train, data: str) -> Tuned:
    """Searches, or goes on with a search, until `tuning.trials` have come to an end; `base.out` holds all.

    After every trial trials.csv and best.json are brought up to date. `data` is the pictures' fingerprint.

    Raises:
        TrainingError: the settings do not fit, or `base.out` holds a study of other trials.
    """
    plan, signal = plan_of(base, tuning), None
    own = {each.name: value_of(base, each.name) for each in plan.space}
    with (
        opened(plan.folder, identity_of(plan, data), better=plan.better, prune=tuning.prune) as study,
        tqdm(total=tuning.trials, unit="trial", desc="tune", disable=None) as bar,
    ):
        begin_with(study, plan.space, own)
        put_back_cut(study)
        found = records(study)
        bar.update(len(found))
        while signal is None and len(found) < tuning.trials:
            signal = run_trial(study, plan, metrics, train)
            if signal is None:
                found = records(study)
                bar.update()
                tqdm.write(trial_line(found[-1], plan.figure))
                _write_down(plan, found)
        return Tuned(
            plan=plan, records=found, best=best_of(found, plan.better), importances=importances(study),
            signal=signal,
        )  # fmt: skip


def _write_down(plan: Plan, found: list[Record]) -> None:
    """All trials, and the preset with the values of the best, for a training of its whole length."""
    write_csv(plan.folder / "trials.csv", found, [each.name for each in plan.space], plan.figure)
    best = best_of(found, plan.better)
    if best is not None:
        about = f"trial {best.number} of {plan.folder}: {plan.figure} {best.value}"
        config = replace(assigned(plan.base, best.values), out=plan.folder / "best", resume=False)
        write_preset(plan.folder / "best.json", config, about=about)
