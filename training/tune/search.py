"""Short trainings of one preset with other settings: each is measured, poor ones are pruned.

Optuna (Akiba 2019, arXiv:1907.10902) stores the trials in a database and proposes the next one with the
tree-structured Parzen estimator (Bergstra 2011). The estimator's seed is a function of the number of finished
trials, so that a continued study does not repeat itself.
"""

import contextlib
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import optuna
import sqlalchemy
import torch
from filelock import FileLock, Timeout
from optuna.pruners import MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError
from tqdm import tqdm

from brushwork.data.loader import Pictures, StoredPictures
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.stage import Stage

from ..config import TrainConfig
from ..errors import Diverged, TrainingError
from ..preset_files import write_preset
from ..rng import derived_seed
from ..run.metrics import InLoopMetrics
from ..run.run_folder import Json
from ..trainer import Outcome, Trainer
from .config import TuningConfig
from .plan import Plan, contains, count_measurements, get_field, make_plan, study_identity, with_fields
from .report import trial_line, write_trials

End = Literal["complete", "pruned", "diverged"]

NAME = "tune"
"""Name of the only study in the database."""
RANDOM_TRIALS = 8
"""Trials sampled uniformly before the estimator proposes."""
UNPRUNED_TRIALS, MIN_OTHERS, PRUNED_FROM = 4, 3, 2
"""Pruning starts after so many complete trials, against at least so many others, at the second measurement:
the first may still show the smallest images."""


@dataclass(frozen=True, kw_only=True)
class TuningResult:
    """The state of a study."""

    plan: Plan
    trials: list[FrozenTrial]
    """Complete, pruned and diverged trials. `user_attrs["end"]` tells which."""
    best: FrozenTrial | None
    signal: int | None
    """The signal that stopped the search, if any."""


# The study
@contextlib.contextmanager
def open_study(plan: Plan, identity: Json, *, prune: bool) -> Iterator[optuna.Study]:
    """Create or continue the study in the plan's folder, locked against other processes.

    Args:
        plan: what is searched.
        identity: everything that must be equal for trials to be comparable, flat.
        prune: prune trials that are worse than the median.

    Raises:
        TrainingError: another process uses the study, it cannot be read, or its identity differs.
    """
    folder = plan.folder
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder / "study.lock", timeout=0).acquire()
    except Timeout as error:
        raise TrainingError(
            f"{folder} is being tuned by another process; wait for it, or choose another --out."
        ) from error
    pruner = MedianPruner(
        n_startup_trials=UNPRUNED_TRIALS, n_min_trials=MIN_OTHERS, n_warmup_steps=PRUNED_FROM
    )
    with lock:
        storage = _open_storage(folder / "study.db")
        try:
            study = optuna.create_study(
                storage=storage, study_name=NAME, load_if_exists=True,
                direction="minimize" if plan.better == "less" else "maximize",
                pruner=pruner if prune else NopPruner(),
            )  # fmt: skip
            _require_identity(study, identity, folder)
            yield study
        finally:
            storage.remove_session()
            storage.engine.dispose()


def _open_storage(path: Path) -> RDBStorage:
    url = sqlalchemy.URL.create("sqlite", database=str(path)).render_as_string()
    try:
        return RDBStorage(url)
    except (SQLAlchemyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"{path} cannot be opened ({reason}); restore it, or choose another --out."
        ) from error


def _require_identity(study: optuna.Study, ours: Json, folder: Path) -> None:
    theirs = study.user_attrs.get("identity")
    if theirs is None:
        study.set_user_attr("identity", ours)
        return
    lines = [
        f"{name}: {theirs.get(name)} there, {ours.get(name)} here"
        for name in sorted(theirs | ours)
        if theirs.get(name) != ours.get(name)
    ]
    if lines:
        found = "\n  ".join(lines)
        raise TrainingError(
            f"{folder} holds a study of other trials; choose another --out or restore:\n  {found}"
        )


def finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return complete, pruned and diverged trials in order, without interrupted ones."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def requeue_interrupted(study: optuna.Study) -> None:
    """Repeat trials that a signal or the end of the process interrupted, before any other."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)


def next_trial(study: optuna.Study, plan: Plan) -> optuna.Trial:
    """Propose a trial: a function of the finished trials and the preset's seed."""
    seed = derived_seed(plan.base.seed, len(finished_trials(study)), "trial") % 2**32
    study.sampler = TPESampler(n_startup_trials=RANDOM_TRIALS, seed=seed)
    return study.ask(dict(plan.space))


def end_trial(study: optuna.Study, trial: optuna.Trial, end: End, value: float | None = None) -> None:
    """Store how a trial ended, with the value of a complete one.

    A diverged trial counts as pruned: the estimator ignores failed trials and would propose similar ones.
    """
    trial.set_user_attr("end", end)
    study.tell(trial, value, state=TrialState.COMPLETE if end == "complete" else TrialState.PRUNED)


# Trials
class Pruned(Exception):
    """The trial is not worth continuing."""


class TrialMetrics(InLoopMetrics):
    """Measures with the reference that all trials share, reports to the study, and prunes.

    Raises Pruned, or Diverged if the metric is not finite.
    """

    def __init__(self, shared: InLoopMetrics, trial: optuna.Trial, *, metric: str, count: int) -> None:
        super().__init__(shared.config, shared.data)
        self.shared, self.trial, self.metric, self.count = shared, trial, metric, count
        self.values: list[float] = []

    def prepare(self, device: torch.device) -> None:
        self.shared.prepare(device)

    def __call__(self, generator: Generator, stage: Stage) -> dict[str, float]:
        try:
            measured = self.shared(generator, stage)
        except ModelError as error:  # the generated images are not finite
            raise Diverged(str(error)) from error
        self.report(measured)
        return measured

    def report(self, measured: Mapping[str, float]) -> None:
        """Report a measurement. The last one is the trial's value and never prunes it."""
        value = measured.get(self.metric, math.nan)
        if not math.isfinite(value):
            raise Diverged(f"{self.metric} is {value} at measurement {len(self.values) + 1}.")
        self.values.append(value)
        self.trial.report(value, step=len(self.values))
        if len(self.values) < self.count and self.trial.should_prune():
            raise Pruned


Train = Callable[[TrainConfig, TrialMetrics], Outcome]
"""Trains with a configuration and measures meanwhile."""


def train_on(pictures: Pictures | StoredPictures) -> Train:
    """Return a function that trains on these images. Trials never resume, so it removes their checkpoints."""

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
    """Run the next trial. Return the signal that interrupted it, if any."""
    trial = next_trial(study, plan)
    try:
        out = plan.folder / "trials" / f"{trial.number:04d}"
        config = replace(with_fields(plan.trial, trial.params), out=out)
        own = TrialMetrics(metrics, trial, metric=plan.metric, count=count_measurements(config))
        outcome = train(config, own)
    except Pruned:
        end_trial(study, trial, "pruned")
    except Diverged as error:
        tqdm.write(f"trial {trial.number}: {error}")
        end_trial(study, trial, "diverged")
    except Exception as error:
        if not isinstance(error, OSError):  # after an OSError, such as a full disk, the trial is repeated
            study.tell(trial, state=TrialState.FAIL)
        raise
    else:
        if outcome.signal is not None:
            requeue_interrupted(study)
            return outcome.signal
        end_trial(study, trial, "complete", own.values[-1])
    return None


def tune(
    base: TrainConfig, tuning: TuningConfig, metrics: InLoopMetrics, train: Train, data: str
) -> TuningResult:
    """Search until `tuning.trials` have finished, or continue to do so. `base.out` is the study's folder.

    trials.csv and best.json are updated after every trial. `data` is the fingerprint of the training images.

    Raises:
        TrainingError: the settings do not fit, or `base.out` holds a study of other trials.
    """
    plan, signal = make_plan(base, tuning), None
    with (
        open_study(plan, study_identity(plan, data), prune=tuning.prune) as study,
        tqdm(total=tuning.trials, unit="trial", desc="tune", disable=None) as bar,
    ):
        own = {name: get_field(base, name) for name in plan.space}
        inside = all(contains(distribution, own[name]) for name, distribution in plan.space.items())
        if inside and not study.get_trials(deepcopy=False):
            study.enqueue_trial(own)  # the preset itself is the first trial
        requeue_interrupted(study)
        trials = finished_trials(study)
        bar.update(len(trials))
        while signal is None and len(trials) < tuning.trials:
            signal = run_trial(study, plan, metrics, train)
            if signal is None:
                trials = finished_trials(study)
                bar.update()
                tqdm.write(trial_line(trials[-1], plan.metric))
                write_results(plan, trials, best_trial(study))
        return TuningResult(plan=plan, trials=trials, best=best_trial(study), signal=signal)


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """Return the best complete trial, or None."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return study.best_trial if complete else None


def write_results(plan: Plan, trials: list[FrozenTrial], best: FrozenTrial | None) -> None:
    """Write all trials, and the preset at full length with the values of the best trial."""
    write_trials(plan.folder / "trials.csv", trials, plan.metric)
    if best is not None:
        about = f"trial {best.number} of {plan.folder}: {plan.metric} {best.value}"
        config = replace(with_fields(plan.base, best.params), out=plan.folder / "best", resume=False)
        write_preset(plan.folder / "best.json", config, about=about)
