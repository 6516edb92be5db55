"""Variants, exponents and the table of the benchmark `growth`."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

from brushwork.eval.errors import EvalError
from brushwork.scripts.bench import growth as module
from brushwork.scripts.bench.growth import (
    QUANTITIES,
    Line,
    Quantity,
    growth,
    measure_growth,
    scaled,
    without_growing,
)
from brushwork.scripts.bench.train import Throughput
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.run.run_folder import flat

MakeConfig = Callable[..., TrainConfig]


def throughput(resolution: int, batch: int, seconds: float, memory: float) -> Throughput:
    return Throughput(
        resolution=resolution, batch=batch, precision="bf16", steps={"sampling": (seconds,) * 2},
        flops={"sampling": 80}, shares={"sampling": 1.0}, r1_interval=4, parts={}, convolution=100.0,
        before=10.0, peak=10.0 + memory,
    )  # fmt: skip


def changes(a: TrainConfig, b: TrainConfig) -> dict[str, tuple[Any, Any]]:
    old, new = dict(flat(asdict(a))), dict(flat(asdict(b)))
    return {name: (old[name], new[name]) for name in old if old[name] != new[name]}


# Variants
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_variant_changes_one_quantity(make_config: MakeConfig, factor: float) -> None:
    middle = without_growing(make_config())
    assert changes(make_config(), middle) == {"growing.start_resolution": (8, 16)}
    networks = ("generator", "discriminator")
    names: dict[Quantity, dict[str, int]] = {
        "resolution": {"generator.resolution": 16, "growing.start_resolution": 16},
        "batch": {"batch": 8},
        "width": {f"{network}.channel_base": 128 for network in networks}
        | {f"{network}.channel_max": 8 for network in networks},
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

    monkeypatch.setattr(module, "in_child", in_child)
    lines = measure_growth(make_config(batch=16, accumulate=16, precision="auto"), 3)
    assert [line.quantity for line in lines] == list(QUANTITIES)
    assert [list(line.sizes.values()) for line in lines] == [
        ["16 px", "8 px", "32 px"], ["16 images"], ["8 channels", "4 channels", "16 channels"]
    ]  # fmt: skip
    assert [line.points.keys() for line in lines] == [line.sizes.keys() for line in lines]
    assert set(lines[1].left_out) == {0.5, 2.0}
    assert lines[1].left_out[2.0] == "The process was killed."
    assert len(measured) == 6, "the base once, and all others that could be tried"
    assert [config.precision for config in measured] == ["auto", *["bf16"] * 5], "as for the base"


def test_exponents_are_from_factor_1_to_2_and_the_table_has_a_row_for_each_variant() -> None:
    """Resolution: exponent 2 of time, 3 of memory. Batch: 0. Width: not measured."""
    middle = throughput(16, 8, 2.0, 100.0)
    small, large = throughput(8, 8, 1.0, 90.0), throughput(32, 8, 8.0, 800.0)
    resolution = Line(
        quantity="resolution", points={1.0: middle, 0.5: small, 2.0: large},
        sizes={1.0: "16 px", 0.5: "8 px", 2.0: "32 px"},
    )  # fmt: skip
    points = {1.0: middle, 2.0: throughput(16, 16, 4.0, 100.0)}
    batch = Line(
        quantity="batch", points=points, sizes={1.0: "8 images", 2.0: "16 images"}, left_out={0.5: "too few"}
    )
    width = Line(
        quantity="width", points={1.0: middle}, sizes={1.0: "96 channels"},
        left_out={0.5: "too narrow", 2.0: "too wide"},
    )  # fmt: skip
    nothing = replace(batch, points={1.0: throughput(16, 8, 1.0, 0.0), 2.0: batch.points[2.0]})
    assert math.isnan(nothing.exponents[1]), "a ratio to nothing"
    table = growth([resolution, batch, width])
    assert table.title == "Growth of a training step: 16 px, 8 images, 96 channels, bf16"
    assert [row[0] for row in table.rows] == [
        "as it is", "resolution x 1/2: 8 px", "resolution x 2: 32 px", "batch x 2: 16 images"
    ]  # fmt: skip
    assert table.rows[2][1:3] == ("1.0", "8000 (0%)")
    assert [row[-2:] for row in table.rows] == [("", ""), ("", ""), ("2.00", "3.00"), ("0.00", "0.00")]
    assert {len(row) for row in table.rows} == {len(table.header)}
    assert "Left out, width x 2: too wide" in table.notes
    found = json.loads(json.dumps(table.data))
    assert found["resolution"]["points"]["2"]["peak"] == 810
    assert found["resolution"]["exponents"] == pytest.approx([2, 3])
    assert math.isnan(found["width"]["exponents"][0])
    assert found["width"]["left_out"] == {"0.5": "too narrow", "2": "too wide"}
