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
from operator import attrgetter

import optuna
import sqlalchemy
import torch
from filelock import FileLock, Timeout
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError
from tqdm import tqdm

from brushwork.data.files import write_csv
from brushwork.data.loader import ImageDataset, StoredDataset
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.stage import Stage

from ..config import TrainConfig
from ..errors import Diverged, TrainingError
from ..preset_files import write_preset
from ..rng import derived_seed
from ..run.metrics import EVALUATOR, InLoopMetrics
from ..run.run_folder import Json, differences
from ..trainer import Outcome, Trainer
from .config import TuningConfig
from .plan import StudyPlan, contains, count_measurements, make_plan, study_identity, with_fields

NAME = "tune"
"""Name of the only study in the database."""
RANDOM_TRIALS = 8
"""Trials sampled uniformly before the estimator proposes."""
PRUNING = {"n_startup_trials": 4, "n_min_trials": 3, "n_warmup_steps": 2}
"""Pruning starts after four complete trials, against at least three others, at the second measurement: the
first may still show the smallest images."""


@dataclass(frozen=True, kw_only=True)
class TuningResult:
    """The state of a study."""

    plan: StudyPlan
    trials: list[FrozenTrial]
    """Complete, pruned and diverged trials. `user_attrs["end"]` tells which."""
    signal: int | None
    """The signal that stopped the search, if any."""

    @property
    def best(self) -> FrozenTrial | None:
        """The best complete trial, if any."""
        complete = [trial for trial in self.trials if trial.user_attrs["end"] == "complete"]
        choose = min if self.plan.better == "less" else max
        return choose(complete, key=lambda trial: trial.values[0]) if complete else None


# The study
@contextlib.contextmanager
def open_study(plan: StudyPlan, identity: Json) -> Iterator[optuna.Study]:
    """Create or continue the study in the plan's folder, locked against other processes.

    `identity` is everything that must be equal for trials to be comparable.

    Raises:
        TrainingError: another process uses the study, it cannot be read, or its identity differs.
    """
    folder = plan.base.out
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder / "study.lock", timeout=0).acquire()
    except Timeout as error:
        raise TrainingError(
            f"{folder} is being tuned by another process; wait for it, or choose another --out."
        ) from error
    path = folder / "study.db"
    with lock:
        try:
            url = sqlalchemy.URL.create("sqlite", database=str(path)).render_as_string()
            storage = RDBStorage(url)
        except (SQLAlchemyError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise TrainingError(
                f"{path} cannot be opened ({reason}); restore it, or choose another --out."
            ) from error
        try:
            study = optuna.create_study(
                storage=storage, study_name=NAME, load_if_exists=True, pruner=MedianPruner(**PRUNING),
                direction="minimize" if plan.better == "less" else "maximize",
            )  # fmt: skip
            theirs = study.user_attrs.get("identity")
            if theirs is None:
                study.set_user_attr("identity", identity)
            elif lines := differences(theirs, identity):
                raise TrainingError(
                    f"{folder} holds a study of other trials; choose another --out or restore:\n  "
                    + "\n  ".join(lines)
                )
            yield study
        finally:
            storage.remove_session()
            storage.engine.dispose()


def finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return complete, pruned and diverged trials in order, without interrupted ones."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def requeue_interrupted(study: optuna.Study) -> None:
    """Repeat trials that a signal or the end of the process interrupted, before any other."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)


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


def train_on(dataset: ImageDataset | StoredDataset) -> Train:
    """Return a function that trains on these images. Trials never resume, so it removes their checkpoints."""

    def train(config: TrainConfig, metrics: TrialMetrics) -> Outcome:
        trainer = Trainer(config, dataset, metrics=metrics)
        try:
            return trainer.run()
        except (Pruned, Diverged):
            trainer.accelerator.end_training()  # or the next trial would log into this one
            raise
        finally:
            shutil.rmtree(trainer.folder.checkpoints, ignore_errors=True)

    return train


def run_trial(study: optuna.Study, plan: StudyPlan, metrics: InLoopMetrics, train: Train) -> int | None:
    """Run the next trial. Return the signal that interrupted it, if any.

    The trial is a function of the finished trials and the preset's seed. A diverged one counts as pruned: the
    estimator ignores failed trials and would propose similar ones.
    """
    seed = derived_seed(plan.base.seed, len(finished_trials(study)), "trial") % 2**32
    study.sampler = TPESampler(n_startup_trials=RANDOM_TRIALS, seed=seed)
    trial = study.ask(dict(plan.space))
    end, value = "complete", None
    try:
        out = plan.base.out / "trials" / f"{trial.number:04d}"
        config = replace(with_fields(plan.trial, trial.params), out=out)
        own = TrialMetrics(metrics, trial, metric=plan.metric, count=count_measurements(config))
        outcome = train(config, own)
        if outcome.signal is not None:
            return outcome.signal
        value = own.values[-1]
    except Pruned:
        end = "pruned"
    except Diverged as error:
        tqdm.write(f"trial {trial.number}: {error}")
        end = "diverged"
    except Exception as error:
        if not isinstance(error, OSError):  # after an OSError, such as a full disk, the trial is repeated
            study.tell(trial, state=TrialState.FAIL)
        raise
    trial.set_user_attr("end", end)
    study.tell(trial, value, state=TrialState.COMPLETE if end == "complete" else TrialState.PRUNED)
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
        open_study(plan, study_identity(plan, data)) as study,
        tqdm(total=tuning.trials, unit="trial", desc="tune", disable=None) as bar,
    ):
        own = {name: attrgetter(name)(base) for name in plan.space}
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
                write_results(TuningResult(plan=plan, trials=trials, signal=None))
        return TuningResult(plan=plan, trials=trials, signal=signal)


# Results
def trial_line(trial: FrozenTrial, metric: str) -> str:
    """Return one finished trial as a line for the terminal."""
    value = "-" if trial.value is None else f"{trial.value:.4g}"
    settings = " ".join(f"{name}={value:.4g}" for name, value in trial.params.items())
    return f"trial {trial.number}: {trial.user_attrs['end']}, {metric} {value} | {settings}"


def write_results(result: TuningResult) -> None:
    """Write all trials, and the preset at full length with the values of the best trial."""
    plan, best = result.plan, result.best
    rows = [
        {
            "trial": trial.number, "end": trial.user_attrs["end"], plan.metric: trial.value,
            "measured": len(trial.intermediate_values), **trial.params,
        }
        for trial in result.trials
    ]  # fmt: skip
    write_csv(plan.base.out / "trials.csv", rows)
    if best is not None:
        about = f"trial {best.number} of {plan.base.out}: {plan.metric} {best.value}"
        config = replace(
            with_fields(plan.base, best.params), out=plan.base.out / "best", resume=False,
            tuned_by=(EVALUATOR,),
        )  # fmt: skip
        write_preset(plan.base.out / "best.json", config, about=about)
