"""Generators with known encoders: ideal ones, ones that encode everything, ones that swap one thing."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from brushwork.data.dataset import Pictures
from brushwork.eval.disentanglement_suite import (
    CHANCE,
    PALETTE,
    PIXELS,
    EncoderPaths,
    chosen_images,
    with_disentanglement,
)
from brushwork.eval.errors import EvalError
from brushwork.eval.pairs.figures import UNCHANGED
from brushwork.eval.reference import Space, build_reference
from brushwork.eval.results import Measurement, MetricResult
from brushwork.eval.sources import Stored

NAMES = ("azure", "brick", "cream")
COLOURS = torch.tensor([[60.0, 90, 200], [190, 80, 70], [210, 200, 150]])[:, :, None, None]


def pattern(subject: int) -> Tensor:
    """(1, 1, 8, 8): half of the places, at random, so that no mean tells the subject."""
    order = torch.randperm(64, generator=torch.Generator().manual_seed(subject))
    return (order < 32).float().view(1, 1, 8, 8)


def painted(shown: Tensor, colour: Tensor) -> Tensor:
    return (colour * (0.5 + 0.5 * shown)).round().byte()


def pictures(first: int, subjects: int) -> Pictures:
    places = [(n, s) for s in range(3) for n in range(first, first + subjects)]
    return Pictures(
        images=torch.cat([painted(pattern(n), COLOURS[s][None]) for n, s in places]),
        styles=torch.tensor([s for _, s in places]), subjects=tuple(f"{n:03}" for n, _ in places),
        style_names=NAMES, fingerprint="f",
    )  # fmt: skip


TRAIN, TEST = pictures(0, 20), pictures(100, 10)


class Colours:
    name, protocol, dim, standardised = "colours", "mean colours", 3, True

    def __call__(self, images: Tensor) -> Tensor:
        return images.float().mean((2, 3))

    def control(self) -> "Colours":
        return self


# Encoders
def shown(images: Tensor) -> Tensor:
    """The pattern: what is lighter than the mean of the image."""
    light = images.float().mean(1, keepdim=True)
    return (light > light.mean((2, 3), keepdim=True)).float()


def colours(images: Tensor) -> Tensor:
    """The full colour; half of the places show half of it."""
    return images.float().mean((2, 3)) / 0.75


def swapped(contents: Tensor, style_images: Tensor) -> Tensor:
    return painted(shown(contents), colours(style_images)[:, :, None, None])


def blue(contents: Tensor, style_images: Tensor) -> Tensor:
    return painted(shown(contents), COLOURS[:1])


IDEAL = EncoderPaths(content=lambda images: [shown(images)], style=colours, swap=swapped)


def space_of(train: Pictures, test: Pictures) -> Space:
    real, held_out = (Stored(images=side.images, styles=side.styles) for side in (train, test))
    return build_reference(real, held_out, NAMES, "f", [Colours()], control=False).spaces[0]


def measured(paths: EncoderPaths, control: EncoderPaths | None = None) -> dict[str, MetricResult]:
    before = Measurement(style_names=NAMES, figures={}, protocol={"metrics": {"fd": "words"}})
    found = with_disentanglement(before, (paths, control), space_of(TRAIN, TEST), train=TRAIN, test=TEST)
    assert found.protocol["metrics"].keys() == {"fd", "disentanglement"}
    return dict(found.figures)


def value(figure: MetricResult) -> float:
    return figure.measured.value


# Results
def test_ideal_encoders() -> None:
    figures = measured(IDEAL)
    assert value(figures["style_in_content"]) == pytest.approx(1 / 3)
    assert value(figures["subject_in_content"]) == 1
    assert value(figures["style_in_style"]) == 1
    assert value(figures["subject_in_style"]) == pytest.approx(0.1)
    for name in ("swapped_style", "swapped_content"):
        assert value(figures[name]) == 1
        real = figures[name].real
        assert real is not None
        assert real.value == 1
    assert all(figure.control is None for figure in figures.values())


def test_baselines() -> None:
    figures = measured(IDEAL)
    chances = {name: figure.baselines[CHANCE].value for name, figure in figures.items()}
    assert chances == pytest.approx({
        "style_in_content": 1 / 3, "products_in_content": 1 / 3, "subject_in_content": 0.1,
        "style_in_style": 1 / 3, "subject_in_style": 0.1, "swapped_style": 1 / 3, "swapped_content": 0.5,
    })  # fmt: skip
    assert figures["style_in_content"].baselines[PIXELS].value == 1, "colours are in the pixels"
    assert figures["subject_in_style"].baselines[PIXELS].value > 0.9, "and patterns too"
    assert figures["style_in_style"].baselines[PALETTE].value == 1
    assert figures["subject_in_style"].baselines[PALETTE].value == pytest.approx(0.1), (
        "patterns are not in it"
    )
    assert PALETTE not in figures["products_in_content"].baselines
    assert figures["swapped_style"].baselines[UNCHANGED].value == 0


def test_codes_that_hold_everything() -> None:
    def all_of_it(images: Tensor) -> Tensor:
        return images.float() / 255

    paths = EncoderPaths(
        content=lambda images: [all_of_it(images)], style=lambda images: all_of_it(images).flatten(1),
        swap=swapped,
    )  # fmt: skip
    figures = measured(paths)
    assert value(figures["style_in_content"]) == value(figures["style_in_style"]) == 1
    assert value(figures["subject_in_style"]) > 0.9


@pytest.mark.parametrize(
    ("swap", "per_style", "content"),
    [
        (blue, (1, 0, 0), 1),  # ignores the style image
        (lambda contents, style_images: style_images, (1, 1, 1), 0),  # ignores the content image
    ],
)
def test_swaps_that_ignore_an_image(
    swap: Callable[[Tensor, Tensor], Tensor], per_style: tuple[float, ...], content: float
) -> None:
    results = measured(replace(IDEAL, swap=swap))
    assert results["swapped_style"].measured.per_style == per_style
    assert value(results["swapped_content"]) == content


def test_the_network_before_training_is_the_control() -> None:
    figures = measured(IDEAL, replace(IDEAL, swap=blue))
    control = figures["swapped_style"].control
    assert control is not None
    assert control.value == pytest.approx(1 / 3)
    assert not figures["swapped_style"].control_matches
    assert figures["style_in_content"].control_matches, "it was not learnt"


# Images
def test_styles_are_numbered_as_in_the_generator_and_subjects_kept_whole() -> None:
    found = chosen_images(TEST, ("cream", "azure"), 9)
    assert torch.bincount(found.styles).tolist() == [4, 4]
    assert len(set(found.subjects)) == 4
    assert torch.equal(found.images[0].float().amax((1, 2)), COLOURS[0][:, 0, 0])
    assert found.styles[0] == 1
    unlabelled = replace(TEST, styles=torch.where(TEST.styles == 1, -1, TEST.styles))
    styles = chosen_images(unlabelled, NAMES, 1000).styles
    assert torch.bincount(styles, minlength=3).tolist() == [10, 0, 10]


def test_one_style_cannot_be_disentangled() -> None:
    alone = Measurement(style_names=("a",), figures={}, protocol={})
    with pytest.raises(EvalError, match="two styles or more, and there are 1"):
        with_disentanglement(alone, (IDEAL, None), space_of(TEST, TEST), train=TEST, test=TEST)
