"""Where the same subject was really drawn in the target style: how far is the output from that drawing?

Only a content x style data set can say so. The distance is read beside two that need no network at all: the
content left as it was, and the mean of the style's drawings. An output that is no nearer to the truth than
the former has kept the subject and missed the style; no nearer than the latter, the other way round.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from brushwork.data.pictures import Pictures
from brushwork.data.progress import Progress

from ..errors import EvalError
from ..features.extract import MapExtractor
from ..metrics.content import feature_distance
from .read import PairSet

BATCH = 32


# Results
@dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean over pairs, and its standard error as if they were independent (NaN for a single pair)."""

    value: float
    error: float

    @classmethod
    def of(cls, values: Float32[Tensor, "n"]) -> "Mean":
        x = values.double()
        error = float(x.std() / len(x) ** 0.5) if len(x) > 1 else float("nan")
        return cls(value=float(x.mean()), error=error)


@dataclass(frozen=True, kw_only=True)
class TruthFigures:
    """Distances to the real drawing, 0 to 4, of `count` pairs."""

    output: Mean
    content: Mean
    """The first baseline: the content unchanged."""
    style_mean: Mean
    """The second: the pixel-wise mean of the style's real training drawings."""
    nearer: float
    """Share of pairs whose output is nearer to the truth than either baseline."""
    count: int

    def to_json(self) -> dict[str, Any]:
        names = ("output", "content", "style_mean")
        means = {name: getattr(self, name) for name in names}
        return {
            **{name: mean.value for name, mean in means.items()},
            **{
                f"{name}_error": None if mean.error != mean.error else mean.error
                for name, mean in means.items()
            },
            "nearer": self.nearer,
            "count": self.count,
        }


@dataclass(frozen=True, kw_only=True)
class PairedTruth:
    """Distances of the k pairs that have a real drawing to be compared with."""

    output: Float32[Tensor, "k"]
    content: Float32[Tensor, "k"]
    style_mean: Float32[Tensor, "k"]
    pairs: Int64[Tensor, "k"]
    """Their rows in the PairSet."""
    styles: tuple[str, ...]
    """The target style of each."""
    missing: int
    """Pairs whose subject nobody drew in the target style: left out."""
    protocol: str

    def overall(self) -> TruthFigures:
        return self._figures(torch.arange(len(self.styles)))

    def by_style(self) -> dict[str, TruthFigures]:
        """Figures of each target style, by name."""
        return {style: self._figures(_rows_of(style, self.styles)) for style in sorted(set(self.styles))}

    def _figures(self, rows: Tensor) -> TruthFigures:
        output, content, mean = self.output[rows], self.content[rows], self.style_mean[rows]
        return TruthFigures(
            output=Mean.of(output),
            content=Mean.of(content),
            style_mean=Mean.of(mean),
            nearer=float((output < torch.minimum(content, mean)).double().mean()),
            count=len(rows),
        )


# Measuring
def paired_truth(
    pairs: PairSet, drawings: Pictures, train: Pictures, network: MapExtractor, *, progress: bool = False
) -> PairedTruth:
    """Channel-normalised feature distances from outputs and baselines to the real drawings.

    `drawings` are the real pictures in which each pair's subject is looked for in its target style (held-out
    subjects, as a rule); `train` those that the second baseline is the mean of.

    Raises EvalError for sizes that differ, a style that the data set has not or has no training drawings of,
    a subject drawn twice in its style, and if no pair has a drawing.
    """
    _require_comparable(pairs, drawings, train)
    place = _places(drawings)
    found = [place.get(key, -1) for key in zip(pairs.styles, pairs.subjects, strict=True)]
    kept = [row for row, index in enumerate(found) if index >= 0]
    if not kept:
        raise EvalError(
            f"None of the {len(pairs)} pairs has a real drawing: subject {pairs.subjects[0]!r} was never "
            f"drawn in style {pairs.styles[0]!r}, and so on; name subjects as the data set does, or take "
            "its other split."
        )
    rows, truth = torch.tensor(kept), torch.tensor([found[row] for row in kept])
    styles = tuple(pairs.styles[row] for row in kept)
    names = sorted(set(styles))
    means = torch.stack([style_mean_of(train, name) for name in names])
    which = torch.tensor([names.index(style) for style in styles])
    sides = (pairs.outputs[rows], pairs.contents[rows], means[which])
    output, content, mean = _distances(network, sides, drawings.take(truth).cpu(), progress)
    return PairedTruth(
        output=output, content=content, style_mean=mean, pairs=rows, styles=styles,
        missing=len(pairs) - len(kept),
        protocol=f"channel-normalised feature distance to the real drawing ({network.maps_protocol})",
    )  # fmt: skip


def style_mean_of(train: Pictures, style: str) -> UInt8[Tensor, "3 r r"]:
    """The pixel-wise mean of the drawings of a style, rounded to whole levels."""
    rows = (train.styles == train.style_names.index(style)).nonzero().squeeze(1)
    if len(rows) == 0:
        raise EvalError(f"Style {style!r} has 0 training drawings to take the mean of: add some.")
    total = sum(train.take(part).sum(0, dtype=torch.int64).cpu() for part in rows.split(1024))
    return (torch.as_tensor(total) / len(rows)).round().to(torch.uint8)


@torch.no_grad()
def _distances(
    network: MapExtractor, sides: tuple[Tensor, ...], truth: Tensor, progress: bool
) -> tuple[Float32[Tensor, "k"], ...]:
    """Of each side's pictures to the truth. All sides go through the network in the same batches, so that
    equal pictures have equal maps to the last bit."""
    columns: tuple[list[Tensor], ...] = tuple([] for _ in sides)
    batches = torch.arange(len(truth)).split(BATCH)
    for batch in Progress(batches, desc="truth", unit="batch", leave=False, disable=not progress):
        real = network.maps(truth[batch])
        for column, side in zip(columns, sides, strict=True):
            column.append(feature_distance(network.maps(side[batch]), real, normalised=True))
    return tuple(torch.cat(column) for column in columns)


def _places(drawings: Pictures) -> dict[tuple[str, str], int]:
    """Row of each (style, subject)."""
    place: dict[tuple[str, str], int] = {}
    for row, (style, subject) in enumerate(zip(drawings.styles.tolist(), drawings.subjects, strict=True)):
        if style < 0:
            continue
        key = (drawings.style_names[style], subject)
        if key in place:
            raise EvalError(f"Subject {subject!r} is drawn twice in style {key[0]!r}: keep one of them.")
        place[key] = row
    return place


def _require_comparable(pairs: PairSet, drawings: Pictures, train: Pictures) -> None:
    size, real = pairs.outputs.shape[2:], drawings.images.shape[2:]
    if size != real or train.images.shape[2:] != real:
        raise EvalError(
            f"The pairs are of {size[1]}x{size[0]} pixels and the real drawings of {real[1]}x{real[0]}: "
            "bring all to one size."
        )
    for style in pairs.styles:
        if style not in drawings.style_names or style not in train.style_names:
            raise EvalError(
                f"The data set has no style {style!r}: it has {', '.join(drawings.style_names)}; measure "
                "against the one that was restyled to."
            )


def _rows_of(style: str, styles: tuple[str, ...]) -> Tensor:
    return torch.tensor([row for row, other in enumerate(styles) if other == style])
