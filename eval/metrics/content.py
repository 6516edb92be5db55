"""Is the content still there? Distances between a picture and what became of it, pair by pair.

None of them knows what content is, so none stands alone: feature distances see what a network saw, SSIM sees
pixels, CFSD sees only which places of a picture resemble each other. All are 0 (SSIM: 1) for a picture beside
itself. Sources: Gatys et al. 2016 (feature distance), Wang et al. 2004 (SSIM), Chung et al. 2024, arXiv
2312.09008 (CFSD), Wright and Ommer 2022, arXiv 2207.12280 (ArtFID).
"""

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from brushwork.models.feature_statistics import channel_normalised

from ..errors import EvalError

Maps = Sequence[Float[Tensor, "n _c _h _w"]]
"""Feature maps of the same n pictures, one tensor a tap."""

SSIM_WINDOW = 11
"""Side of the Gaussian window in pixels; its deviation is 1.5."""

SSIM_PROTOCOL = "SSIM, Gaussian window 11 px, sigma 1.5, K .01 .03, range 255, mean of R G B, float64"

CFSD_PROTOCOL = "CFSD, dot products over channels^2, KL(content || output), mean over places, mean of taps"

_BLOCK = 2**23
"""Similarities held at once: 64 MB of float64."""


# Features
def feature_distance(a: Maps, b: Maps, *, normalised: bool) -> Float32[Tensor, "n"]:
    """Mean over the taps of the squared difference of two pictures' maps, for each pair.

    Raw (`normalised` False): the mean over channels and places, 0 to infinity, which grows with the gain of
    the loudest tap. Channel-normalised: the squared length of the difference of unit vectors, 0 (same
    direction everywhere) to 4 (opposite), as a mean over places alone: a mean over channels too would count
    a tap the less the wider it is. The two are no alternatives to each other; say which.
    """
    difference = direction_difference if normalised else squared_difference
    return torch.stack([difference(x, y) for x, y in zip(a, b, strict=True)]).mean(0).float()


def squared_difference(a: Float[Tensor, "n c h w"], b: Float[Tensor, "n c h w"]) -> Float[Tensor, "n"]:
    return (a - b).square().mean((1, 2, 3))


def direction_difference(a: Float[Tensor, "n c h w"], b: Float[Tensor, "n c h w"]) -> Float[Tensor, "n"]:
    """2 - 2 cos of the angle between the two feature vectors at a place, as a mean over places."""
    return (channel_normalised(a) - channel_normalised(b)).square().sum(1).mean((1, 2))


# Self-similarity
def cfsd(contents: Maps, outputs: Maps) -> Float32[Tensor, "n"]:
    """Content feature structural distance: how otherwise the places of an output resemble each other.

    For each place, the softmax of its similarities to all places says what it resembles; the distance is
    KL(content || output) of these, as a mean over places and taps: 0 to infinity, not symmetric. The authors
    take one tap, relu3_1 of VGG19, and their code sums over places where their text averages: their figures
    are h * w times these. It grows with about the fourth power of the maps' gain: compare no two networks by
    it.
    """
    taps = [structural_distance(x, y) for x, y in zip(contents, outputs, strict=True)]
    return torch.stack(taps).mean(0).float()


def structural_distance(
    content: Float[Tensor, "n c h w"], output: Float[Tensor, "n c h w"]
) -> Float[Tensor, "n"]:
    """CFSD of one tap, in blocks of places and in float64: it is the small rest of terms that cancel."""
    a, b = content.double(), output.double()
    count, places = len(a), a.shape[2] * a.shape[3]
    step = max(1, _BLOCK // max(1, count * places))
    total = torch.zeros(count, dtype=torch.float64, device=a.device)
    for start in range(0, places, step):
        block = slice(start, start + step)
        total += row_divergences(self_similarity(a, block), self_similarity(b, block)).sum(1)
    return total / places


def self_similarity(x: Float[Tensor, "n c h w"], rows: slice = slice(None)) -> Float[Tensor, "n rows places"]:
    """Similarity of the places `rows` (row by row of the picture) to all h * w places.

    It is the dot product of their features, each over the number of channels, as in the authors' code: the
    text leaves the scale open, and without one the softmax would be all on the loudest place. A cosine would
    be blind to gain, and is not what was published.
    """
    places = rearrange(x, "n c h w -> n (h w) c") / x.shape[1]
    return places[:, rows] @ places.mT


def row_divergences(a: Float[Tensor, "n r m"], b: Float[Tensor, "n r m"]) -> Float[Tensor, "n r"]:
    """KL(softmax(a) || softmax(b)) of each row."""
    p, q = a.log_softmax(-1), b.log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1)


# Pixels
def ssim(
    a: UInt8[Tensor, "n 3 h w"], b: UInt8[Tensor, "m 3 h2 w2"], *, batch: int = 32
) -> Float32[Tensor, "n"]:
    """Structural similarity of each pair, -1 to 1, 1 if they are equal; a mean over places and R, G, B.

    Raises EvalError for pictures smaller than the window of 11 px, and for sizes that differ.
    """
    # It brings torchvision along, whose import takes seconds.
    from torchmetrics.functional.image import structural_similarity_index_measure

    require_alike(a, b)
    if min(a.shape[2:]) < SSIM_WINDOW:
        raise EvalError(
            f"SSIM needs pictures of {SSIM_WINDOW} px a side at least and these are {a.shape[3]}x"
            f"{a.shape[2]}: leave it out, or compare larger pictures."
        )
    pairs = zip(a.split(batch), b.split(batch), strict=True)
    values = [
        structural_similarity_index_measure(x.double(), y.double(), data_range=255.0, reduction="none")
        for x, y in pairs
    ]
    return torch.cat([torch.as_tensor(value) for value in values]).float().cpu()


def require_alike(a: Tensor, b: Tensor) -> None:
    """Raises EvalError unless there are as many pictures on either side, of one size, and at least one."""
    if a.shape != b.shape:
        raise EvalError(f"Pictures of shape {tuple(a.shape)} and {tuple(b.shape)} are no pairs: match them.")
    if len(a) == 0:
        raise EvalError("There are 0 pairs of pictures to compare: give at least one.")


# Content and style in one figure
def art_fid(lpips: float, fid: float) -> float:
    """(1 + LPIPS)(1 + FID): LPIPS of outputs to contents as a mean over the pairs, FID of outputs to the
    pictures of the style; 1 at best. The published figure takes both by particular networks: name yours."""
    return (1 + lpips) * (1 + fid)
