"""Training on partly labelled data: hidden labels and pseudo-labels."""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from brushwork.models.options import Share, options

from ..rng import derived_seed

NONE = -1


@options
class LabelConfig:
    """The use of labels. Images without one are trained on with the null style."""

    share: Share = 1.0
    """Share of each style's labels that is used; the other images count as unlabelled."""
    pseudo: Share = 0.0
    """Probability from which on the style classifier's answer becomes the label of an unlabelled image; 0:
    no pseudo-labels."""


def with_share(styles: Int64[Tensor, "n"], share: float, seed: int) -> Int64[Tensor, "n"]:
    """The styles, in which only a share of each style's rows, chosen by the seed, keeps its label."""
    kept = torch.full_like(styles, NONE)
    for style in styles[styles >= 0].unique().tolist():
        rows = (styles == style).nonzero().squeeze(1)
        rng = torch.Generator().manual_seed(derived_seed(seed, style, "labels"))
        chosen = rows[torch.randperm(len(rows), generator=rng)[: math.ceil(share * len(rows))]]
        kept[chosen] = style
    return kept


def with_pseudo_labels(
    styles: Int64[Tensor, "n"], probabilities: Float[Tensor, "n s"], confidence: float
) -> Int64[Tensor, "n"]:
    """The styles, in which unlabelled images have their likeliest style if its probability reaches
    `confidence` (Lee 2013, "Pseudo-Label"; the threshold as in Sohn et al. 2020, FixMatch,
    arXiv:2001.07685)."""
    sure, answer = probabilities.max(dim=1)
    return torch.where((styles == NONE) & (sure >= confidence), answer, styles)
