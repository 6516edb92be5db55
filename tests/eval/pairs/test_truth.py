"""Distances to a known ground truth: of perfect outputs, unchanged contents and means of styles."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from brushwork.data.dataset import ImageDataset
from brushwork.eval.errors import EvalError
from brushwork.eval.metrics.content import feature_distance
from brushwork.eval.pairs.read import PairSet
from brushwork.eval.pairs.truth import Drawings, Values, paired_truth, style_mean_of
from brushwork.eval.results import STYLE_MEAN, UNCHANGED
from brushwork.scripts.bench.toy import toy_dataset

from ..conftest import Pixels

ALL = toy_dataset(styles=3, subjects=12, size=16)
NAMES = ALL.style_names


HELD_OUT = torch.tensor([int(subject) >= 8 for subject in ALL.subjects])
TRAIN, TEST = (ALL.subset(rows.nonzero().squeeze(1)) for rows in (~HELD_OUT, HELD_OUT))


def drawing(style: int, subject: str) -> Tensor:
    return ALL.images[list(zip(ALL.styles.tolist(), ALL.subjects, strict=True)).index((style, subject))]


def restyled(output: str) -> PairSet:
    """The held-out subjects of style 0, restyled to the other two: perfectly, not at all, or to the mean."""
    targets = [(style, f"{n:04}") for style in (1, 2) for n in range(8, 12)]
    contents = torch.stack([drawing(0, subject) for _, subject in targets])
    perfect = torch.stack([drawing(style, subject) for style, subject in targets])
    means = torch.stack([style_mean_of(TRAIN, NAMES[style]) for style, _ in targets])
    return PairSet(
        outputs={"perfect": perfect, "unchanged": contents, "mean": means}[output], contents=contents,
        styles=tuple(NAMES[style] for style, _ in targets), subjects=tuple(subject for _, subject in targets),
    )  # fmt: skip


def measured(pairs: PairSet, test: ImageDataset = TEST, train: ImageDataset = TRAIN) -> Values:
    return paired_truth(pairs, Drawings(test=test, train=train), Pixels())


def test_baselines_are_the_distances_of_contents_and_means() -> None:
    unchanged, mean = measured(restyled("unchanged")), measured(restyled("mean"))
    assert torch.equal(unchanged.outputs, unchanged.baselines[UNCHANGED])
    assert torch.equal(mean.outputs, mean.baselines[STYLE_MEAN])
    assert torch.equal(unchanged.baselines[STYLE_MEAN], mean.outputs)
    sides = (restyled("unchanged").contents[5], drawing(2, "0009"))
    expected = feature_distance(*(Pixels().maps(image[None]) for image in sides), normalised=True)
    torch.testing.assert_close(unchanged.outputs[5], expected[0])


def test_the_mean_of_a_style_is_pixel_wise_and_rounded() -> None:
    images = torch.tensor([[10, 20], [11, 255], [13, 0], [200, 200]], dtype=torch.uint8)
    data = ImageDataset(
        images=images[:, None, None].expand(4, 3, 2, 2), styles=torch.tensor([1, 1, 1, 0]),
        subjects=("a", "b", "c", "a"), style_names=("x", "y"), fingerprint="",
    )  # fmt: skip
    # 34 / 3 = 11.33, 275 / 3 = 91.67; uint8 sums would have wrapped
    assert style_mean_of(data, "y").tolist() == [[[11, 92]] * 2] * 3


def test_pairs_without_a_truth_are_left_out() -> None:
    pairs = restyled("perfect")
    subjects = ("unknown", *pairs.subjects[1:4], "0001", *pairs.subjects[5:])
    found = measured(replace(pairs, subjects=subjects))
    assert found.rows is not None
    assert found.rows.tolist() == [1, 2, 3, 5, 6, 7]
    assert torch.equal(found.outputs, torch.zeros(6))
    with pytest.raises(EvalError, match=r"None of the 8 pairs .*subject 'x' .* in style '01-outline'"):
        measured(replace(pairs, subjects=("x",) * 8))
    with pytest.raises(EvalError, match="None of the 8 pairs"):
        measured(pairs, test=replace(TEST, styles=torch.full_like(TEST.styles, -1)))


def test_data_that_does_not_fit_is_named() -> None:
    pairs = restyled("perfect")
    with pytest.raises(EvalError, match="pairs are of 8x8 pixels and the real drawings of 16x16"):
        measured(replace(pairs, outputs=pairs.outputs[:, :, :8, :8], contents=pairs.contents[:, :, :8, :8]))
    with pytest.raises(EvalError, match="Subject '0008' is drawn twice in style '00-filled'"):
        measured(pairs, test=replace(TEST, subjects=("0008",) * len(TEST)))
    with pytest.raises(EvalError, match="'02-gradient' has 0 training drawings"):
        measured(pairs, train=replace(TRAIN, styles=TRAIN.styles.clamp(max=1)))
