"""Studies: proposing, pruning, repeating and continuing trials. A formula stands in for training."""

import csv
import math
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pytest

from brushwork.data.dataset import ImageDataset
from brushwork.eval.reference import Reference
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.pretrained.frozen import from_notes
from brushwork.models.snapshot import snapshot_header
from brushwork.models.stage import Stage
from brushwork.training.config import TrainConfig
from brushwork.training.errors import Diverged, TrainingError
from brushwork.training.preset_files import read_preset
from brushwork.training.run.metrics import InLoopMetrics, MetricsConfig
from brushwork.training.run.run_folder import differences, to_json
from brushwork.training.trainer import Outcome, Trainer
from brushwork.training.tune import search as module
from brushwork.training.tune.config import TuningConfig
from brushwork.training.tune.plan import count_measurements, with_fields
from brushwork.training.tune.search import TrialMetrics, TuningResult, train_on, tune

RATE = "optimizer.generator_lr=0.0001:1"
Formula = Callable[[TrainConfig, int], float]


def bowl(config: TrainConfig, measurement: int) -> float:
    """Lowest, 0 in the end, at a learning rate of 0.01."""
    return (math.log10(config.optimizer.generator_lr) + 2) ** 2 + 4 - measurement


@dataclass
class Training:
    """Measures a formula four times, and records the configurations."""

    formula: Formula = bowl
    stop_at: int = -1
    """Index of the training that stops after its first measurement, ..."""
    by: Exception | type[BaseException] | None = None
    """... with this exception; None: by a signal."""
    configs: list[TrainConfig] = field(default_factory=list)

    def __call__(self, config: TrainConfig, metrics: TrialMetrics) -> Outcome:
        self.configs.append(config)
        for measurement in range(1, metrics.count + 1):
            metrics.report({metrics.metric: self.formula(config, measurement)})
            if len(self.configs) - 1 == self.stop_at:
                if self.by is not None:
                    raise self.by
                return Outcome(reason="signal", nimg=8, resolution=8, signal=int(signal.SIGTERM))
        return Outcome(reason="finished", nimg=32, resolution=16)

    @property
    def rates(self) -> list[float]:
        return [config.optimizer.generator_lr for config in self.configs]


Search = Callable[..., TuningResult]


@pytest.fixture
def base(make_config: Callable[..., TrainConfig], tmp_path: Path) -> TrainConfig:
    return make_config(out=tmp_path / "study")


@pytest.fixture
def search(base: TrainConfig) -> Search:
    def run(train: Training, config: TrainConfig = base, data: str = "toy", **changes: Any) -> TuningResult:
        tuning = TuningConfig(**({"search": (RATE,), "defaults": False, "trials": 4} | changes))
        return tune(config, tuning, InLoopMetrics(config.metrics, config.data), train, data)

    return run


def ends(result: TuningResult) -> list[str]:
    return [trial.user_attrs["end"] for trial in result.trials]


def counts(result: TuningResult) -> list[int]:
    """Measurements per trial."""
    return [len(trial.intermediate_values) for trial in result.trials]


def test_the_search_starts_at_the_preset_and_finds_the_minimum(search: Search) -> None:
    training = Training()
    result = search(training, trials=18)
    assert training.rates[0] == 0.001, "first the preset itself"
    assert result.best is not None
    assert 0.005 < result.best.params["optimizer.generator_lr"] < 0.02
    assert "pruned" in ends(result)


def test_the_metric_decides_whether_more_is_better(search: Search, base: TrainConfig) -> None:
    config = replace(base, metrics=MetricsConfig(best_by="accuracy"))
    steady = Training(lambda config, measurement: (0.0, 1.0, 2.0, 3.0, 1.4, 1.6)[int(config.out.name)])
    result = search(steady, config=config, trials=6)
    assert result.best is not None
    assert (result.best.number, result.best.value) == (3, 3.0)
    assert ends(result)[4:] == ["pruned", "complete"], "the median is 1.5"


def test_a_continued_study_runs_what_is_left_and_repeats_no_trial(search: Search, base: TrainConfig) -> None:
    whole = Training()
    search(whole, config=replace(base, out=base.out.with_name("whole")), trials=10)
    first, second, third = Training(), Training(), Training()
    search(first, trials=4)
    result = search(second, trials=10)
    assert (len(first.rates), len(second.rates)) == (4, 6)
    assert first.rates + second.rates == whole.rates, "as if never stopped"
    assert len(set(whole.rates)) == 10, "and no proposal is repeated"
    assert search(third, trials=10).trials == result.trials
    assert third.configs == []


@pytest.mark.parametrize(
    ("by", "at"), [(None, 0), (None, 2), (KeyboardInterrupt, 2), (OSError(28, "no space left"), 0)]
)
def test_an_interrupted_trial_is_repeated(search: Search, base: TrainConfig, by: Any, at: int) -> None:
    """By a signal that stops the trainer, or with the process: the database says RUNNING in both cases."""
    whole = Training()
    search(whole, config=replace(base, out=base.out.with_name("whole")), trials=4)
    cut, rest = Training(stop_at=at, by=by), Training()
    if by is None:
        assert search(cut, trials=4).signal == signal.SIGTERM
    else:
        with pytest.raises(by if isinstance(by, type) else OSError):
            search(cut, trials=4)
    result = search(rest, trials=4)
    assert result.signal is None
    assert cut.rates + rest.rates[1:] == whole.rates
    assert rest.rates[0] == cut.rates[at]
    assert [trial.number for trial in result.trials] == [*range(at), *range(at + 1, 5)]
    assert rest.configs[0].out.name == f"{at + 1:04d}", "in a folder of its own"


def test_a_study_of_other_trials_is_refused(search: Search, base: TrainConfig) -> None:
    search(Training(), trials=1)
    others: list[tuple[dict[str, Any], str]] = [
        ({"config": replace(base, batch=4)}, "batch: 8 there, 4 here"),
        ({"search": ("loss.mixing=0:1",)}, "search.loss.mixing: None there, FloatDistribution(high=1.0"),
        ({"config": replace(base, metrics=MetricsConfig(best_by="accuracy"))}, "best_by: fd there, accuracy"),
        ({"trial_kimg": 0.016}, "trial_kimg: 0.032 there, 0.016 here"),
        ({"data": "other"}, "images: toy there, other here"),
    ]
    for changes, words in others:
        with pytest.raises(TrainingError, match="holds a study of other trials; choose another") as raised:
            search(Training(), **changes)
        assert words in str(raised.value)
    assert len(search(Training(), config=replace(base, threads=2), trials=2).trials) == 2


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


def test_a_trial_worse_than_the_median_is_pruned_at_the_second_measurement(search: Search) -> None:
    """Trials 0 to 3 are complete, at 0, 1, 2 and 3: the median is 1.5, and 1.4 alone is better."""

    def schedule(config: TrainConfig, measurement: int) -> float:
        trial = int(config.out.name)
        return {4: 1.6, 5: 1.4}.get(trial, float(trial)) - 0.1 * measurement

    result = search(Training(schedule), trials=6)
    assert ends(result) == ["complete"] * 4 + ["pruned", "complete"]
    assert counts(result) == [4] * 4 + [2, 4]


def test_the_last_measurement_never_prunes(search: Search) -> None:
    def late(config: TrainConfig, measurement: int) -> float:
        return 0.5 if measurement == 4 and config.out.name != "0004" else 1.0

    assert ends(search(Training(late), trials=5)) == ["complete"] * 5


def test_diverged_trials_count_and_are_never_the_best(search: Search, base: TrainConfig) -> None:
    def some(config: TrainConfig, measurement: int) -> float:
        trial = int(config.out.name)
        if trial == 1 and measurement == 3:
            raise Diverged("the loss is no finite number at 0.0 kimg.")
        return math.nan if trial == 2 else bowl(config, measurement)

    result = search(Training(some), trials=4)
    assert ends(result) == ["complete", "diverged", "diverged", "complete"]
    assert counts(result) == [4, 2, 0, 4]
    assert result.trials[2].value is None
    with (base.out / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["end"] for row in rows] == ends(result)
    assert [int(row["measured"]) for row in rows] == counts(result)
    assert (float(rows[3]["fd"]), rows[2]["fd"]) == (result.trials[3].value, "")
    assert float(rows[3]["optimizer.generator_lr"]) == result.trials[3].params["optimizer.generator_lr"]
    config = replace(base, out=base.out.with_name("diverged"))
    assert search(Training(lambda *_: math.nan), config=config, trials=2).best is None
    assert (config.out / "trials.csv").exists()
    assert not (config.out / "best.json").exists()


def test_other_errors_end_the_search_and_do_not_count(search: Search) -> None:
    mistake = TrainingError("3 images cannot be paired off.")
    with pytest.raises(TrainingError, match="paired off"):
        search(Training(stop_at=1, by=mistake), trials=3)
    rest = Training()
    assert len(search(rest, trials=3).trials) == 3
    assert len(rest.configs) == 2


def test_trials_are_short_runs_of_the_preset_in_one_group(search: Search, base: TrainConfig) -> None:
    training = Training()
    search(training, trials=2, trial_kimg=0.016)
    for number, config in enumerate(training.configs):
        assert config.out == base.out / "trials" / f"{number:04d}"
        assert (config.total_kimg, config.interval.metrics_kimg) == (0.016, 0.004)
        assert config.growing == base.growing.scaled(0.5)
        assert config.trackers.group == "study"
        assert (config.seed, config.batch, config.loss) == (base.seed, base.batch, base.loss)


def test_best_json_is_the_configuration_of_the_best_trial_and_trains(
    search: Search, base: TrainConfig, pictures: ImageDataset
) -> None:
    training = Training(lambda config, measurement: -float(config.out.name))
    result = search(training, trials=3, search=(RATE, "batch=4,8"))
    assert result.best is not None
    assert result.best.number == 2
    found = read_preset(base.out / "best.json")
    trained = training.configs[result.best.number]
    assert differences(to_json(replace(found, tuned_by=())), to_json(trained)) == []
    settings = with_fields(base, result.best.params)
    assert found == replace(settings, out=base.out / "best", tuned_by=("efficientnet-lite0",))
    outcome = Trainer(found, pictures).run()
    assert (outcome.reason, outcome.nimg) == ("finished", 32)
    header = snapshot_header(found.out / "snapshots" / "latest.safetensors")
    assert [network.role for network in from_notes(header["notes"]["looked_through"])] == ["tuning"]


class Counted(InLoopMetrics):
    """Rising values, and how often the reference was built; fails at the measurement `broken`."""

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
            raise ModelError("the generator drew images that are not finite numbers.")
        return {"fd": float(self.calls)}  # every trial is worse than all before


def test_real_trainings_share_the_reference_and_clean_up(
    base: TrainConfig, pictures: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[Trainer] = []

    class Watched(Trainer):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            monkeypatch.setattr(self.accelerator, "end_training", lambda: ended.append(self))

    monkeypatch.setattr(module, "Trainer", Watched)
    monkeypatch.setattr(module, "PRUNING", {"n_startup_trials": 1, "n_min_trials": 1, "n_warmup_steps": 2})
    metrics = Counted(base.metrics, base.data)
    metrics.broken = 7
    tuning = TuningConfig(search=(RATE,), defaults=False, trials=3)
    result = tune(base, tuning, metrics, train_on(pictures), pictures.fingerprint)
    assert ends(result) == ["complete", "pruned", "diverged"]
    assert counts(result) == [4, 2, 0]
    assert metrics.built == 1
    assert len(ended) == 3, "trackers are closed however a trial ends"
    for trial in result.trials:
        folder = base.out / "trials" / f"{trial.number:04d}"
        trained = read_preset(folder / "config.json")
        assert trained.optimizer.generator_lr == trial.params["optimizer.generator_lr"]
        assert not (folder / "checkpoints").exists()
    assert (base.out / "trials" / "0000" / "snapshots" / "best.safetensors").exists()


@pytest.mark.parametrize(("batch", "kimg", "interval"), [(8, 0.032, 0.008), (8, 0.03, 0.012), (4, 0.02, 0.9)])
def test_measurements_are_counted_in_advance(
    base: TrainConfig, pictures: ImageDataset, batch: int, kimg: float, interval: float
) -> None:
    intervals = replace(base.interval, metrics_kimg=interval)
    config = replace(base, batch=batch, total_kimg=kimg, interval=intervals)
    metrics = Counted(config.metrics, config.data)
    Trainer(config, pictures, metrics=metrics).run()
    assert count_measurements(config) == metrics.calls
