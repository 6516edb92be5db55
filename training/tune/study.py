"""A study: which settings were tried and what came of them, in a database that outlives the process.

Optuna (Akiba 2019, arXiv:1907.10902) keeps the trials and proposes the next: by the tree-structured Parzen
estimator (Bergstra 2011), seeded by the number of trials finished, so that going on is no repetition.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import optuna
import sqlalchemy
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from ..errors import TrainingError
from ..rng import derived_seed
from ..run.run_folder import Json
from .search_space import Choice, Dimension, Space, Value, Values

End = Literal["complete", "pruned", "diverged"]

NAME = "tune"
"""Of the one study in the database."""

RANDOM_TRIALS = 8
"""So many trials are drawn evenly from the space before the estimator proposes."""

UNPRUNED_TRIALS, FEWEST_BESIDE, PRUNED_FROM = 4, 3, 2
"""So many trials are completed before any is pruned, so many must have been measured as often, and it is at
the second measurement: the first may be of the smallest pictures still."""

IMPORTANCE_FROM, BEST_PART = 20, 0.25
"""Complete trials from which on importances are told: what sets the best quarter apart from all."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A trial that came to an end."""

    number: int
    end: End
    measured: tuple[float, ...]
    """The figure, in the order of the measurements."""
    values: dict[str, Value]
    """Of the searched fields."""

    @property
    def value(self) -> float | None:
        """The last measurement: that of the finished networks, if the trial is complete."""
        return self.measured[-1] if self.measured else None


# Opening
@contextlib.contextmanager
def opened(
    folder: Path, identity: Json, *, better: Literal["less", "more"], prune: bool
) -> Iterator[optuna.Study]:
    """The study in `folder`, new or gone on with, for this process alone.

    `identity` is everything that makes trials comparable, flat.

    Raises:
        TrainingError: another process works on it, it cannot be read, or its identity is another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        storage = _storage(folder / "study.db")
        try:
            study = optuna.create_study(
                storage=storage, study_name=NAME, load_if_exists=True, pruner=_pruner(prune),
                direction="minimize" if better == "less" else "maximize",
            )  # fmt: skip
            _require_same(study, identity, folder)
            yield study
        finally:
            storage.remove_session()
            storage.engine.dispose()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps other processes out; the lock goes with the process, however that ends."""
    lock = sqlite3.connect(folder / "study.lock", timeout=0)
    try:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            raise TrainingError(
                f"{folder} is being tuned by another process ({error}); wait for it, or choose another --out."
            ) from error
        yield
    finally:
        lock.close()


def _storage(path: Path) -> RDBStorage:
    url = sqlalchemy.URL.create("sqlite", database=str(path)).render_as_string()
    try:
        return RDBStorage(url)
    except (SQLAlchemyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"{path} cannot be opened ({reason}); restore it, or choose another --out."
        ) from error


def _pruner(prune: bool) -> BasePruner:
    if not prune:
        return NopPruner()
    return MedianPruner(
        n_startup_trials=UNPRUNED_TRIALS, n_min_trials=FEWEST_BESIDE, n_warmup_steps=PRUNED_FROM
    )


def _require_same(study: optuna.Study, ours: Json, folder: Path) -> None:
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
        raise TrainingError(
            f"{folder} holds a study of other trials; choose another --out or restore:\n  "
            + "\n  ".join(lines)
        )


# Trials
def begin_with(study: optuna.Study, space: Space, values: Mapping[str, object]) -> None:
    """Has a new study try `values` first, if they lie in the space."""
    if not study.get_trials(deepcopy=False) and all(values[each.name] in each for each in space):
        study.enqueue_trial(dict(values))


def put_back_cut(study: optuna.Study) -> None:
    """Has the trials that were cut off, with the process or by a signal, be done anew before any other."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)


def next_trial(study: optuna.Study, space: Space, seed: int) -> tuple[optuna.Trial, Values]:
    """A new trial and its values: a function of the study's ended trials and of `seed` alone."""
    drawn = derived_seed(seed, len(records(study)), "trial") % 2**32
    study.sampler = TPESampler(n_startup_trials=RANDOM_TRIALS, seed=drawn)
    trial = study.ask()
    return trial, {dimension.name: _suggested(trial, dimension) for dimension in space}


def _suggested(trial: optuna.Trial, dimension: Dimension) -> Value:
    if isinstance(dimension, Choice):
        return cast(Value, trial.suggest_categorical(dimension.name, dimension.options))
    name, low, high = dimension.name, dimension.low, dimension.high
    if dimension.whole:
        return trial.suggest_int(name, int(low), int(high), log=dimension.log)
    return trial.suggest_float(name, low, high, log=dimension.log)


def end_trial(study: optuna.Study, trial: optuna.Trial, end: End, value: float | None = None) -> None:
    """Writes down how a trial ended; `value` is that of a complete one.

    The estimator takes no notice of failed trials, and would propose what diverges again and again: to it a
    diverged trial is a pruned one.
    """
    trial.set_user_attr("end", end)
    study.tell(trial, value, state=TrialState.COMPLETE if end == "complete" else TrialState.PRUNED)


def give_up(study: optuna.Study, trial: optuna.Trial) -> None:
    """Writes down that a trial could not be done: the next one takes its place."""
    study.tell(trial, state=TrialState.FAIL)


# What came of them
def records(study: optuna.Study) -> list[Record]:
    """The trials that came to an end, in their order; without those that were cut off."""
    return [
        Record(
            number=trial.number, end=end, values=dict(trial.params),
            measured=tuple(value for _, value in sorted(trial.intermediate_values.items())),
        )
        for trial in study.get_trials(deepcopy=False)
        if (end := _end(trial)) is not None
    ]  # fmt: skip


def _end(trial: FrozenTrial) -> End | None:
    over = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return cast(End, trial.user_attrs["end"]) if over else None


def best_of(found: list[Record], better: Literal["less", "more"]) -> Record | None:
    """The complete trial with the best value, the older of equals; None where none is complete."""
    complete = [record for record in found if record.end == "complete" and record.value is not None]
    sign = 1 if better == "less" else -1
    return min(complete, key=lambda record: sign * (record.value or 0.0), default=None)


def importances(study: optuna.Study) -> dict[str, float]:
    """Each searched field's part, 0 to 1, in reaching the best values (PED-ANOVA, Watanabe 2023,
    arXiv:2304.10255), the largest first; empty while there are too few trials to tell."""
    if sum(record.end == "complete" for record in records(study)) < IMPORTANCE_FROM:
        return {}
    return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=BEST_PART))
