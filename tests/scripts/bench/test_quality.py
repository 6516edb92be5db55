"""Equal minutes for every way of training, and the table of their curves."""

from collections.abc import Callable
from pathlib import Path

import pytest

from brushwork.models.generator import Generator
from brushwork.models.stage import Stage
from brushwork.scripts.bench import quality
from brushwork.scripts.bench.quality import Calibration, Curve, calibrated, minutes_at, minutes_to
from brushwork.scripts.bench.toy import toy_dataset
from brushwork.training.config import TrainConfig
from brushwork.training.schedules import GrowingConfig, phases
from brushwork.training.trainer import Trainer

Make = Callable[..., TrainConfig]

GROWN = GrowingConfig(start_resolution=8, fade_kimg=(1.0,), steady_kimg=(2.0,))
SECONDS = {8: 0.01, 16: 0.02}
PICTURES = toy_dataset(styles=3, subjects=8, size=16)


def test_a_fitted_course_takes_the_minutes_and_keeps_its_proportions(make_config: Make) -> None:
    config = make_config(growing=GROWN, total_kimg=6.0)
    for minutes in (0.5, 50.0):
        own = quality.fitted(config, SECONDS, minutes)
        assert minutes_at(round(own.total_kimg * 1000), own, SECONDS) == pytest.approx(minutes, rel=1e-3)
        ends = [phase.end / (1000 * own.total_kimg) for phase in phases(own.growing, 16)[:-1]]
        assert ends == pytest.approx([2 / 6])
    # 2,000 images of 10 ms, then 1,000 of 20 ms.
    assert minutes_at(3000, config, SECONDS) == pytest.approx(40 / 60)


def test_runs_are_trained_once_and_snapshots_measured_once(
    make_config: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained: list[str] = []
    timed: list[str] = []
    stages: list[Stage] = []

    def measure(_: Generator, stage: Stage) -> dict[str, float]:
        stages.append(stage)
        return {"fd": 100.0 / len(stages)}

    def train(config: TrainConfig) -> None:
        trained.append(config.out.name)
        assert config.precision == "bf16", "as was found out once, for rates and runs alike"
        Trainer(config, PICTURES).run()

    def seconds(config: TrainConfig, ways: tuple[str, ...]) -> dict[str, dict[int, float]]:
        timed.append(config.precision)
        return {way: {16: 0.01} if way == "fixed" else SECONDS for way in ways}

    probed = iter(["bf16"])
    for name, value in {
        "open_dataset": lambda *_: PICTURES, "InLoopMetrics": lambda *_: measure, "train": train,
        "in_child": lambda function, *given: function(*given), "measured_seconds": seconds,
        "choose_precision": lambda *_: next(probed),
    }.items():  # fmt: skip
        monkeypatch.setattr(quality, name, value)
    base, ways = make_config(growing=GROWN, total_kimg=6.0), ("simultaneous", "fixed")
    args = quality.QualityArguments(ways=ways, seeds=2, minutes=0.04, report=tmp_path, base=base)
    calibration = calibrated(args)
    curves = quality.train_and_measure(args, calibration)
    assert trained == ["simultaneous-0", "fixed-0", "simultaneous-1", "fixed-1"]
    assert calibration == Calibration(
        precision="bf16", seconds={"simultaneous": SECONDS, "fixed": {16: 0.01}}
    )
    assert {stage.resolution for stage in stages} == {8, 16}
    assert [[curve.seed for curve in curves[way]] for way in ways] == [[0, 1], [0, 1]]
    for curve in (*curves["simultaneous"], *curves["fixed"]):
        assert len(curve.minutes) >= 14
        assert curve.minutes == tuple(sorted(curve.minutes))
        assert curve.minutes[-1] == pytest.approx(0.04, abs=0.003)
    measured = len(stages)
    # One run's last half is lost: only that run goes on, and only its snapshots are measured anew.
    for path in sorted((tmp_path / "fixed-1" / "snapshots").iterdir())[-4:]:
        path.unlink()
    again = quality.train_and_measure(args, calibrated(args))
    assert (trained[4:], timed, len(stages)) == (["fixed-1"], ["bf16"], measured)
    assert again["simultaneous"] == curves["simultaneous"]
    assert again["fixed"][0] == curves["fixed"][0]


def test_the_table_tells_ends_means_and_minutes_to_where_the_worst_ends() -> None:
    grown = [
        Curve(seed=0, minutes=(1.0, 2.0, 3.0), distances=(90.0, 50.0, 30.0)),
        Curve(seed=1, minutes=(1.0, 2.0, 3.0), distances=(110.0, 70.0, 10.0)),
    ]
    fixed = [Curve(seed=0, minutes=(1.5, 3.0), distances=(80.0, 60.0))]
    curves = {"simultaneous": grown, "fixed": fixed}
    assert minutes_to(60, grown) == pytest.approx(2.0, abs=0.02)
    assert minutes_to(60, fixed) == pytest.approx(3.0)
    assert minutes_to(5, grown) is None
    seconds = {"simultaneous": SECONDS, "fixed": {16: 0.04}}
    found = quality.table(curves, Calibration(precision="bf16", seconds=seconds))
    assert "do not say it: bf16." in found.notes[0]
    assert found.header[-1] == "minutes to 60"
    assert found.rows[0][1:] == ("50.0", "30 10", "20", "2.0")
    assert found.data["target"] == 60
    assert len(quality.plot(curves).axes[0].lines) == 2
