"""Statistics of feature maps (n, c, h, w): Gram matrices, means and deviations, normalisations.

The gradients of all functions are finite everywhere, zero included.
"""

from jaxtyping import Float
from torch import Tensor

from .layers import full_precision


def gram(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c c"]:
    """Returns the Gram matrix F F^T / (c h w), with F of shape (c, h w) (Johnson et al. 2016, arXiv
    1603.08155, eq. 3)."""
    n, c, h, w = x.shape
    flat = x.reshape(n, c, h * w)
    with full_precision(x):
        return flat @ flat.mT / (c * h * w)


def gram_distance(a: Float[Tensor, "n c h1 w1"], b: Float[Tensor, "n c h2 w2"]) -> Float[Tensor, "n"]:
    """Returns the squared Frobenius distance of the Gram matrices of each image. Maps may differ in size.

    A quarter of it is the loss E_l of one layer of Gatys et al. 2015 (arXiv 1508.06576, eq. 4).
    """
    return (gram(a) - gram(b)).square().sum(dim=(1, 2))


def mean_and_variance(
    x: Float[Tensor, "n c h w"], *, unbiased: bool = False
) -> tuple[Float[Tensor, "n c"], Float[Tensor, "n c"]]:
    """Returns the mean and variance over space. The unbiased variance of a single position is 0.

    `torch.var_mean` gives the same and takes two to forty times as long on a CPU.
    """
    mean, positions = x.mean(dim=(2, 3)), x.shape[2] * x.shape[3]
    variance = (x - mean[..., None, None]).square().mean(dim=(2, 3))
    return mean, variance * (positions / max(positions - 1, 1)) if unbiased else variance


def mean_and_std(
    x: Float[Tensor, "n c h w"], eps: float = 1e-5
) -> tuple[Float[Tensor, "n c"], Float[Tensor, "n c"]]:
    """Returns the mean and sqrt(variance + eps) over space (AdaIN, Huang and Belongie 2017, arXiv 1703.06868,
    eqs. 5 and 6). The variance is unbiased, as in the authors' code; eq. 6 has the biased one."""
    mean, variance = mean_and_variance(x, unbiased=True)
    return mean, (variance + eps).sqrt()


def channel_normalised(x: Float[Tensor, "n c h w"], eps: float = 1e-10) -> Float[Tensor, "n c h w"]:
    """Scales the vector over the channels at each position to unit length: x / sqrt(|x|^2 + eps).

    LPIPS (Zhang et al. 2018, arXiv 1801.03924) is often computed with eps outside the root, which makes the
    gradient at zero NaN.
    """
    return x * (x.square().sum(dim=1, keepdim=True) + eps).rsqrt()


def instance_normalised(x: Float[Tensor, "n c h w"], eps: float = 1e-5) -> Float[Tensor, "n c h w"]:
    """Gives each channel of each image mean 0 and standard deviation 1."""
    mean, std = mean_and_std(x, eps)
    return (x - mean[..., None, None]) / std[..., None, None]


def total_variation(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n"]:
    """Returns the mean squared difference of horizontal neighbours plus that of vertical ones, per image.

    A checkerboard of 0 and 1 has 2. An image of one column (row) has no such neighbours, which count 0.
    """
    across, down = (x[..., 1:] - x[..., :-1]).square(), (x[..., 1:, :] - x[..., :-1, :]).square()
    parts = [d.sum(dim=(1, 2, 3)) / max(d[0].numel(), 1) for d in (across, down)]
    return parts[0] + parts[1]
