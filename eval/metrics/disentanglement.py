"""What is left in which code? Style and subject, read by probes off codes that should and should not hold
them.

No reading can prove that something is absent: a figure is a lower bound of what the code holds. So several
ways of looking are tried, and the strongest counts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, Float64, Int64, UInt8
from torch import Tensor

from brushwork.models.feature_statistics import mean_and_std

from ..errors import EvalError
from ..features.extract import Standardiser
from ..measures import About, Score
from .registry import recognition
from .similarity import style_means
from .style import LinearProbe, balanced_accuracy, confusion

PENALTIES = (30.0, 300.0, 3000.0)
"""Ridge penalties that are tried."""

PLACES = 8
"""Side to which maps are averaged before their places are read."""

CHANNELS = 96
"""Channels whose inner products are read: every so-many-th where there are more."""

FOLDS = 5
"""One subject of so many is kept aside to choose the reading by."""


ABOUT: dict[str, About] = {
    "style_in_content": About(
        title="style read off the content code", better="less", kind="share",
        note="Share of held-out pictures whose style a linear probe names by the content code alone, as a "
        "mean over the styles; a code that holds no style is at chance.",
    ),
    "products_in_content": About(
        title="style read off products of the content code", better="less", kind="share",
        note="The same by channel means, deviations and inner products over all places, which are quadratic "
        "in the code: what no linear function tells may be in them.",
    ),
    "subject_in_content": About(
        title="subject read off the content code", better="more", kind="share",
        note="How often the nearest content code in another style is of the same subject.",
    ),
    "style_in_style": About(
        title="style read off the style code", better="more", kind="share",
        note="Share of held-out pictures whose style a linear probe names by the style code, which was read "
        "without a label.",
    ),
    "subject_in_style": About(
        title="subject read off the style code", better="less", kind="share",
        note="How often the nearest style code in another style is of the same subject; a code that holds no "
        "subject is at chance.",
    ),
    "swapped_style": About(
        title="style of the swapped picture", better="more", kind="share",
        note="Share of pictures drawn from the content of one and the style of another whose style the "
        "evaluator's probe names as the other's; real pictures of that style are the ceiling.",
    ),
    "swapped_content": About(
        title="content of the swapped picture", better="more", kind="share",
        note="How often the content code read off such a picture is nearer to that of its content than to "
        "that of its style picture; real drawings of the one in the other's style are the ceiling.",
    ),
}  # fmt: skip


# Codes
@dataclass(frozen=True, kw_only=True)
class Codes:
    """Codes of labelled pictures, in each of the ways that they are looked at (N, _d)."""

    readings: tuple[Float32[Tensor, "n _d"], ...]
    """Linear in the code."""
    products: tuple[Float32[Tensor, "n _d"], ...] = ()
    """Quadratic in it."""
    styles: Int64[Tensor, "n"]
    subjects: tuple[str, ...]

    def rows(self, wanted: Bool[Tensor, "n"]) -> "Codes":
        kept = wanted.nonzero().squeeze(1)
        return Codes(
            readings=tuple(reading[kept] for reading in self.readings),
            products=tuple(reading[kept] for reading in self.products), styles=self.styles[kept],
            subjects=tuple(self.subjects[row] for row in kept.tolist()),
        )  # fmt: skip

    def by_products(self) -> "Codes":
        """These in place of the linear readings."""
        return Codes(readings=self.products, styles=self.styles, subjects=self.subjects)

    def split(self) -> tuple["Codes", "Codes"]:
        """Most subjects, and one of FOLDS."""
        names = sorted(set(self.subjects))
        aside = set(names[::FOLDS])
        held = torch.tensor([subject in aside for subject in self.subjects])
        return self.rows(~held), self.rows(held)


def places_of(maps: Float[Tensor, "n c h w"]) -> Float32[Tensor, "n _d"]:
    """What is where, averaged to at most PLACES x PLACES."""
    return F.adaptive_avg_pool2d(maps.float(), min(PLACES, *maps.shape[2:])).flatten(1)


def palette_of(images: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n 6"]:
    """Means and deviations of red, green and blue, 0 to 1: what of a picture's colours is where does not
    show in them."""
    colours = images.float().flatten(2) / 255
    return torch.cat([colours.mean(dim=2), colours.std(dim=2)], dim=1)


def products_of(maps: Float[Tensor, "n c h w"]) -> Float32[Tensor, "n _d"]:
    """Statistics over all places: channel means and deviations, and inner products of channels, which
    instance normalisation leaves in place (Gatys et al. 2016, eq. 3)."""
    x = maps.float()
    few = x[:, :: math.ceil(x.shape[1] / CHANNELS)].flatten(2)
    products = few @ few.mT / few.shape[2]
    upper = torch.triu_indices(*products.shape[1:])
    return torch.cat([*mean_and_std(x), products[:, upper[0], upper[1]]], dim=1)


# Style
def style_read(train: Codes, test: Codes, count: int) -> Score:
    """Balanced accuracy at which a linear probe names the style of the codes `test`, by the reading and the
    penalty that did best on training subjects kept aside. Chance is 1 / `count`.

    Raises EvalError where training pictures are of fewer subjects than two.
    """
    learnt, aside = train.split()
    if not learnt.subjects:
        raise EvalError("The codes' style needs training pictures of 2 subjects or more: pack some.")
    tried = [(reading, penalty) for reading in range(len(train.readings)) for penalty in PENALTIES]

    def success(way: tuple[int, float]) -> float:
        return balanced_accuracy(confusion(aside.styles, _named(learnt, aside, count, *way), count))

    best = max(tried, key=success)
    return recognition(test.styles, _named(train, test, count, *best), count)


def _named(train: Codes, test: Codes, count: int, reading: int, penalty: float) -> Int64[Tensor, "n"]:
    known, asked = train.readings[reading], test.readings[reading]
    standard = Standardiser.fit(known)
    probe = LinearProbe.fit(standard(known), train.styles, count, penalty)
    return probe.predict(standard(asked))


# Subject
@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """How often the nearest code in another style is of the same subject."""

    score: Score
    chance: float
    """What picking any of that style's pictures would score."""


def subject_read(train: Codes, test: Codes, count: int) -> Retrieval | None:
    """Subject retrieval across styles: for every code of `test` and every other style in which its subject
    is, the nearest code of that style by cosine. None where no subject is in two styles.

    Codes are centred on the mean of their own style in `train` and divided by the deviation within styles,
    so that the style itself, wherever it is, does not stand in the way. Of the readings the first is taken.
    The spread is the standard error over subjects, since all pictures of one are found or missed together.
    """
    codes = _within_styles(train.readings[0], train.styles, test, count)
    names = sorted(set(test.subjects))
    subjects = torch.tensor([names.index(subject) for subject in test.subjects])
    found: list[Tensor] = []
    for style in range(count):
        there = (test.styles == style).nonzero().squeeze(1)
        asking = ((test.styles != style) & torch.isin(subjects, subjects[there])).nonzero().squeeze(1)
        if len(asking) == 0:
            continue
        nearest = there[(codes[asking] @ codes[there].T).argmax(dim=1)]
        hits = (subjects[nearest] == subjects[asking]).double()
        # Somebody may have drawn a subject twice: then there are two to hit.
        luck = torch.bincount(subjects[there], minlength=len(names)).double() / len(there)
        found.append(torch.stack([hits, luck[subjects[asking]], asking.double()], dim=1))
    if not found:
        return None
    hits, luck, asking = torch.cat(found).unbind(dim=1)
    rows = asking.long()
    by_subject = style_means(hits[:, None], subjects[rows], len(names)).squeeze(1)
    by_subject = by_subject[~by_subject.isnan()]
    error = float(by_subject.std() / len(by_subject) ** 0.5) if len(by_subject) > 1 else None
    by_style = style_means(hits[:, None], test.styles[rows], count).squeeze(1)
    score = Score(value=float(hits.mean()), per_style=tuple(by_style.tolist()), spread=error)
    return Retrieval(score=score, chance=float(luck.mean()))


def _within_styles(
    train: Float32[Tensor, "m d"], styles: Int64[Tensor, "m"], test: Codes, count: int
) -> Float32[Tensor, "n d"]:
    """Directions of the codes from their style's mean."""
    means = style_means(train, styles, count)
    scale = Standardiser.fit(train - means[styles]).scale
    return F.normalize((test.readings[0] - means[test.styles]) * scale, dim=1)


# Swapping
def partners(styles: Int64[Tensor, "n"], subjects: Sequence[str], count: int) -> Int64[Tensor, "n"]:
    """For every picture one of another style and of another subject, to take the style of; -1 where there is
    none. The other styles come in turn, and their pictures too."""
    rows = [(styles == style).nonzero().squeeze(1).tolist() for style in range(count)]
    found = torch.full((len(styles),), -1)
    for style, own in enumerate(rows):
        others = [other for turn in range(1, count) if (other := rows[(style + turn) % count])]
        for number, row in enumerate(own if others else ()):
            there = others[number % len(others)]
            start = number + len(there) // 2
            turned = (there[(start + step) % len(there)] for step in range(len(there)))
            found[row] = next((other for other in turned if subjects[other] != subjects[row]), -1)
    return found


def nearer(
    read: Float[Tensor, "n d"], own: Float[Tensor, "n d"], other: Float[Tensor, "n d"]
) -> Float64[Tensor, "n"]:
    """1 where a code is nearer to its `own` than to the `other`, 0 where it is farther, 1/2 for a tie."""
    to_own, to_other = ((read - code).double().square().sum(dim=1) for code in (own, other))
    return (to_own < to_other).double() + 0.5 * (to_own == to_other).double()


def mean_by_style(values: Float64[Tensor, "n"], styles: Int64[Tensor, "n"], count: int) -> Score:
    """Mean over all, by style too, with its standard error."""
    by_style = style_means(values[:, None], styles, count).squeeze(1)
    error = float(values.std() / len(values) ** 0.5) if len(values) > 1 else None
    return Score(value=float(values.mean()), per_style=tuple(by_style.tolist()), spread=error)
