"""Variants, exponents and the table of the benchmark `growth`."""

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from brushwork.eval.errors import EvalError
from brushwork.scripts.bench import growth
from brushwork.scripts.bench.growth import QUANTITIES, Line, Quantity, scaled, without_growing
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


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_variant_changes_one_quantity(make_config: MakeConfig, factor: float) -> None:
    middle = without_growing(make_config())
    assert changes(make_config(), middle) == {"growing.start_resolution": (8, 16)}
    widths = {"channel_base": 128, "channel_max": 8}
    expected: dict[Quantity, dict[str, int]] = {
        "resolution": {"generator.resolution": 16, "growing.start_resolution": 16},
        "batch": {"batch": 8},
        "width": dict(flat({"generator": widths, "discriminator": widths})),
    }
    for what, values in expected.items():
        found = changes(middle, scaled(middle, what, factor))
        assert found == {name: (value, factor * value) for name, value in values.items()}


def test_an_odd_batch_cannot_be_halved(make_config: MakeConfig) -> None:
    with pytest.raises(TrainingError, match=r"batch 3 cannot be taken 0\.5 times"):
        scaled(make_config(batch=3), "batch", 0.5)


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

    monkeypatch.setattr(growth, "in_child", in_child)
    lines = growth.measure_growth(make_config(batch=16, accumulate=16, precision="auto"), 3)
    assert [line.quantity for line in lines] == list(QUANTITIES)
    assert [list(line.sizes.values()) for line in lines] == [
        ["16 px", "8 px", "32 px"], ["16 images"], ["8 channels", "4 channels", "16 channels"]
    ]  # fmt: skip
    assert [line.points.keys() for line in lines] == [line.sizes.keys() for line in lines]
    assert "batch 8 does not divide" in lines[1].left_out[0.5]
    assert lines[1].left_out[2.0] == "The process was killed."
    assert [config.precision for config in measured] == ["auto", *["bf16"] * 5], "the base once, then as it"


def line(quantity: Quantity, *points: Throughput, left_out: dict[float, str] | None = None) -> Line:
    """Points by the factors 1, 2 and 1/2."""
    by_factor = dict(zip((1.0, 2.0, 0.5), points, strict=False))
    sizes = {factor: f"size {factor:g}" for factor in by_factor}
    return Line(quantity=quantity, points=by_factor, sizes=sizes, left_out=left_out or {})


def test_exponents_are_from_factor_1_to_2_and_the_table_has_a_row_for_each_variant() -> None:
    """Resolution: exponent 2 of time, 3 of memory. Batch: 0. Width: not measured."""
    middle, double = throughput(16, 8, 2.0, 100.0), throughput(16, 16, 4.0, 100.0)
    small, large = throughput(8, 8, 1.0, 90.0), throughput(32, 8, 8.0, 800.0)
    assert math.isnan(line("batch", throughput(16, 8, 1.0, 0.0), double).exponents[1]), "a ratio to nothing"
    table = growth.growth(
        [
            line("resolution", middle, large, small),
            line("batch", middle, double, left_out={0.5: "too few"}),
            line("width", middle, left_out={0.5: "too narrow", 2.0: "too wide"}),
        ]
    )
    assert table.title == "Growth of a training step: size 1, size 1, size 1, bf16"
    names = ("as it is", "resolution x 1/2: size 0.5", "resolution x 2: size 2", "batch x 2: size 2")
    assert tuple(row[0] for row in table.rows) == names
    assert table.rows[2][1:3] == ("1.0", "8000 (0%)")
    assert [row[-2:] for row in table.rows] == [("", ""), ("", ""), ("2.00", "3.00"), ("0.00", "0.00")]
    assert "Left out, width x 2: too wide" in table.notes
    assert table.data["resolution"]["points"]["2"]["peak"] == 810
    assert table.data["resolution"]["exponents"] == pytest.approx([2, 3])
    assert math.isnan(table.data["width"]["exponents"][0])
    assert table.data["width"]["left_out"] == {"0.5": "too narrow", "2": "too wide"}
