"""Tuning: what is tried, cut short, put back and gone on with; a formula stands in for training."""

import math
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pytest

from brushwork.data.pictures import Pictures
from brushwork.eval.reference import Reference
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.stage import Stage
from brushwork.training.config import TrackerConfig, TrainConfig
from brushwork.training.errors import Diverged, TrainingError
from brushwork.training.preset_files import read_preset, to_json
from brushwork.training.run.metrics import InLoopMetrics, MetricsConfig
from brushwork.training.run.run_folder import differences
from brushwork.training.trainer import Outcome, Trainer
from brushwork.training.tune import search as module
from brushwork.training.tune import study
from brushwork.training.tune.plan import TuningConfig, measurements, plan_of
from brushwork.training.tune.search import TrialMetrics, Tuned, training_on, tune
from brushwork.training.tune.search_space import assigned

RATE = "optimizer.generator_lr=0.0001:1"
Formula = Callable[[TrainConfig, int], float]


def bowl(config: TrainConfig, measurement: int) -> float:
    """Least, 0 in the end, for a learning rate of 0.01."""
    return (math.log10(config.optimizer.generator_lr) + 2) ** 2 + 4 - measurement


@dataclass
class Training:
    """Measures four times what a formula says, and remembers what it was asked to train."""

    formula: Formula = bowl
    stop_at: int = -1
    """The number of the training that is stopped after its first measurement, ..."""
    by: Exception | type[BaseException] | None = None
    """... by this; by a signal where there is none."""
    seen: list[TrainConfig] = field(default_factory=list)

    def __call__(self, config: TrainConfig, metrics: TrialMetrics) -> Outcome:
        self.seen.append(config)
        for measurement in range(1, metrics.count + 1):
            metrics.report({metrics.figure: self.formula(config, measurement)})
            if len(self.seen) - 1 == self.stop_at:
                if self.by is not None:
                    raise self.by
                return Outcome(reason="signal", nimg=8, resolution=8, signal=int(signal.SIGTERM))
        return Outcome(reason="finished", nimg=32, resolution=16)

    @property
    def rates(self) -> list[float]:
        return [config.optimizer.generator_lr for config in self.seen]


Search = Callable[..., Tuned]


@pytest.fixture
def base(make_config: Callable[..., TrainConfig], tmp_path: Path) -> TrainConfig:
    return make_config(out=tmp_path / "study")


@pytest.fixture
def search(base: TrainConfig) -> Search:
    def run(training: Training, *, config: TrainConfig = base, data: str = "toy", **changes: Any) -> Tuned:
        tuning = TuningConfig(**({"search": (RATE,), "defaults": False, "trials": 4} | changes))
        return tune(config, tuning, InLoopMetrics(config.metrics, config.data), training, data)

    return run


def ends(tuned: Tuned) -> list[str]:
    return [record.end for record in tuned.records]


# Searching
def test_a_bowl_is_searched_to_its_bottom_from_the_presets_own_value(search: Search) -> None:
    training = Training()
    tuned = search(training, trials=18)
    assert training.rates[0] == 0.001, "first the preset itself"
    assert tuned.best is not None
    assert 0.005 < tuned.best.values["optimizer.generator_lr"] < 0.02
    assert "pruned" in ends(tuned)


def test_more_is_better_where_the_figure_says_so(search: Search, base: TrainConfig) -> None:
    config = replace(base, metrics=MetricsConfig(best_by="accuracy"))
    steady = Training(lambda config, measurement: (0.0, 1.0, 2.0, 3.0, 1.4, 1.6)[int(config.out.name)])
    tuned = search(steady, config=config, trials=6)
    assert tuned.best is not None
    assert (tuned.best.number, tuned.best.value) == (3, 3.0)
    assert ends(tuned)[4:] == ["pruned", "complete"], "the median is 1.5"


def test_importance_is_told_once_there_are_enough_trials(search: Search) -> None:
    settings = {"search": (RATE, "loss.mixing=0:1", "batch=8"), "prune": False, "interval_kimg": 1.0}
    assert search(Training(), trials=19, **settings).importances == {}
    parts = search(Training(), trials=20, **settings).importances
    assert next(iter(parts)) == "optimizer.generator_lr"
    assert parts["optimizer.generator_lr"] > 0.5
    assert sum(parts.values()) == pytest.approx(1)


# Going on
def test_going_on_does_what_is_left_and_no_trial_twice(search: Search, base: TrainConfig) -> None:
    whole = Training()
    search(whole, config=replace(base, out=base.out.with_name("whole")), trials=10)
    first, second, third = Training(), Training(), Training()
    search(first, trials=4)
    tuned = search(second, trials=10)
    assert (len(first.rates), len(second.rates)) == (4, 6)
    assert first.rates + second.rates == whole.rates, "as if nobody had stopped"
    assert len(set(whole.rates)) == 10, "and no proposal is repeated"
    assert search(third, trials=10).records == tuned.records
    assert third.seen == []


@pytest.mark.parametrize(
    ("by", "at"), [(None, 0), (None, 2), (KeyboardInterrupt, 2), (OSError(28, "no space left"), 0)]
)
def test_a_trial_that_was_cut_off_is_done_anew(search: Search, base: TrainConfig, by: Any, at: int) -> None:
    """By a signal the trainer heeds, or with the whole process: its row says RUNNING in both cases."""
    whole = Training()
    search(whole, config=replace(base, out=base.out.with_name("whole")), trials=4)
    cut, rest = Training(stop_at=at, by=by), Training()
    if by is None:
        assert search(cut, trials=4).signal == signal.SIGTERM
    else:
        with pytest.raises(by if isinstance(by, type) else OSError):
            search(cut, trials=4)
    tuned = search(rest, trials=4)
    assert tuned.signal is None
    assert cut.rates + rest.rates[1:] == whole.rates
    assert rest.rates[0] == cut.rates[at]
    assert [record.number for record in tuned.records] == [*range(at), *range(at + 1, 5)]
    assert rest.seen[0].out.name == f"{at + 1:04d}", "in a folder of its own"


def test_a_study_of_other_trials_is_refused(search: Search, base: TrainConfig) -> None:
    search(Training(), trials=1)
    others: list[tuple[dict[str, Any], str]] = [
        ({"config": replace(base, batch=4)}, "batch: 8 there, 4 here"),
        ({"search": ("loss.mixing=0:1",)}, "search.loss.mixing: None there, 0.0:1.0 here"),
        ({"config": replace(base, metrics=MetricsConfig(best_by="accuracy"))}, "best_by: fd there, accuracy"),
        ({"trial_kimg": 0.016}, "trial_kimg: 0.032 there, 0.016 here"),
        ({"interval_kimg": 0.016}, "interval_kimg: 0.008 there, 0.016 here"),
        ({"data": "other"}, "data: toy there, other here"),
    ]
    for changes, words in others:
        with pytest.raises(
            TrainingError, match=r"holds a study of other trials; choose another --out"
        ) as raised:
            search(Training(), **changes)
        assert words in str(raised.value)
    assert len(search(Training(), config=replace(base, threads=2), trials=2, prune=False).records) == 2


def test_two_processes_do_not_tune_in_one_folder(search: Search) -> None:
    def again(config: TrainConfig, measurement: int) -> float:
        with pytest.raises(TrainingError, match="is being tuned by another process"):
            search(Training())
        return 1.0

    search(Training(again), trials=1)
    search(Training(), trials=2)


def test_a_damaged_study_is_named(search: Search, base: TrainConfig) -> None:
    base.out.mkdir()
    (base.out / "study.db").write_text("no database" * 100)
    with pytest.raises(TrainingError, match=r"study.db cannot be opened .* choose another --out"):
        search(Training())


# Cutting short
def test_a_trial_worse_than_the_median_is_cut_at_the_second_measurement(search: Search) -> None:
    """Trials 0 to 3 are complete, at 0, 1, 2 and 3: the median is 1.5, and 1.4 alone is better."""

    def course(config: TrainConfig, measurement: int) -> float:
        trial = int(config.out.name)
        return {4: 1.6, 5: 1.4}.get(trial, float(trial)) - 0.1 * measurement

    tuned = search(Training(course), trials=6)
    assert ends(tuned) == ["complete"] * 4 + ["pruned", "complete"]
    assert [len(record.measured) for record in tuned.records] == [4] * 4 + [2, 4]


def test_the_last_measurement_and_prune_off_cut_nothing(search: Search, base: TrainConfig) -> None:
    def late(config: TrainConfig, measurement: int) -> float:
        return 0.5 if measurement == 4 and config.out.name != "0004" else 1.0

    assert ends(search(Training(late), trials=5)) == ["complete"] * 5
    steep = Training(lambda config, m: float(config.out.name))
    config = replace(base, out=base.out.with_name("unpruned"))
    assert ends(search(steep, config=config, trials=6, prune=False)) == ["complete"] * 6


def test_diverged_trials_count_and_are_no_crash(search: Search) -> None:
    def some(config: TrainConfig, measurement: int) -> float:
        trial = int(config.out.name)
        if trial == 1 and measurement == 3:
            raise Diverged("the loss is no finite number at 0.0 kimg.")
        return math.nan if trial == 2 else bowl(config, measurement)

    tuned = search(Training(some), trials=4)
    assert ends(tuned) == ["complete", "diverged", "diverged", "complete"]
    assert [len(record.measured) for record in tuned.records] == [4, 2, 0, 4]
    assert tuned.records[2].value is None


def test_another_mistake_ends_the_search_and_is_not_counted(search: Search) -> None:
    mistake = TrainingError("3 pictures cannot be paired off.")
    with pytest.raises(TrainingError, match="paired off"):
        search(Training(stop_at=1, by=mistake), trials=3)
    rest = Training()
    assert len(search(rest, trials=3).records) == 3
    assert len(rest.seen) == 2


# The trainings themselves
def test_trials_are_short_runs_of_the_preset_in_one_group(search: Search, base: TrainConfig) -> None:
    training = Training()
    search(training, trials=2, trial_kimg=0.016)
    for number, config in enumerate(training.seen):
        assert config.out == base.out / "trials" / f"{number:04d}"
        assert (config.total_kimg, config.interval.metrics_kimg) == (0.016, 0.004)
        assert config.growing == base.growing.scaled(0.5)
        assert config.trackers.group == "study"
        assert (config.seed, config.batch, config.loss) == (base.seed, base.batch, base.loss)


def test_best_json_is_the_configuration_of_the_best_trial_and_trains(
    search: Search, base: TrainConfig, pictures: Pictures
) -> None:
    training = Training(lambda config, measurement: -float(config.out.name))
    tuned = search(training, trials=3, search=(RATE, "batch=4,8"))
    assert tuned.best is not None
    assert tuned.best.number == 2
    found = read_preset(base.out / "best.json")
    trained = training.seen[tuned.best.number]
    assert differences(to_json(found), to_json(trained)) == []
    assert found == replace(assigned(base, tuned.best.values), out=base.out / "best")
    outcome = Trainer(found, pictures).run()
    assert (outcome.reason, outcome.nimg) == ("finished", 32)


def test_without_a_complete_trial_there_is_no_best(search: Search, base: TrainConfig) -> None:
    tuned = search(Training(lambda *_: math.nan), trials=2)
    assert tuned.best is None
    assert not (base.out / "best.json").exists()
    assert (base.out / "trials.csv").exists()


class Counted(InLoopMetrics):
    """Falling figures of nothing, and how often the real side was built; `broken` at one measurement."""

    built, calls, broken = 0, 0, -1

    @cached_property
    def reference(self) -> Reference:
        self.built += 1
        return cast(Reference, None)

    def _rehearse(self) -> None:
        _ = self.reference

    def __call__(self, generator: Generator, stage: Stage) -> dict[str, float]:
        self.calls += 1
        if self.calls == self.broken:
            raise ModelError("the generator drew pictures that are not finite numbers.")
        return {"fd": float(self.calls)}  # every trial is worse than all before


def test_real_trainings_share_the_real_side_and_leave_nothing_behind(
    base: TrainConfig, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[Trainer] = []

    class Watched(Trainer):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            monkeypatch.setattr(self.accelerator, "end_training", lambda: ended.append(self))

    monkeypatch.setattr(module, "Trainer", Watched)
    for few in ("UNPRUNED_TRIALS", "FEWEST_BESIDE"):
        monkeypatch.setattr(study, few, 1)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    metrics = Counted(base.metrics, base.data)
    metrics.broken = 7
    tuning = TuningConfig(search=(RATE,), defaults=False, trials=3)
    tuned = tune(base, tuning, metrics, training_on(pictures), pictures.fingerprint)
    assert ends(tuned) == ["complete", "pruned", "diverged"]
    assert [len(record.measured) for record in tuned.records] == [4, 2, 0]
    assert metrics.built == 1
    assert len(ended) == 3, "trackers are closed however a trial ends"
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    for record in tuned.records:
        folder = base.out / "trials" / f"{record.number:04d}"
        assert read_preset(folder / "config.json").optimizer.generator_lr == pytest.approx(
            record.values["optimizer.generator_lr"], rel=0
        )
        assert not (folder / "checkpoints").exists()
    assert (base.out / "trials" / "0000" / "snapshots" / "best.safetensors").exists()


@pytest.mark.parametrize(("batch", "kimg", "interval"), [(8, 0.032, 0.008), (8, 0.03, 0.012), (4, 0.02, 0.9)])
def test_measurements_are_counted_beforehand(
    make_config: Callable[..., TrainConfig], pictures: Pictures, batch: int, kimg: float, interval: float
) -> None:
    config = make_config(batch=batch, total_kimg=kimg)
    config = replace(config, interval=replace(config.interval, metrics_kimg=interval))
    metrics = Counted(config.metrics, config.data)
    Trainer(config, pictures, metrics=metrics).run()
    assert measurements(config) == metrics.calls


# Mistakes
def test_what_cannot_be_tuned_is_named(base: TrainConfig) -> None:
    for config, words in (
        (replace(base, max_minutes=3.0), "max_minutes is 3.0; trials have equal lengths"),
        (replace(base, metrics=MetricsConfig(names=())), "nothing is measured to search by"),
    ):
        with pytest.raises(TrainingError, match=words):
            plan_of(config, TuningConfig())
    base.out.mkdir()
    (base.out / "config.json").write_text("{}")
    with pytest.raises(TrainingError, match="study holds a run; choose another --out"):
        plan_of(base, TuningConfig())


def test_a_group_of_ones_own_is_kept(base: TrainConfig) -> None:
    config = replace(base, trackers=TrackerConfig(group="mine"))
    assert plan_of(config, TuningConfig()).trial.trackers.group == "mine"
