"""Labels that are there, hidden or guessed: training on data of which a part has none."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from brushwork.data.loader import Pictures, StoredPictures
from brushwork.models.options import Share, options

from ..errors import TrainingError
from ..rng import derived_seed

NONE = -1


@options
class LabelConfig:
    """Which labels are used, and what becomes of pictures without one."""

    share: Share = 1.0
    """Part of each style's labels that is used; the rest counts as unlabelled. To see what labels are
    worth."""
    unlabelled: Literal["keep", "drop"] = "keep"
    """Pictures without a label are trained on as pictures of no style, or left out."""
    pseudo: Share = 0.0
    """How sure the style classifier must be, from 0 to 1, for its answer to become the label of a picture
    without one; 0: none is guessed."""

    def __post_init__(self) -> None:
        if self.pseudo and self.unlabelled == "drop":
            raise TrainingError("labels.pseudo guesses for pictures that labels.unlabelled drops: keep them.")


@dataclass(frozen=True, kw_only=True)
class Guesses:
    """Styles (N,) with guesses filled in, and how many."""

    styles: Int64[Tensor, "n"]
    accepted: float
    """Of the pictures without a label, those whose guess was sure enough."""
    right: float | None
    """Of these, those whose hidden label it is; None where no label is hidden but all are missing."""


def with_share(styles: Int64[Tensor, "n"], share: float, seed: int) -> Int64[Tensor, "n"]:
    """The styles, with all but a share of each style's rows, drawn by the seed, set to none."""
    kept = torch.full_like(styles, NONE)
    for style in styles[styles >= 0].unique().tolist():
        rows = (styles == style).nonzero().squeeze(1)
        rng = torch.Generator().manual_seed(derived_seed(seed, style, "labels"))
        chosen = rows[torch.randperm(len(rows), generator=rng)[: math.ceil(share * len(rows))]]
        kept[chosen] = style
    return kept


def guessed(
    styles: Int64[Tensor, "n"], probabilities: Float[Tensor, "n s"], confidence: float, hidden: Tensor
) -> Guesses:
    """Fills in the likeliest style where there is none and its probability reaches `confidence` (Lee 2013,
    "Pseudo-Label"; the threshold as in Sohn et al. 2020, FixMatch, arXiv:2001.07685).

    `hidden` (N,) are the styles as they were before some were hidden, by which guesses are marked.
    """
    sure, answer = probabilities.max(dim=1)
    without = styles == NONE
    taken = without & (sure >= confidence)
    known = taken & (hidden != NONE)
    return Guesses(
        styles=torch.where(taken, answer, styles),
        accepted=float(taken.sum() / without.sum().clamp(min=1)),
        right=float((answer == hidden)[known].double().mean()) if known.any() else None,
    )


def labelled(
    pictures: Pictures | StoredPictures, config: LabelConfig, seed: int
) -> Pictures | StoredPictures:
    """The pictures with the labels that are used."""
    if config.share < 1:
        pictures = replace(pictures, styles=with_share(pictures.styles, config.share, seed))
    if config.unlabelled == "drop":
        rows = (pictures.styles >= 0).nonzero().squeeze(1)
        if len(rows) == 0:
            raise TrainingError("no picture has a label, and labels.unlabelled drops all others: keep them.")
        return pictures.subset(rows)
    return pictures
