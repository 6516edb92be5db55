"""Distances of outputs to the ground truth: the same subject as it was really drawn in the target style.

Only a data set of the same subjects in many styles has a ground truth. Two baselines need no network: the
unchanged content, and the mean of the style's images. An output no nearer to the truth than the content has
kept the subject and missed the style. One no nearer than the mean has the style and lost the subject.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from brushwork.data.dataset import ImageDataset
from brushwork.data.progress import Progress

from ..errors import EvalError
from ..features.extract import MapExtractor
from ..metrics.content import feature_distance
from ..results import STYLE_MEAN, UNCHANGED
from .read import PairSet

BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Drawings:
    """Real images for the metric `truth`."""

    test: ImageDataset
    """Images that hold a pair's subject in its target style."""
    train: ImageDataset
    """Images that the mean of each style is taken of."""


@dataclass(frozen=True, kw_only=True)
class Values:
    """A figure of k pairs, float (k,), and the same of its baselines."""

    outputs: Tensor
    baselines: Mapping[str, Tensor] = field(default_factory=dict)
    rows: Tensor | None = None
    """Indices of the pairs that have this figure; None: all."""


@torch.no_grad()
def paired_truth(
    pairs: PairSet, drawings: Drawings, network: MapExtractor, *, progress: bool = False
) -> Values:
    """Returns channel-normalised feature distances, 0 to 4, of outputs and baselines to the ground truth.

    Pairs without a ground truth are left out. Raises EvalError if image sizes differ, if a style has no
    training images, if a subject is there twice in one style, and if no pair has a ground truth.
    """
    size, real = pairs.outputs.shape[2:], drawings.test.images.shape[2:]
    if size != real:
        raise EvalError(
            f"The pairs are of {size[1]}x{size[0]} pixels and the real drawings of {real[1]}x{real[0]}: "
            "bring all to one size."
        )
    indices = truth_indices(pairs, drawings.test)
    rows = (indices >= 0).nonzero().squeeze(1)
    if len(rows) == 0:
        raise EvalError(
            f"None of the {len(pairs)} pairs has a real drawing: subject {pairs.subjects[0]!r} was never "
            f"drawn in style {pairs.styles[0]!r}, and so on; name subjects as the data set does, or take "
            "its other split."
        )
    styles = [pairs.styles[row] for row in rows.tolist()]
    means = {style: style_mean_of(drawings.train, style) for style in set(styles)}
    distances: list[Tensor] = []
    for batch in Progress(rows.split(BATCH), desc="truth", unit="batch", leave=False, disable=not progress):
        # All go through the network in batches of one size, so that equal images have equal maps to the bit.
        truth = network.maps(drawings.test.take(indices[batch]).cpu())
        mean = torch.stack([means[pairs.styles[row]] for row in batch.tolist()])
        sides = (pairs.outputs[batch], pairs.contents[batch], mean)
        each = [feature_distance(network.maps(side), truth, normalised=True) for side in sides]
        distances.append(torch.stack(each))
    output, content, mean = torch.cat(distances, dim=1)
    return Values(outputs=output, baselines={UNCHANGED: content, STYLE_MEAN: mean}, rows=rows)


def truth_indices(pairs: PairSet, pictures: ImageDataset) -> Int64[Tensor, "n"]:
    """Returns the index in `images` of each pair's subject in its target style; -1 where there is none.

    Raises EvalError if a subject is there twice in one style.
    """
    index: dict[tuple[str, str], int] = {}
    for row, (style, subject) in enumerate(zip(pictures.styles.tolist(), pictures.subjects, strict=True)):
        if style < 0:
            continue
        key = (pictures.style_names[style], subject)
        if key in index:
            raise EvalError(f"Subject {subject!r} is drawn twice in style {key[0]!r}: keep one of them.")
        index[key] = row
    return torch.tensor([index.get(key, -1) for key in zip(pairs.styles, pairs.subjects, strict=True)])


def style_mean_of(train: ImageDataset, style: str) -> UInt8[Tensor, "3 r r"]:
    """Returns the pixel-wise mean of a style's images, rounded to whole levels.

    Raises EvalError if the style has no image.
    """
    rows = (train.styles == train.style_names.index(style)).nonzero().squeeze(1)
    if len(rows) == 0:
        raise EvalError(f"Style {style!r} has 0 training drawings to take the mean of: add some.")
    total = sum(train.take(part).sum(0, dtype=torch.int64).cpu() for part in rows.split(1024))
    return (torch.as_tensor(total) / len(rows)).round().to(torch.uint8)
