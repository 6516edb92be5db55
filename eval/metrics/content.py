"""Distances between a content image and an output, pair by pair.

None of them measures content alone: feature distances depend on the network, SSIM compares pixels, and CFSD
compares which places of an image resemble each other. All are 0 (SSIM: 1) for equal images. Sources: Gatys et
al. 2016 (feature distance), Wang et al. 2004 (SSIM), Chung et al. 2024, arXiv 2312.09008 (CFSD).
"""

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from brushwork.models.feature_statistics import channel_normalised

from ..errors import EvalError

Maps = Sequence[Float[Tensor, "n _c _h _w"]]
"""Feature maps of the same n images, one tensor per tap."""

SSIM_WINDOW = 11
SSIM_PROTOCOL = "SSIM, Gaussian window 11 px, sigma 1.5, K .01 .03, range 255, mean of R G B, float64"
CFSD_PROTOCOL = "CFSD, dot products over channels^2, KL(content || output), mean over places, mean of taps"

BATCH = 32
"""Pairs in memory at once."""
_BLOCK = 2**23
"""Similarities in memory at once: 64 MB of float64."""


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


# Self-similarity
def cfsd(contents: Maps, outputs: Maps) -> Float32[Tensor, "n"]:
    """Content feature structural distance: how differently places resemble each other in content and output.

    Each place has a distribution, the softmax of its similarities to all places. The distance is the
    KL(content || output) of these distributions, averaged over places and taps: 0 to infinity, not symmetric.

    The authors use one tap, relu3_1 of VGG19. Their code sums over places where their text averages, so their
    values are h * w times these. The distance grows with about the fourth power of the maps' gain, so values
    of two networks are not comparable.
    """
    taps = [structural_distance(x, y) for x, y in zip(contents, outputs, strict=True)]
    return torch.stack(taps).mean(0).float()


def structural_distance(
    content: Float[Tensor, "n c h w"], output: Float[Tensor, "n c h w"]
) -> Float[Tensor, "n"]:
    """CFSD of one tap, in blocks of places, and in float64 because its terms nearly cancel."""
    a, b = content.double(), output.double()
    places = a.shape[2] * a.shape[3]
    step = max(1, _BLOCK // (len(a) * places))
    total = torch.zeros(len(a), dtype=torch.float64, device=a.device)
    for start in range(0, places, step):
        block = slice(start, start + step)
        p, q = (self_similarity(x, block).log_softmax(-1) for x in (a, b))
        total += (p.exp() * (p - q)).sum(-1).sum(1)
    return total / places


def self_similarity(x: Float[Tensor, "n c h w"], rows: slice = slice(None)) -> Float[Tensor, "n rows places"]:
    """Similarity of the places `rows` (in row-major order) to all h * w places: the dot product of their
    features, each divided by the number of channels, as in the authors' code."""
    places = rearrange(x, "n c h w -> n (h w) c") / x.shape[1]
    return places[:, rows] @ places.mT


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
            f"SSIM needs pictures of {SSIM_WINDOW} px a side at least and these are {a.shape[3]}x"
            f"{a.shape[2]}: leave it out, or compare larger pictures."
        )
    values = [
        structural_similarity_index_measure(x.double(), y.double(), data_range=255.0, reduction="none")
        for x, y in zip(a.split(BATCH), b.split(BATCH), strict=True)
    ]
    return torch.cat([torch.as_tensor(value) for value in values]).float().cpu()


def require_alike(a: Tensor, b: Tensor) -> None:
    """Raises EvalError unless both sides have as many images of the same size, and at least one."""
    if a.shape != b.shape:
        raise EvalError(f"Pictures of shape {tuple(a.shape)} and {tuple(b.shape)} are no pairs: match them.")
    if len(a) == 0:
        raise EvalError("There are 0 pairs of pictures to compare: give at least one.")
