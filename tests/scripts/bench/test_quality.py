"""Equal minutes for every way of training, and what their curves say."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from brushwork.data.pictures import Pictures
from brushwork.data.sources.toy import toy_pictures
from brushwork.models.generator import Generator
from brushwork.models.stage import Stage
from brushwork.scripts.bench import quality as quality_benchmark
from brushwork.scripts.bench.quality import (
    WAYS,
    Contest,
    Curve,
    Paces,
    Quality,
    benchmark,
    fitted,
    measured_rates,
    minutes_at,
    picture,
)
from brushwork.scripts.bench.report import markdown
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.run.metrics import InLoopMetrics
from brushwork.training.schedules import GrowingConfig, phases
from brushwork.training.trainer import Trainer

Make = Callable[..., TrainConfig]

GROWN = GrowingConfig(start_resolution=8, fade_kimg=(1.0,), steady_kimg=(2.0,))
RATES = {8: 0.01, 16: 0.02}


@pytest.fixture
def pictures() -> Pictures:
    return toy_pictures(styles=3, subjects=8, size=16)


def test_a_fitted_course_takes_the_minutes_and_keeps_its_proportions(make_config: Make) -> None:
    config = make_config(growing=GROWN, total_kimg=6.0)
    for minutes in (0.5, 50.0):
        own = fitted(config, RATES, minutes)
        assert minutes_at(round(own.total_kimg * 1000), own, RATES) == pytest.approx(minutes, rel=1e-3)
        ends = [phase.end / (1000 * own.total_kimg) for phase in phases(own.growing, 16)[:-1]]
        assert ends == pytest.approx([2 / 6])
    # 2,000 pictures of 10 ms, then 1,000 of 20 ms.
    assert minutes_at(3000, config, RATES) == pytest.approx(40 / 60)


def test_each_way_changes_what_it_says(make_config: Make) -> None:
    config = make_config(growing=GROWN)
    changed = {name: way.change(config) for name, way in WAYS.items()}
    assert changed["alternating"].loss.update_order == "alternating"
    for name in ("simultaneous", "fixed", "modulated", "fp32", "bf16"):
        assert changed[name].loss.update_order == "simultaneous"
    assert changed["fixed"].growing.start_resolution == 16
    assert changed["modulated"].generator.modulation == "modulated"
    assert [changed[name].precision for name in ("fp32", "bf16")] == ["fp32", "bf16"]
    assert changed["simultaneous"] == replace(config, loss=changed["simultaneous"].loss)


def test_rates_are_of_every_resolution_of_the_way(
    make_config: Make, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality_benchmark, "open_pictures", lambda *_: pictures)
    found = measured_rates(make_config(growing=GROWN), ("simultaneous", "fixed"), rounds=1)
    assert set(found["simultaneous"]) == {8, 16}
    assert set(found["fixed"]) == {16}
    assert all(seconds > 0 for rates in found.values() for seconds in rates.values())


def test_a_race_trains_every_run_once_and_measures_every_snapshot_once(
    make_config: Make, pictures: Pictures, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained: list[str] = []
    timed: list[str] = []
    seen: list[Stage] = []

    class Metrics(InLoopMetrics):
        def __init__(self, *_: object) -> None: ...

        def __call__(self, generator: Generator, stage: Stage) -> dict[str, float]:
            seen.append(stage)
            return {"fd": 100.0 / len(seen)}

    def train(config: TrainConfig) -> None:
        trained.append(config.out.name)
        assert config.precision == "bf16", "as was found out once, for rates and runs alike"
        Trainer(config, pictures).run()

    def rates(config: TrainConfig, ways: tuple[str, ...]) -> dict[str, dict[int, float]]:
        timed.append(config.precision)
        return {way: {16: 0.01} if way == "fixed" else RATES for way in ways}

    monkeypatch.setattr(quality_benchmark, "open_pictures", lambda *_: pictures)
    monkeypatch.setattr(quality_benchmark, "InLoopMetrics", Metrics)
    monkeypatch.setattr(quality_benchmark, "in_child", lambda function, *given: function(*given))
    monkeypatch.setattr(quality_benchmark, "train", train)
    monkeypatch.setattr(quality_benchmark, "measured_rates", rates)
    probed = iter(["bf16"])
    monkeypatch.setattr(quality_benchmark, "choose_precision", lambda *_: next(probed))
    config = make_config(growing=GROWN, total_kimg=6.0)
    contest = Contest(ways=("simultaneous", "fixed"), seeds=2, minutes=0.04)
    found, curves = benchmark(config, contest, tmp_path)
    assert trained == ["simultaneous-0", "fixed-0", "simultaneous-1", "fixed-1"]
    assert found.rates["fixed"] == {16: 0.01}
    assert (found.precision, timed) == ("bf16", ["bf16"])
    assert {stage.resolution for stage in seen} == {8, 16}
    for curve in curves:
        assert len(curve.minutes) >= 14
        assert curve.minutes == tuple(sorted(curve.minutes))
        assert curve.minutes[-1] == pytest.approx(0.04, abs=0.003)
    measured = len(seen)
    # One run's last half is lost: only that run goes on, and only its snapshots are measured anew.
    for path in sorted((tmp_path / "fixed-1" / "snapshots").iterdir())[-4:]:
        path.unlink()
    again = benchmark(config, contest, tmp_path)[1]
    assert trained[4:] == ["fixed-1"]
    assert len(seen) == measured
    assert again[:3] == curves[:3]


CURVES = [
    Curve(way="simultaneous", seed=0, minutes=(1.0, 2.0, 3.0), distances=(90.0, 50.0, 30.0)),
    Curve(way="simultaneous", seed=1, minutes=(1.0, 2.0, 3.0), distances=(110.0, 70.0, 10.0)),
    Curve(way="fixed", seed=0, minutes=(1.5, 3.0), distances=(80.0, 60.0)),
]


def test_the_table_tells_ends_means_and_minutes_to_where_the_worst_ends() -> None:
    paces = Paces(precision="bf16", rates={"simultaneous": RATES, "fixed": {16: 0.04}})
    quality = Quality(curves=CURVES, paces=paces)
    assert quality.goal == 60
    assert quality.to_goal("simultaneous") == pytest.approx(2.0, abs=0.02)
    assert quality.to_goal("fixed") == pytest.approx(3.0)
    text = markdown(quality.table())
    assert "says none: bf16." in text
    (row,) = [line for line in text.splitlines() if line.startswith("| simultaneous")]
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["50.0", "30 10", "20", "2.0"]
    assert json.loads(json.dumps(quality.to_json()))["goal"] == 60
    assert len(picture(quality).axes[0].lines) == 2


def test_a_race_of_nothing_and_unknown_ways_are_refused() -> None:
    with pytest.raises(TrainingError, match="no way 'sideways'"):
        Contest(ways=("sideways",))
    with pytest.raises(TrainingError, match="no way of training to compare"):
        Contest(ways=())
