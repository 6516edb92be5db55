"""Figures of pairs of two subjects in three styles, with outputs whose figures are known."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from brushwork.data.dataset import ImageDataset
from brushwork.eval.errors import EvalError
from brushwork.eval.pairs.read import PairSet
from brushwork.eval.pairs.suite import PairNetworks, default_metrics, measure_outputs
from brushwork.eval.pairs.truth import Drawings
from brushwork.eval.results import STYLE_MEAN, UNCHANGED

from ..conftest import Pixels, World


def drawing(subject: int, style: int) -> Tensor:
    """A subject decides which half is dark, a style the colour."""
    image = torch.full((3, 16, 16), 40)
    image[style] = 200
    image[:, :, 8:] = image[:, :, 8:] // 2 if subject == 0 else image[:, :, 8:]
    image[:, 8:] = image[:, 8:] // 2 if subject == 1 else image[:, 8:]
    return image.byte()


WHOLE = ImageDataset(
    images=torch.stack([drawing(subject, style) for style in range(3) for subject in range(2)]),
    styles=torch.tensor([0, 0, 1, 1, 2, 2]), subjects=("s0", "s1") * 3, style_names=("r", "g", "b"),
    fingerprint="f",
)  # fmt: skip
DRAWINGS = Drawings(test=WHOLE, train=WHOLE)


def pairs(outputs: list[Tensor], styles: tuple[str, ...], references: list[Tensor] | None = None) -> PairSet:
    """Both subjects in red, restyled to these styles."""
    contents = torch.stack([drawing(0, 0), drawing(1, 0)])[: len(outputs)]
    return PairSet(
        outputs=torch.stack(outputs), contents=contents, styles=styles, subjects=("s0", "s1")[: len(outputs)],
        references=None if references is None else torch.stack(references),
    )  # fmt: skip


NETWORKS = PairNetworks(maps=Pixels())
CHANGED = pairs([drawing(0, 1), drawing(1, 2)], ("g", "b"))


def test_figures_have_means_by_style() -> None:
    half = pairs([drawing(0, 1), drawing(1, 0)], ("g", "b"))
    measures = measure_outputs(half, NETWORKS, metrics=("truth",), drawings=DRAWINGS)
    assert measures.style_names == ("b", "g")
    truth = measures.figures["truth"]
    per_style = truth.measured.per_style
    assert per_style[1] == 0 < per_style[0]
    assert truth.measured.value == pytest.approx(sum(per_style) / 2)
    assert truth.measured.spread == pytest.approx(per_style[0] / 2), "standard error of 0 and x"
    assert truth.baselines[STYLE_MEAN].per_style[1] > 0
    assert measures.figures["nearer_truth"].measured.per_style[1] == 1


def test_outputs_equal_to_their_style_image() -> None:
    references = [drawing(1, 1), drawing(0, 2)]
    right = pairs(references, ("g", "b"), references)
    figures = measure_outputs(right, NETWORKS, metrics=("reference",)).figures
    for name in ("reference_gram", "reference_mean_std"):
        assert figures[name].measured.value == 0
        assert figures[name].baselines[UNCHANGED].value > 0


def test_figures_have_a_control() -> None:
    class Dim(Pixels):
        def maps(self, images: Tensor) -> tuple[Tensor, ...]:
            return tuple(x / 2 for x in super().maps(images))

    networks = PairNetworks(maps=Pixels(), control=Dim())
    figures = measure_outputs(CHANGED, networks, metrics=("content", "truth"), drawings=DRAWINGS).figures
    raw, control, truth = figures["content_raw"], figures["content_raw"].control, figures["truth"].control
    assert control is not None
    assert control.value == pytest.approx(raw.measured.value / 4)
    assert truth is not None
    assert truth.value == 0


def test_outputs_are_measured_as_pictures_of_their_style(world: World) -> None:
    """The baseline of the style accuracy is the accuracy of the contents."""
    weights, seeds = torch.eye(3).repeat_interleave(6, dim=0), torch.arange(18)
    outputs, contents = world.perfect(weights, seeds), world.perfect(weights.roll(1, 1), seeds)
    names = tuple(world.style_names[s] for s in weights.argmax(1))
    made = PairSet(outputs=outputs, contents=contents, styles=names, subjects=names)
    metrics = ("accuracy", "content")
    found = measure_outputs(made, NETWORKS, metrics=metrics, reference=world.reference)
    accuracy = found.figures["accuracy"]
    assert accuracy.measured.value > 0.9
    assert accuracy.baselines[UNCHANGED].value < 0.1
    assert "content_raw" in found.figures
    assert tuple(found.protocol["metrics"]) == metrics
    assert found.protocol["source"] == "pairs"


def test_default_metrics_are_those_that_the_pairs_allow() -> None:
    unknown, followed = replace(CHANGED, subjects=("a", "b")), replace(CHANGED, references=CHANGED.outputs)
    assert default_metrics(unknown, None) == ("content", "ssim")
    assert default_metrics(unknown, DRAWINGS) == ("fd", "accuracy", "content", "ssim")
    assert default_metrics(followed, DRAWINGS)[4:] == ("reference", "truth")


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("fdd", "no metric 'fdd' of pairs"),
        ("fd", "fd needs real images: give --reference"),
        ("truth", "needs a data set: give --reference"),
        ("reference", "column `reference`"),
    ],
)
def test_missing_data_is_named(metric: str, words: str) -> None:
    with pytest.raises(EvalError, match=words):
        measure_outputs(CHANGED, NETWORKS, metrics=(metric,))
