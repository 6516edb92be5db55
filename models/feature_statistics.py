"""Statistics of feature maps: Gram matrices, means and deviations, normalisations.

Free functions of maps (n, c, h, w); all have finite gradients everywhere, zero included.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from .layers import full_precision

GramNormalisation = Literal["none", "hw", "chw", "gatys"]


def gram(x: Float[Tensor, "n c h w"], normalisation: GramNormalisation = "chw") -> Float[Tensor, "n c c"]:
    """Inner products of the channels over space, F F^T with F of shape (c, h w), divided by what is named.

    `none`: 1. `hw`: h w, the mean over positions. `chw`: c h w (Johnson et al. 2016, arXiv 1603.08155,
    eq. 3). `gatys`: 2 c h w. The paper's Gram matrix (Gatys et al. 2015, arXiv 1508.06576, eq. 3) is `none`,
    and the factor 1 / (4 c^2 (h w)^2) belongs to the squared distance (eq. 4): divided by its root, matrices
    of maps of unequal size can be compared, too.
    """
    n, c, h, w = x.shape
    divisors = {"none": 1, "hw": h * w, "chw": c * h * w, "gatys": 2 * c * h * w}
    flat = x.reshape(n, c, h * w)
    with full_precision(x):
        return flat @ flat.mT / divisors[normalisation]


def gram_distance(
    a: Float[Tensor, "n c h1 w1"], b: Float[Tensor, "n c h2 w2"], normalisation: GramNormalisation = "chw"
) -> Float[Tensor, "n"]:
    """Squared Frobenius distance of the Gram matrices, a figure each picture: sum over i, j of (A - B)_ij^2.

    With `gatys` this is the paper's E_l, the contribution of one layer. Maps may differ in size, but not in
    channels.
    """
    return (gram(a, normalisation) - gram(b, normalisation)).square().sum(dim=(1, 2))


def mean_and_variance(
    x: Float[Tensor, "n c h w"], *, unbiased: bool = False
) -> tuple[Float[Tensor, "n c"], Float[Tensor, "n c"]]:
    """Per channel over space. The unbiased variance is that over one position less, and of a single one 0.

    `torch.var_mean` gives the same, and takes two to forty times as long on a processor.
    """
    mean, positions = x.mean(dim=(2, 3)), x.shape[2] * x.shape[3]
    variance = (x - mean[..., None, None]).square().mean(dim=(2, 3))
    return mean, variance * (positions / max(positions - 1, 1)) if unbiased else variance


def mean_and_std(
    x: Float[Tensor, "n c h w"], eps: float = 1e-5
) -> tuple[Float[Tensor, "n c"], Float[Tensor, "n c"]]:
    """Per channel over space: the mean, and sqrt(variance + eps) (AdaIN, Huang and Belongie 2017, arXiv
    1703.06868, eqs. 5 and 6). The variance is the unbiased one, as in the authors' figures, though eq. 6
    writes the biased one; that of a single position is 0."""
    mean, variance = mean_and_variance(x, unbiased=True)
    return mean, (variance + eps).sqrt()


def mean_std_distance(
    xs: Sequence[Float[Tensor, "n _c _h _w"]], ys: Sequence[Float[Tensor, "n _c _h2 _w2"]]
) -> Float[Tensor, "n"]:
    """Sum over layers of MSE(means) + MSE(standard deviations), the MSE over channels, a figure each picture
    (Huang and Belongie 2017, eq. 13, there with norms for the squares). Between x and x + c: c^2 a layer."""
    layers = []
    for x, y in zip(xs, ys, strict=True):
        (x_mean, x_std), (y_mean, y_std) = mean_and_std(x), mean_and_std(y)
        layers.append(((x_mean - y_mean).square() + (x_std - y_std).square()).mean(dim=1))
    return torch.stack(layers).sum(dim=0)


def channel_normalised(x: Float[Tensor, "n c h w"], eps: float = 1e-10) -> Float[Tensor, "n c h w"]:
    """Each position's vector over the channels at unit length: x / sqrt(|x|^2 + eps).

    LPIPS (Zhang et al. 2018, arXiv 1801.03924) is often computed with the epsilon outside the root, whose
    gradient at zero is NaN.
    """
    return x * (x.square().sum(dim=1, keepdim=True) + eps).rsqrt()


def instance_normalised(x: Float[Tensor, "n c h w"], eps: float = 1e-5) -> Float[Tensor, "n c h w"]:
    """Each channel of each picture at mean 0 and deviation 1: what remains is where, not how strongly."""
    mean, std = mean_and_std(x, eps)
    return (x - mean[..., None, None]) / std[..., None, None]


def total_variation(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n"]:
    """Mean squared difference of horizontal neighbours plus that of vertical ones, a figure each picture.

    A checkerboard of 0 and 1 has 2, whatever its size. A picture of one row (column) has no such neighbours,
    and the part counts 0.
    """
    across, down = (x[..., 1:] - x[..., :-1]).square(), (x[..., 1:, :] - x[..., :-1, :]).square()
    parts = [d.sum(dim=(1, 2, 3)) / max(d[0].numel(), 1) for d in (across, down)]
    return parts[0] + parts[1]
