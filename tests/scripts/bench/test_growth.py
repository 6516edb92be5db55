"""Variants, exponents and the table of the benchmark `growth`."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
from pydantic import ValidationError

from brushwork.eval.errors import EvalError
from brushwork.scripts.bench import growth as growth_benchmark
from brushwork.scripts.bench.growth import (
    QUANTITIES,
    Line,
    Point,
    Quantity,
    growth,
    measure_growth,
    scaled,
    without_growing,
)
from brushwork.scripts.bench.report import markdown
from brushwork.scripts.bench.train import Throughput
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError

MakeConfig = Callable[..., TrainConfig]


def throughput(resolution: int, batch: int, seconds: float, memory: float) -> Throughput:
    return Throughput(
        resolution=resolution, batch=batch, precision="bf16", steps={"sampling": (seconds,) * 2},
        flops={"sampling": 80}, shares={"sampling": 1.0}, r1_interval=4, parts={}, convolution=100.0,
        before=10.0, peak=10.0 + memory,
    )  # fmt: skip


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Fields by their paths."""
    if not isinstance(value, dict):
        return {name: value}
    return {k: v for key, part in value.items() for k, v in flat(part, f"{name}.{key}".strip(".")).items()}


def changes(a: TrainConfig, b: TrainConfig) -> dict[str, tuple[Any, Any]]:
    old, new = flat(asdict(a)), flat(asdict(b))
    return {name: (old[name], new[name]) for name in old if old[name] != new[name]}


# Variants
def test_the_base_starts_at_its_final_resolution(make_config: MakeConfig) -> None:
    assert changes(make_config(), without_growing(make_config())) == {"growing.start_resolution": (8, 16)}


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_variant_changes_one_quantity(make_config: MakeConfig, factor: float) -> None:
    middle = without_growing(make_config())
    names: dict[Quantity, dict[str, int]] = {
        "resolution": {"generator.resolution": 16, "growing.start_resolution": 16},
        "batch": {"batch": 8},
        "width": {
            f"{network}.{field}": value
            for network in ("generator", "discriminator")
            for field, value in (("channel_base", 128), ("channel_max", 8))
        },
    }
    assert set(names) == set(QUANTITIES)
    for what, expected in names.items():
        found = changes(middle, scaled(middle, what, factor))
        assert found == {name: (value, factor * value) for name, value in expected.items()}


def test_impossible_variants_say_why(make_config: MakeConfig) -> None:
    middle = without_growing(make_config())
    with pytest.raises(TrainingError, match=r"batch 3 cannot be taken 0\.5 times; take an even number"):
        scaled(replace(middle, batch=3), "batch", 0.5)
    with pytest.raises(TrainingError, match="batch 4 does not divide into 1 processes x 8 parts"):
        scaled(replace(middle, accumulate=8), "batch", 0.5)
    with pytest.raises(ValidationError, match="greater than or equal to 8"):
        scaled(scaled(middle, "resolution", 0.5), "resolution", 0.5)


# All of them
def test_the_base_is_measured_once_and_what_fails_is_left_out(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[TrainConfig] = []

    def in_child(_: object, config: TrainConfig, resolution: int, repeats: int) -> Throughput:
        assert resolution == config.generator.resolution == config.growing.start_resolution
        assert repeats == 3
        measured.append(config)
        if config.batch == 32:
            raise EvalError("The process was killed.")
        return throughput(resolution, config.batch, 1.0, 1.0)

    monkeypatch.setattr(growth_benchmark, "in_child", in_child)
    base = make_config(batch=16, accumulate=16, precision="auto")
    lines = measure_growth(base, 3)
    assert [line.quantity for line in lines] == list(QUANTITIES)
    assert [list(line.points) for line in lines] == [[0.5, 1.0, 2.0], [1.0], [0.5, 1.0, 2.0]]
    assert [[point.size for point in line.points.values()] for line in lines] == [
        [8, 16, 32], [16], [4, 8, 16]
    ]  # fmt: skip
    assert set(lines[1].left_out) == {0.5, 2.0}
    assert lines[1].left_out[2.0] == "The process was killed."
    assert len(measured) == 6, "the base once, and all others that could be tried"
    assert [config.precision for config in measured] == ["auto", *["bf16"] * 5], "as for the base"


def test_a_base_that_cannot_be_measured_is_refused(make_config: MakeConfig) -> None:
    with pytest.raises(TrainingError, match="batch 8 does not divide"):
        measure_growth(make_config(accumulate=3), 2)


# What follows
@pytest.fixture
def lines() -> tuple[Line, ...]:
    """Resolution: exponent 2 of time, 3 of memory. Batch: 0. Width: not measured."""
    middle = Point(size=16, throughput=throughput(16, 8, 2.0, 100.0))
    return (
        Line(quantity="resolution", points={
            0.5: Point(size=8, throughput=throughput(8, 8, 1.0, 90.0)), 1.0: middle,
            2.0: Point(size=32, throughput=throughput(32, 8, 8.0, 800.0)),
        }),
        Line(quantity="batch", points={
            1.0: replace(middle, size=8), 2.0: Point(size=16, throughput=throughput(16, 16, 4.0, 100.0))
        }),
        Line(quantity="width", points={1.0: replace(middle, size=96)}, left_out={2.0: "too wide"}),
    )  # fmt: skip


def test_exponents_are_from_factor_1_to_2(lines: tuple[Line, ...]) -> None:
    resolution, batch, width = lines
    assert resolution.time_exponent == pytest.approx(2)
    assert resolution.memory_exponent == pytest.approx(3), "above that of the start"
    assert batch.time_exponent == pytest.approx(0), "for each image, not for each step"
    assert batch.memory_exponent == pytest.approx(0)
    assert math.isnan(width.time_exponent)
    assert math.isnan(width.memory_exponent)
    nothing = replace(
        batch, points={1.0: Point(size=8, throughput=throughput(16, 8, 1.0, 0.0)), 2.0: batch.points[2.0]}
    )
    assert math.isnan(nothing.memory_exponent), "a ratio to nothing"


def test_the_table_has_a_row_for_each_variant(lines: tuple[Line, ...]) -> None:
    finding = growth(lines)
    table = finding.table
    assert table.title == "Growth of a training step: 16 px, 8 pictures, 96 channels, bf16"
    assert [row[0] for row in table.rows] == [
        "as it is", "resolution x 1/2: 8 px", "resolution x 2: 32 px", "batch x 2: 16 pictures"
    ]  # fmt: skip
    assert table.rows[2][1:3] == ("1.0", "8000 (0%)")
    assert [row[-2:] for row in table.rows] == [("", ""), ("", ""), ("2.00", "3.00"), ("0.00", "0.00")]
    text = markdown(table)
    assert "Left out, width x 2: too wide" in text
    assert "brushwork bench styles" in text
    found = json.loads(json.dumps(finding.data))
    assert found["resolution"]["points"]["2"]["seconds_a_picture"] == 1
    assert found["resolution"]["points"]["2"]["memory_above_start"] == 800
    assert found["resolution"]["memory_exponent"] == pytest.approx(3)
    assert found["width"]["left_out"] == {"2": "too wide"}
