"""Distances between a content image and an output, pair by pair.

Neither measures content alone: feature distances depend on the network, and SSIM compares pixels. Sources:
Gatys et al. 2016 (feature distance), Wang et al. 2004 (SSIM).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from brushwork.models.feature_statistics import channel_normalised

from ..errors import EvalError

Maps = Sequence[Float[Tensor, "n _c _h _w"]]
"""Feature maps of the same n images, one tensor per tap."""

SSIM_WINDOW = 11
SSIM_PROTOCOL = "SSIM, Gaussian window 11 px, sigma 1.5, K .01 .03, range 255, mean of R G B, float64"

BATCH = 32
"""Pairs in memory at once."""


# Features
def feature_distance(a: Maps, b: Maps, *, normalised: bool) -> Float32[Tensor, "n"]:
    """Squared difference of the maps of each pair, averaged over the taps.

    Raw: the mean over channels and places, 0 to infinity. Normalised: the squared difference of unit vectors
    over the channels, averaged over places alone, 0 (same direction everywhere) to 4 (opposite).
    """

    def difference(x: Tensor, y: Tensor) -> Tensor:
        if not normalised:
            return (x - y).square().mean((1, 2, 3))
        return (channel_normalised(x) - channel_normalised(y)).square().sum(1).mean((1, 2))

    return torch.stack([difference(x, y) for x, y in zip(a, b, strict=True)]).mean(0).float()


# Pixels
def ssim(a: UInt8[Tensor, "n 3 h w"], b: UInt8[Tensor, "m 3 h2 w2"]) -> Float32[Tensor, "n"]:
    """Structural similarity of each pair, averaged over places and R, G, B: -1 to 1, and 1 for equal images.

    Raises EvalError for images smaller than the window of 11 px, and for different sizes.
    """
    # This import takes seconds, because it imports torchvision.
    from torchmetrics.functional.image import structural_similarity_index_measure

    require_alike(a, b)
    if min(a.shape[2:]) < SSIM_WINDOW:
        raise EvalError(
            f"SSIM needs images of {SSIM_WINDOW} px a side at least and these are {a.shape[3]}x"
            f"{a.shape[2]}: leave it out, or compare larger images."
        )
    values = [
        structural_similarity_index_measure(x.double(), y.double(), data_range=255.0, reduction="none")
        for x, y in zip(a.split(BATCH), b.split(BATCH), strict=True)
    ]
    return torch.cat([torch.as_tensor(value) for value in values]).float().cpu()


def require_alike(a: Tensor, b: Tensor) -> None:
    """Raises EvalError unless both sides have as many images of the same size, and at least one."""
    if a.shape != b.shape:
        raise EvalError(f"Images of shape {tuple(a.shape)} and {tuple(b.shape)} are no pairs: match them.")
    if len(a) == 0:
        raise EvalError("There are 0 pairs of images to compare: give at least one.")
