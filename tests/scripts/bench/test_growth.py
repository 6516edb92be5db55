"""Variants differ in what they say, exponents follow from the paces, tables hold the right rows."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from brushwork.eval.errors import EvalError
from brushwork.scripts.bench import growth as growth_benchmark
from brushwork.scripts.bench.growth import (
    KINDS,
    Growth,
    Line,
    Point,
    What,
    at_end,
    benchmark,
    picture,
    scaled,
)
from brushwork.scripts.bench.report import markdown
from brushwork.scripts.bench.train import Pace, Sizes
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError

MakeConfig = Callable[..., TrainConfig]


def pace(resolution: int, batch: int, seconds: float, memory: float) -> Pace:
    return Pace(
        resolution=resolution, batch=batch, precision="bf16", steps={"sampling": (seconds,) * 2},
        flops={"sampling": 80}, shares={"sampling": 1.0}, r1_interval=4, parts={}, convolution=100.0,
        product=120.0, before=10.0, peak=10.0 + memory,
    )  # fmt: skip


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Every field by its path."""
    if not isinstance(value, dict):
        return {name: value}
    return {k: v for key, part in value.items() for k, v in flat(part, f"{name}.{key}".strip(".")).items()}


def changes(a: TrainConfig, b: TrainConfig) -> dict[str, tuple[Any, Any]]:
    old, new = flat(asdict(a)), flat(asdict(b))
    return {name: (old[name], new[name]) for name in old if old[name] != new[name]}


# Variants
def test_the_middle_is_the_end_of_growing(make_config: MakeConfig) -> None:
    assert changes(make_config(), at_end(make_config())) == {"growing.start_resolution": (8, 16)}


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_variant_differs_in_what_it_says_and_in_nothing_else(
    make_config: MakeConfig, factor: float
) -> None:
    middle = at_end(make_config())
    names: dict[What, dict[str, int]] = {
        "resolution": {"generator.resolution": 16, "growing.start_resolution": 16},
        "batch": {"batch": 8},
        "width": {
            f"{network}.{field}": value
            for network in ("generator", "discriminator")
            for field, value in (("channel_base", 128), ("channel_max", 8))
        },
    }
    assert set(names) == set(KINDS)
    for what, expected in names.items():
        found = changes(middle, scaled(middle, what, factor))
        assert found == {name: (value, factor * value) for name, value in expected.items()}


def test_impossible_variants_say_why(make_config: MakeConfig) -> None:
    middle = at_end(make_config())
    with pytest.raises(TrainingError, match=r"batch 3 cannot be taken 0\.5 times; take an even number"):
        scaled(replace(middle, batch=3), "batch", 0.5)
    with pytest.raises(TrainingError, match="batch 4 does not divide into 1 processes x 8 parts"):
        scaled(replace(middle, accumulate=8), "batch", 0.5)
    with pytest.raises(ValidationError, match="greater than or equal to 8"):
        scaled(scaled(middle, "resolution", 0.5), "resolution", 0.5)


# All of them
def test_the_middle_is_measured_once_and_what_fails_is_left_out(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[TrainConfig] = []

    def in_child(_: object, config: TrainConfig, resolution: int, sizes: Sizes) -> Pace:
        assert resolution == config.generator.resolution == config.growing.start_resolution
        assert sizes.repeats == 3
        measured.append(config)
        if config.batch == 32:
            raise EvalError("The process was killed.")
        return pace(resolution, config.batch, 1.0, 1.0)

    monkeypatch.setattr(growth_benchmark, "in_child", in_child)
    base = make_config(batch=16, accumulate=16, precision="auto")
    lines = benchmark(base, Sizes(repeats=3))
    assert [line.what for line in lines] == list(KINDS)
    assert [list(line.points) for line in lines] == [[0.5, 1.0, 2.0], [1.0], [0.5, 1.0, 2.0]]
    assert [[point.size for point in line.points.values()] for line in lines] == [
        [8, 16, 32], [16], [4, 8, 16]
    ]  # fmt: skip
    assert set(lines[1].left_out) == {0.5, 2.0}
    assert lines[1].left_out[2.0] == "The process was killed."
    assert len(measured) == 6, "the middle once, and all others that could be tried"
    assert [config.precision for config in measured] == ["auto", *["bf16"] * 5], "as the middle found it"


def test_a_middle_that_cannot_be_measured_is_a_mistake(make_config: MakeConfig) -> None:
    with pytest.raises(TrainingError, match="batch 8 does not divide"):
        benchmark(make_config(accumulate=3), Sizes(repeats=2))


# What follows
@pytest.fixture
def lines() -> tuple[Line, ...]:
    """Four times the time a picture at twice the resolution; the batch at twice is free; no wider."""
    middle = Point(size=16, pace=pace(16, 8, 2.0, 100.0))
    return (
        Line(what="resolution", points={
            0.5: Point(size=8, pace=pace(8, 8, 1.0, 90.0)), 1.0: middle,
            2.0: Point(size=32, pace=pace(32, 8, 8.0, 800.0)),
        }),
        Line(what="batch", points={
            1.0: replace(middle, size=8), 2.0: Point(size=16, pace=pace(16, 16, 4.0, 100.0))
        }),
        Line(what="width", points={1.0: replace(middle, size=96)}, left_out={2.0: "too wide"}),
    )  # fmt: skip


def test_exponents_are_from_the_middle_to_the_double(lines: tuple[Line, ...]) -> None:
    resolution, batch, width = lines
    assert resolution.time_exponent == pytest.approx(2)
    assert resolution.memory_exponent == pytest.approx(3), "above what the process had at its start"
    assert batch.time_exponent == pytest.approx(0), "of a picture, not of a step"
    assert batch.memory_exponent == pytest.approx(0)
    assert math.isnan(width.time_exponent)
    assert math.isnan(width.memory_exponent)
    nothing = replace(batch, points={1.0: Point(size=8, pace=pace(16, 8, 1.0, 0.0)), 2.0: batch.points[2.0]})
    assert math.isnan(nothing.memory_exponent), "no power leads away from nothing"


def test_the_table_has_the_middle_once_and_a_row_for_each_variant(lines: tuple[Line, ...]) -> None:
    growth = Growth(lines=lines)
    table = growth.table()
    assert table.title == "Growth of a training step: 16 px, 8 pictures, 96 channels, bf16"
    assert [row[0] for row in table.rows] == [
        "as it is", "resolution x 1/2: 8 px", "resolution x 2: 32 px", "batch x 2: 16 pictures"
    ]  # fmt: skip
    assert table.rows[2][1:3] == ("1.0", "8000 (0%)")
    assert [row[-2:] for row in table.rows] == [("", ""), ("", ""), ("2.00", "3.00"), ("0.00", "0.00")]
    text = markdown(table)
    assert "Left out, width x 2: too wide" in text
    assert "brushwork bench styles" in text
    found = json.loads(json.dumps(growth.to_json()))
    assert found["resolution"]["points"]["2"]["seconds_a_picture"] == 1
    assert found["resolution"]["points"]["2"]["memory_above_start"] == 800
    assert found["resolution"]["memory_exponent"] == pytest.approx(3)
    assert found["width"]["left_out"] == {"2": "too wide"}


def test_the_picture_has_a_line_for_each_thing_in_both_panels(lines: tuple[Line, ...]) -> None:
    time, memory = picture(lines).axes
    for axes in (time, memory):
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        assert [line.get_label() for line in axes.lines] == ["resolution", "batch", "width"]
        assert np.asarray(axes.lines[0].get_xdata()).tolist() == [0.5, 1, 2]
    assert np.asarray(time.lines[0].get_ydata()).tolist() == [125, 250, 1000]
    assert np.asarray(memory.lines[0].get_ydata()).tolist() == [90, 100, 800]
    assert [text.get_text() for text in memory.texts] == ["90", "100", "800", "100", "100", "100"]


def test_networks_that_need_no_memory_of_their_own_have_a_picture() -> None:
    """Importing may have taken more than they do, and a logarithm knows no zero."""
    middle = Point(size=8, pace=pace(8, 4, 1.0, 0.0))
    none = tuple(Line(what=what, points={1.0: middle}) for what in KINDS)
    assert picture(none).axes[1].get_yscale() == "linear"
