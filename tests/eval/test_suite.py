"""The suite on a world of three styles with known results."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.metrics.frechet import frechet_from_features, gaussian_of
from brushwork.eval.results import Measurement
from brushwork.eval.sources import Stored
from brushwork.eval.suite import measure, measure_against, rehearsed

from .conftest import World

BASIC = ("fd", "accuracy")
ALL = (*BASIC, "kid", "prdc", "similarity", "diversity", "copies")


def part(found: Stored, rows: slice | Tensor) -> Stored:
    return Stored(images=found.images[rows], styles=found.styles[rows])


def bare(found: Stored) -> Stored:
    """The images without their styles."""
    return Stored(images=found.images, styles=torch.full_like(found.styles, -1))


def measured(samples: Stored, world: World) -> Measurement:
    measurement = measure(samples, world.reference, metrics=ALL)
    json.dumps(measurement.to_json(), allow_nan=False)
    return measurement


def test_a_perfect_sampler_reaches_the_ceiling(world: World) -> None:
    figures = measure(world.samples(), world.reference).figures
    accuracy, distance = figures["accuracy"], figures["fd"]
    assert accuracy.real is not None
    assert accuracy.real.value > 0.9
    assert accuracy.measured.value >= accuracy.real.value - 0.05
    assert distance.measured.value < 0.5
    assert max(distance.measured.per_style) < 0.5
    assert figures["precision"].measured.value > 0.8
    assert figures["recall"].measured.value > 0.6
    assert figures["nearer_to_own"].measured.value > 0.9
    assert figures["diversity"].measured.value == pytest.approx(1, abs=0.1)
    assert figures["copies"].measured.value < 0.1


def test_only_metrics_by_style_notice_permuted_styles(world: World) -> None:
    straight = measure(world.samples(), world.reference).figures
    wrong = measure(world.samples(sampler=world.permuted), world.reference).figures
    for name in ("fd", "precision", "recall", "coverage"):
        assert wrong[name].measured.value == pytest.approx(straight[name].measured.value, rel=1e-6)
    assert wrong["accuracy"].measured.value < 0.05
    assert min(wrong["fd"].measured.per_style) > 5 * max(straight["fd"].measured.per_style)
    assert wrong["csls"].measured.value < 0 < straight["csls"].measured.value
    assert wrong["nearer_to_own"].measured.value < 0.4
    for style in range(3):
        assert wrong["accuracy"].measured.matrix[style][(style + 1) % 3] > 0.9
        assert straight["csls"].measured.matrix[style][style] == max(straight["csls"].measured.matrix[style])
    accuracy = wrong["accuracy"]
    assert accuracy.control_real is not None
    assert accuracy.real is not None
    assert accuracy.control_real.value < 0.5 < accuracy.real.value, "the control does not see colour"
    assert not accuracy.control_matches


def test_copies_are_found(world: World) -> None:
    figures = measure(world.train, world.reference, metrics=("copies",)).figures
    assert figures["copies"].measured.value == 1
    assert figures["nearest_ratio"].measured.value == 0
    real = figures["copies"].real
    assert real is not None
    assert real.value < 0.05


def test_one_image_over_and_over_has_no_diversity(world: World) -> None:
    collapsed = world.samples(sampler=lambda styles, seeds: world.perfect(styles, 0 * seeds))
    figures = measure(collapsed, world.reference).figures
    assert figures["diversity"].measured.value == 0
    assert figures["recall"].measured.value < 0.05
    assert figures["accuracy"].measured.value > 0.9


@pytest.mark.parametrize("standardise", [True, False])
def test_distances_follow_their_definition(world: World, standardise: bool) -> None:
    """Against the training images alone, standardised on them if the extractor asks for it."""

    class Scaled(world.colours):
        standardised = standardise

    extractor = Scaled()
    train = extractor(world.train.images).double()
    std, mean = torch.std_mean(train, dim=0, correction=0)
    std[7] = math.inf  # the constant column is left out
    samples = world.samples(9, 5)
    images = extractor(samples.take(torch.arange(27))).double()
    if standardise:
        images, train = (images - mean) / std, (train - mean) / std
    measured = measure(samples, world.build(extractor, control=False), metrics=("fd",))
    found = measured.figures["fd"]
    assert found.measured.value == pytest.approx(frechet_from_features(images, train), rel=1e-3)
    assert found.control is None
    left_out = {"colours": "1 of 8, left out"} if standardise else {}
    assert measured.protocol["features_that_hardly_vary"] == left_out


def test_two_extractors(world: World) -> None:
    class Second(world.colours):
        name = "second"

    reference = world.build(world.colours(), Second(), control=False)
    figures = measure(world.samples(20), reference, metrics=BASIC).figures
    assert list(figures) == ["fd", "accuracy", "fd@second", "accuracy@second"]
    assert figures["fd"].measured == figures["fd@second"].measured


def test_restricted_to_fewer_styles_in_another_order(world: World) -> None:
    def narrow(styles: Tensor, seeds: Tensor) -> Tensor:  # columns: cream, azure
        return world.perfect(torch.stack([styles[:, 1], torch.zeros(len(styles)), styles[:, 0]], 1), seeds)

    samples = world.samples(30, sampler=narrow, count=2)
    measurement = measure(samples, world.reference.restricted_to(["cream", "azure"]))
    assert measurement.style_names == ("cream", "azure")
    assert measurement.figures["accuracy"].measured.value > 0.9
    assert measurement.figures["fd"].measured.value < 0.5
    assert measurement.protocol["real_train_images"] == 160


def test_unlabelled_real_images_are_left_out(world: World) -> None:
    styles = world.train.styles.clone()
    styles[::4] = -1
    world = replace(world, train=Stored(images=world.train.images, styles=styles))
    assert len(world.build(control=False).spaces[0].train.styles) == 180


def test_picks(world: World) -> None:
    images, styles = world.pictures(0, 20).images.clone(), world.pictures(0, 20).styles
    images[7], images[33] = world.train.images[100], world.train.images[3]
    picks = measure(Stored(images=images, styles=styles), world.reference).picks
    assert picks is not None
    nearest = dict(zip(picks.nearest.tolist(), picks.nearest_train.tolist(), strict=True))
    assert set(picks.nearest[:2].tolist()) == {7, 33}
    assert (nearest[7], nearest[33]) == (100, 3)


def test_too_few_images_for_a_metric_leave_it_out_with_a_note(world: World) -> None:
    """4 held-out images have no neighbourhoods of 5, 4 samples have none either."""
    of_two, four = part(world.train, slice(160)), part(world.pictures(500, 2), slice(4))
    world = replace(world, train=of_two, test=four, style_names=world.style_names[:2])
    enough = measured(of_two, world)
    assert enough.figures["precision"].real is None
    assert enough.figures["fd"].real is not None
    why = "5 nearest neighbours need 6 images a side at least and one has 4: add some."
    assert enough.notes == (f"prdc of held-out images: {why}",)
    few = measured(part(world.pictures(700, 2), slice(4)), world)
    assert few.notes == (f"prdc: {why}",)
    assert {"fd", "accuracy", "kid", "csls", "diversity", "copies"} <= few.figures.keys()
    assert "precision" not in few.figures


def test_a_style_with_one_image_has_no_distance_of_its_own(world: World) -> None:
    few = part(world.pictures(0, 2), slice(5))
    measurement = measure(few, world.reference, metrics=("fd", "kid", "diversity"))
    for figure in measurement.figures.values():
        assert math.isfinite(figure.measured.value)
        assert [math.isfinite(value) for value in figure.measured.per_style] == [True, True, False]


def test_without_held_out_images_there_is_no_ceiling(world: World) -> None:
    measurement = measured(world.pictures(0, 20), replace(world, test=part(world.test, slice(0))))
    assert {"fd", "accuracy", "recall", "csls", "diversity"} <= measurement.figures.keys()
    assert all(figure.real is None for figure in measurement.figures.values())
    assert "copies" not in measurement.figures
    assert [note.partition(":")[0] for note in measurement.notes] == ["held-out images", "copies"]


def test_one_style_has_all_metrics_that_do_not_compare_styles(world: World) -> None:
    every = (world.train, world.test, world.pictures(0, 20))
    train, test, samples = (part(found, found.styles == 0) for found in every)
    measurement = measured(samples, replace(world, train=train, test=test, style_names=("azure",)))
    assert {"fd", "kid", "recall", "diversity", "copies"} <= measurement.figures.keys()
    assert [note.partition(":")[0] for note in measurement.notes] == ["accuracy", "similarity"]


def test_without_styles_all_images_are_one_group(world: World) -> None:
    """Where the real images have none, and where those to measure have none: the same figures, which are
    those that need no label."""
    samples = world.pictures(0, 20)
    without = replace(world, train=bare(world.train), test=bare(world.test), style_names=())
    unlabelled = measured(bare(samples), without)
    for other in (measured(samples, without), measured(bare(samples), world)):
        assert other.figures == unlabelled.figures
        assert other.style_names == ()
    assert {"fd", "kid", "recall", "diversity", "copies"} <= unlabelled.figures.keys()
    assert [note.partition(":")[0] for note in unlabelled.notes] == ["accuracy", "similarity"]
    labelled = measured(samples, world)
    for name in ("fd", "kid", "recall", "copies"):
        found, expected = unlabelled.figures[name], labelled.figures[name]
        assert found.measured.per_style == ()
        assert found.measured.value == pytest.approx(expected.measured.value, rel=1e-6)
    collapsed = measured(bare(part(samples, torch.zeros(20).long())), without)
    assert collapsed.figures["diversity"].measured.value == 0


def test_a_rehearsal_shows_which_metrics_can_be_taken(world: World) -> None:
    assert {"fd", "precision"} <= rehearsed(world.reference, ("fd", "prdc"), 2).figures.keys()
    found = rehearsed(world.reference, ("fd", "prdc"), 1)
    assert set(found.figures) == {"fd"}
    assert found.notes[0].startswith("prdc: 5 nearest")


def test_against_statistics(world: World) -> None:
    extractor = world.colours()
    real = gaussian_of(extractor(world.train.images))
    measurement = measure_against(world.train, real, extractor)
    assert measurement.figures["fd"].measured.value == pytest.approx(0, abs=1e-6)
    shifted = replace(real, mean=real.mean + 2)
    found = measure_against(world.train, shifted, extractor).figures["fd"].measured.value
    assert found == pytest.approx(8 * 4)
    narrow = gaussian_of(torch.randn(9, 3))
    with pytest.raises(EvalError, match="of 8 and of 3 dimensions cannot be compared: choose the --features"):
        measure_against(world.train, narrow, extractor)


def test_the_protocol_covers_every_setting(world: World) -> None:
    def protocol(reference: Any = world.reference, metrics: Any = BASIC, psi: float = 1, **more: Any) -> str:
        samples = world.samples(**{"per_style": 6, **more}, conditions={"psi": psi})
        return json.dumps(measure(samples, reference, metrics=metrics).protocol)

    same = protocol()
    assert protocol() == same
    others = [
        protocol(per_style=7),
        protocol(seed=1),
        protocol(psi=0.7),
        protocol(metrics=("fd",)),
        protocol(world.build(world.colours("colours, otherwise"))),
        protocol(world.build(control=False)),
        protocol(world.reference.restricted_to(world.style_names[::-1])),
        protocol(replace(world.reference, fingerprint="another")),
    ]
    assert '"images_per_style": [6, 6, 6]' in same
    assert same not in others
    assert len(set(others)) == len(others)


def test_mistakes_are_named(world: World) -> None:
    pictures = world.pictures(0, 2)
    with pytest.raises(EvalError, match="no style 'dusk', 'ebony'"):
        world.reference.restricted_to(["azure", "dusk", "ebony"])
    with pytest.raises(EvalError, match=r"no metric 'fdd': choose from fd, fd_infinity"):
        measure(pictures, world.reference, metrics=("fdd",))
    large = Stored(images=pictures.images.repeat(1, 1, 2, 2), styles=pictures.styles)
    with pytest.raises(EvalError, match=r"8x8 pixels.*4x4"):
        measure(large, world.reference)
    lost = Stored(images=pictures.images, styles=torch.tensor([0, 0, 1, 1, 2, -1]))
    with pytest.raises(EvalError, match="1 images to measure have no style"):
        measure(lost, world.reference)
    with pytest.raises(EvalError, match=r"Nothing of this can be measured\. prdc: 5 nearest neighbours"):
        measure(part(pictures, slice(3)), world.reference, metrics=("prdc",))
    with pytest.raises(EvalError, match="0 training images to measure against"):
        replace(world, train=bare(pictures)).build()
