"""Path length and the truncation curve of generators with known results."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from brushwork.eval import generator_suite as module
from brushwork.eval.errors import EvalError
from brushwork.eval.generator_suite import path_length, path_places, trimmed_mean
from brushwork.eval.results import Measurement
from brushwork.eval.sources import Samples
from brushwork.eval.suite import measure

from .conftest import World

STYLES = torch.eye(2, dtype=torch.float64)[[0, 1, 0, 1, 0]]
SEEDS = torch.tensor([3, 5, 7, 11, 2**40 + 1])


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum((1, 2, 3))


def codes(seeds: Tensor) -> Tensor:
    return (seeds[:, None] * torch.arange(1, 7)).double().sin()


def linear(w: Tensor) -> Tensor:
    """A w with A of shape (3 * 2 * 2, 6)."""
    matrix = torch.randn(12, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (w @ matrix.T).unflatten(1, (3, 2, 2))


def test_linear_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """|A (w1 - w0) eps|^2 / eps^2 = |A (w1 - w0)|^2 at every place, from the same path for both ends."""
    monkeypatch.setattr(module, "BATCH", 2)

    def interpolate(styles: Tensor, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        return linear(torch.lerp(codes(a), codes(b), t[:, None]))

    ends, _ = path_places(SEEDS, 4)
    expected = squared_distance(linear(codes(ends)), linear(codes(SEEDS)))
    found = path_length(interpolate, squared_distance, STYLES, SEEDS, seed=4)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_places_depend_on_the_seeds_alone() -> None:
    ends, places = path_places(torch.arange(500), 1)
    assert path_places(torch.tensor([17]), 1) == (ends[17], places[17])
    assert not torch.equal(path_places(torch.arange(500), 2)[0], ends)
    assert len(ends.unique()) == 500
    assert 0 <= places.min() < 0.02 < 0.98 < places.max() < 1


def test_trimmed_mean_leaves_out_a_hundredth_at_either_end() -> None:
    values = torch.arange(201.0)
    values[[0, 200]] = torch.tensor([-1e6, 1e9])
    # The quantiles .01 and .99 of 201 values are the third from either end, which stay.
    assert trimmed_mean(values[torch.randperm(201)]) == pytest.approx(torch.arange(2, 199).double().mean())
    assert trimmed_mean(torch.tensor([3.0])) == 3
    assert trimmed_mean(torch.arange(10.0)) == 4.5  # between two values, the outer one is the bound


class Maps:
    """The image as a map, scaled as a control may be."""

    name, maps_protocol = "maps", "maps as they are"

    def __init__(self, turn: float = 1.0) -> None:
        self.turn = turn

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        angle = self.turn * torch.atan2(images[:, 1] - 127.5, images[:, 0] - 127.5)
        return (torch.stack([angle.cos(), angle.sin()], dim=1),)


def test_path_length_of_a_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """An arc of 3 in the style a and of 0 in b. The control sees half of each angle."""

    def arc(styles: Tensor, start: Tensor, end: Tensor, t: Tensor) -> Tensor:
        angle = t * 3 * styles[:, 0]
        return torch.stack([angle.cos(), angle.sin(), 0 * t], dim=1)[..., None, None]

    monkeypatch.setattr(module, "PATHS", 8)
    before = Measurement(style_names=("a", "b"), figures={}, protocol={"metrics": {"fd": "words"}})
    found = module.with_path_length(before, arc, (Maps(), Maps(0.5)), count=2)
    result = found.figures["ppl"]
    assert result.measured.per_style == pytest.approx((9.0, 0.0), rel=1e-3)
    assert result.control is not None
    assert result.control.value == pytest.approx(result.measured.value / 4, rel=1e-3)
    assert set(found.protocol["metrics"]) == {"fd", "ppl"}
    with pytest.raises(EvalError, match="too large for 8 consecutive seeds"):
        module.with_path_length(before, arc, (Maps(), None), count=2, seed=2**63 - 1)


def test_truncation_lowers_recall_and_gives_a_curve(world: World) -> None:
    """Toward one colour per style, recall falls and the distance to the real images grows."""
    images, styles = world.train.images.float(), world.train.styles
    means = torch.stack([images[styles == style].mean((0, 2, 3)) for style in range(3)])

    def source_at(psi: float) -> Samples:
        def sampler(styles: Tensor, seeds: Tensor) -> Tensor:
            centre = means[styles.argmax(1)][:, :, None, None]
            return (centre + psi * (world.perfect(styles, seeds) - centre)).round().byte()

        return world.samples(30, sampler=sampler)

    before = measure(source_at(1.0), world.reference, metrics=("fd", "prdc"))
    found = module.with_truncation(before, source_at, world.reference, psis=(0.0, 0.5, 1.0))
    points = found.curves["truncation"]
    assert [point.x for point in points] == [0.0, 0.5, 1.0]
    assert 0 == points[0].scores["recall"] <= points[1].scores["recall"] < points[2].scores["recall"]
    assert points[0].scores["fd"] > points[1].scores["fd"] > points[2].scores["fd"]
    assert points[2].scores["fd"] == before.figures["fd"].measured.value
    assert replace(found, curves={}, protocol=before.protocol) == before
