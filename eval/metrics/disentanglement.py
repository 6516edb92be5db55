"""Probes of style and subject on codes that should, or should not, hold them.

No probe can prove that something is absent: its score is a lower bound of what the code holds. So several
readings of a code are tried, and the strongest counts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Float64, Int64, UInt8
from torch import Tensor

from brushwork.models.feature_statistics import mean_and_std

from ..errors import EvalError
from ..features.extract import Standardiser
from ..results import Score
from .style import LinearProbe, recognition, style_means

PENALTIES = (30.0, 300.0, 3000.0)
"""Ridge penalties that are tried."""
PLACES = 8
"""Side to which maps are averaged before a probe reads them."""
CHANNELS = 96
"""Channels whose inner products are read, at most; they are taken at equal distances."""
FOLDS = 5
"""One training subject in FOLDS is kept aside to choose the reading."""


# Codes
@dataclass(frozen=True, kw_only=True)
class Codes:
    """Codes of labelled images in several readings (N, _d)."""

    readings: tuple[Float32[Tensor, "n _d"], ...]
    """Linear in the code."""
    products: tuple[Float32[Tensor, "n _d"], ...] = ()
    """Quadratic in the code."""
    styles: Int64[Tensor, "n"]
    subjects: tuple[str, ...]

    def by_products(self) -> "Codes":
        """The codes with their products as the only readings."""
        return replace(self, readings=self.products)

    def split(self) -> tuple["Codes", "Codes"]:
        """Most subjects, and one in FOLDS."""
        aside = set(sorted(set(self.subjects))[::FOLDS])
        rows: dict[bool, list[int]] = {False: [], True: []}
        for row, subject in enumerate(self.subjects):
            rows[subject in aside].append(row)
        return self._rows(rows[False]), self._rows(rows[True])

    def _rows(self, rows: list[int]) -> "Codes":
        return Codes(
            readings=tuple(reading[rows] for reading in self.readings), styles=self.styles[rows],
            subjects=tuple(self.subjects[row] for row in rows),
        )  # fmt: skip


def pooled_places(maps: Float[Tensor, "n c h w"]) -> Float32[Tensor, "n _d"]:
    """Maps averaged to at most PLACES x PLACES, as vectors."""
    return F.adaptive_avg_pool2d(maps.float(), min(PLACES, *maps.shape[2:])).flatten(1)


def palette(images: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n 6"]:
    """Means and deviations of red, green and blue, in 0..1, without any layout."""
    colours = images.float().flatten(2) / 255
    return torch.cat([colours.mean(dim=2), colours.std(dim=2)], dim=1)


def channel_products(maps: Float[Tensor, "n c h w"]) -> Float32[Tensor, "n _d"]:
    """Channel means, deviations and inner products over all places. Instance normalisation leaves the inner
    products in place (Gatys et al. 2016, eq. 3)."""
    x = maps.float()
    few = x[:, :: math.ceil(x.shape[1] / CHANNELS)].flatten(2)
    products = few @ few.mT / few.shape[2]
    upper = torch.triu_indices(*products.shape[1:])
    return torch.cat([*mean_and_std(x), products[:, upper[0], upper[1]]], dim=1)


# Style
def read_style(train: Codes, test: Codes, count: int) -> Score:
    """Balanced accuracy of a linear probe that reads one of `count` styles off the codes `test`. Chance is
    1 / `count`. The reading and the penalty are those that do best on training subjects kept aside.

    Raises EvalError for training images of fewer than two subjects.
    """
    fitted, aside = train.split()
    if not fitted.subjects:
        raise EvalError("The codes' style needs training pictures of 2 subjects or more: pack some.")

    def success(choice: tuple[int, float]) -> float:
        return recognition(aside.styles, _predicted(fitted, aside, count, *choice), count).value

    choices = [(reading, penalty) for reading in range(len(train.readings)) for penalty in PENALTIES]
    return recognition(test.styles, _predicted(train, test, count, *max(choices, key=success)), count)


def _predicted(train: Codes, test: Codes, count: int, reading: int, penalty: float) -> Int64[Tensor, "n"]:
    standard = Standardiser.fit(train.readings[reading])
    probe = LinearProbe.fit(standard(train.readings[reading]), train.styles, count, penalty)
    return probe.predict(standard(test.readings[reading]))


# Subject
class Reading(NamedTuple):
    """Score of a probe, and what chance would score."""

    score: Score
    chance: float


def read_subject(train: Codes, test: Codes, count: int) -> Reading | None:
    """Subject retrieval: how often the nearest code of another style, by cosine, is of the same subject.

    Every code of `test` is a query to every other style that has its subject. Codes are centred on the mean
    of their own style in `train` and divided by the deviation within styles, so that the style does not
    interfere. The first reading is used. The spread is the standard error over subjects, since the images of
    one subject succeed or fail together. None if no subject has two styles.
    """
    means = style_means(train.readings[0], train.styles, count)
    scale = Standardiser.fit(train.readings[0] - means[train.styles]).scale
    codes = F.normalize((test.readings[0] - means[test.styles]) * scale, dim=1)
    names = sorted(set(test.subjects))
    subjects = torch.tensor([names.index(subject) for subject in test.subjects])
    hits, chances, rows = [], [], []
    for style in range(count):
        base = (test.styles == style).nonzero().squeeze(1)
        queries = ((test.styles != style) & torch.isin(subjects, subjects[base])).nonzero().squeeze(1)
        if len(queries) > 0:
            nearest = base[(codes[queries] @ codes[base].T).argmax(dim=1)]
            hits.append((subjects[nearest] == subjects[queries]).double())
            # A style may have several images of a subject, and each of them is a hit.
            chance = torch.bincount(subjects[base], minlength=len(names)).double() / len(base)
            chances.append(chance[subjects[queries]])
            rows.append(queries)
    if not rows:
        return None
    hit, row = torch.cat(hits), torch.cat(rows)
    by_subject = style_means(hit[:, None], subjects[row], len(names)).squeeze(1)
    by_subject = by_subject[~by_subject.isnan()]
    error = float(by_subject.std() / len(by_subject) ** 0.5) if len(by_subject) > 1 else None
    by_style = style_means(hit[:, None], test.styles[row], count).squeeze(1)
    score = Score(value=float(hit.mean()), per_style=tuple(by_style.tolist()), spread=error)
    return Reading(score=score, chance=float(torch.cat(chances).mean()))


# Swaps
def partners(styles: Int64[Tensor, "n"], subjects: Sequence[str], count: int) -> Int64[Tensor, "n"]:
    """The row of an image of another style and another subject for each image, or -1. The other styles take
    turns, and so do their images."""
    rows = [(styles == style).nonzero().squeeze(1).tolist() for style in range(count)]
    chosen = torch.full((len(styles),), -1)
    for style, own in enumerate(rows):
        others = [other for step in range(1, count) if (other := rows[(style + step) % count])]
        for number, row in enumerate(own if others else ()):
            base = others[number % len(others)]
            start = number + len(base) // 2
            candidates = (base[(start + step) % len(base)] for step in range(len(base)))
            chosen[row] = next((other for other in candidates if subjects[other] != subjects[row]), -1)
    return chosen


def nearer(
    codes: Float[Tensor, "n d"], own: Float[Tensor, "n d"], other: Float[Tensor, "n d"]
) -> Float64[Tensor, "n"]:
    """Whether each code is nearer to `own` than to `other`: 1 or 0, and 1/2 for a tie."""
    to_own, to_other = ((codes - code).double().square().sum(dim=1) for code in (own, other))
    return (to_own < to_other).double() + 0.5 * (to_own == to_other).double()
