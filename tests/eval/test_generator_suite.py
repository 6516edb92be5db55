"""Path length and the truncation curve, with generators whose answers are known."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from brushwork.eval.generator_suite import PathDistance, feature_steps, with_path_length, with_truncation
from brushwork.eval.measures import Measures
from brushwork.eval.sources import Samples
from brushwork.eval.suite import measure

if TYPE_CHECKING:
    from .conftest import World
else:
    World = Any


def empty() -> Measures:
    return Measures(style_names=("a", "b"), figures={}, protocol={"metrics": {"fd": "words"}})


def ramp(styles: Tensor, start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """Pictures that move by 3 on the whole way in the first style, and not at all in the second."""
    value = (3 * t * styles[:, 0])[:, None, None, None]
    return value.expand(-1, 3, 2, 2).clone()


def squares(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().mean(dim=(1, 2, 3))


def test_path_length_of_a_straight_way() -> None:
    found = with_path_length(
        empty(), ramp, PathDistance(name="squares", protocol="p", of=squares), per_style=8
    )
    figure = found.figures["ppl"]
    assert figure.measured.per_style == pytest.approx((9.0, 0.0), rel=1e-6)
    assert figure.control is None
    assert "squares" in figure.features
    assert set(found.protocol["metrics"]) == {"fd", "ppl"}


def test_path_length_is_read_beside_its_control() -> None:
    steps = PathDistance(name="s", protocol="p", of=squares, control=lambda a, b: 2 * squares(a, b))
    figure = with_path_length(empty(), ramp, steps, per_style=4).figures["ppl"]
    assert figure.control is not None
    assert figure.control.value == pytest.approx(2 * figure.measured.value)


def test_steps_of_features_reach_the_network_unrounded() -> None:
    class Maps:
        name, maps_protocol = "maps", "maps as they are"

        def maps(self, images: Tensor) -> tuple[Tensor, ...]:
            return (images,)

    steps = feature_steps(Maps(), None)
    a = torch.rand(2, 3, 2, 2)
    assert steps.control is None
    assert (steps.of(a, a + 1e-5 * torch.tensor([1.0, 0.0, -1.0])[:, None, None]) > 0).all()
    assert steps.of(a, a).tolist() == [0.0, 0.0]


def test_truncation_takes_recall_and_gives_a_curve(world: World) -> None:
    """Toward one colour a style: recall falls, and the distance to the real pictures grows."""
    means = torch.stack(
        [world.train.images[world.train.styles == s].float().mean((0, 2, 3)) for s in range(3)]
    )

    def source_at(psi: float) -> Samples:
        def sampler(styles: Tensor, seeds: Tensor) -> Tensor:
            centre = means[styles.argmax(1)][:, :, None, None]
            return (centre + psi * (world.perfect(styles, seeds) - centre)).round().byte()

        return Samples(sampler=sampler, count=3, per_style=30)

    before = measure(source_at(1.0), world.reference, metrics=("fd", "prdc"))
    found = with_truncation(before, source_at, world.reference, psis=(0.0, 0.5, 1.0))
    points = found.curves["truncation"]
    assert [point.x for point in points] == [0.0, 0.5, 1.0]
    assert 0 == points[0].scores["recall"] <= points[1].scores["recall"] < points[2].scores["recall"]
    assert points[0].scores["fd"] > points[1].scores["fd"] > points[2].scores["fd"]
    assert points[2].scores["fd"] == before.figures["fd"].measured.value
    assert replace(found, curves={}, protocol=before.protocol) == before
