"""Training on partly labelled data: hidden labels, unlabelled pictures, pseudo-labels."""

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
    """Which labels are used, and what happens to pictures without one."""

    share: Share = 1.0
    """Share of each style's labels that is used; the other pictures count as unlabelled."""
    unlabelled: Literal["keep", "drop"] = "keep"
    """Whether pictures without a label are trained on, with the null style, or left out."""
    pseudo: Share = 0.0
    """Probability from which on the style classifier's answer becomes the label of an unlabelled picture; 0:
    no pseudo-labels."""

    def __post_init__(self) -> None:
        if self.pseudo and self.unlabelled == "drop":
            raise TrainingError("labels.pseudo labels pictures that labels.unlabelled drops: set it to keep.")


@dataclass(frozen=True, kw_only=True)
class PseudoLabels:
    """Styles (N,) including pseudo-labels, and how many there are."""

    styles: Int64[Tensor, "n"]
    accepted: float
    """Share of the unlabelled pictures that got a pseudo-label."""
    right: float | None
    """Share of pseudo-labels that equal the hidden label; None if no label was hidden."""


def with_share(styles: Int64[Tensor, "n"], share: float, seed: int) -> Int64[Tensor, "n"]:
    """The styles, in which only a share of each style's rows, chosen by the seed, keeps its label."""
    kept = torch.full_like(styles, NONE)
    for style in styles[styles >= 0].unique().tolist():
        rows = (styles == style).nonzero().squeeze(1)
        rng = torch.Generator().manual_seed(derived_seed(seed, style, "labels"))
        chosen = rows[torch.randperm(len(rows), generator=rng)[: math.ceil(share * len(rows))]]
        kept[chosen] = style
    return kept


def pseudo_labels(
    styles: Int64[Tensor, "n"], probabilities: Float[Tensor, "n s"], confidence: float, hidden: Tensor
) -> PseudoLabels:
    """Labels unlabelled pictures with their likeliest style if its probability reaches `confidence` (Lee
    2013, "Pseudo-Label"; the threshold as in Sohn et al. 2020, FixMatch, arXiv:2001.07685).

    `hidden` (N,) are the styles before some were hidden, to count how many pseudo-labels are right.
    """
    sure, answer = probabilities.max(dim=1)
    without = styles == NONE
    taken = without & (sure >= confidence)
    known = taken & (hidden != NONE)
    return PseudoLabels(
        styles=torch.where(taken, answer, styles),
        accepted=float(taken.sum() / without.sum().clamp(min=1)),
        right=float((answer == hidden)[known].double().mean()) if known.any() else None,
    )


def labelled(
    pictures: Pictures | StoredPictures, config: LabelConfig, seed: int
) -> Pictures | StoredPictures:
    """The pictures to train on, with the labels to use."""
    if config.share < 1:
        pictures = replace(pictures, styles=with_share(pictures.styles, config.share, seed))
    if config.unlabelled == "drop":
        rows = (pictures.styles >= 0).nonzero().squeeze(1)
        if len(rows) == 0:
            raise TrainingError(
                "no picture has a label, and labels.unlabelled drops the others: set it to keep."
            )
        return pictures.subset(rows)
    return pictures
