"""Statistics of feature maps (n, c, h, w), whose gradients are finite everywhere, zero included."""

from jaxtyping import Float
from torch import Tensor

from .layers import full_precision
from .norm import bessel


def gram(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c c"]:
    """Returns the Gram matrix F F^T / (c h w), with F of shape (c, h w) (Johnson et al. 2016, arXiv
    1603.08155, eq. 3)."""
    flat = x.flatten(2)
    with full_precision(x):
        return flat @ flat.mT / x[0].numel()


def mean_and_variance(x: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n c"], Float[Tensor, "n c"]]:
    """Returns the mean and variance over space, as `torch.var_mean`, which takes two to forty times as long
    on a CPU."""
    mean = x.mean(dim=(2, 3))
    return mean, (x - mean[..., None, None]).square().mean(dim=(2, 3))


def mean_and_std(
    x: Float[Tensor, "n c h w"], eps: float = 1e-5
) -> tuple[Float[Tensor, "n c"], Float[Tensor, "n c"]]:
    """Returns the mean and sqrt(variance + eps) over space (AdaIN, Huang and Belongie 2017, arXiv 1703.06868,
    eqs. 5 and 6). The variance is unbiased, as in the authors' code (eq. 6 has the biased one), and 0 for a
    single position."""
    mean, variance = mean_and_variance(x)
    return mean, (variance * bessel(x) + eps).sqrt()


def channel_normalised(x: Float[Tensor, "n c h w"], eps: float = 1e-10) -> Float[Tensor, "n c h w"]:
    """Scales the vector over the channels at each position to unit length: x / sqrt(|x|^2 + eps). (With eps
    outside the root, as in many an LPIPS, the gradient at zero is NaN.)"""
    return x * (x.square().sum(dim=1, keepdim=True) + eps).rsqrt()


def total_variation(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n"]:
    """Returns the mean squared difference of horizontal neighbours plus that of vertical ones, per image. A
    checkerboard of 0 and 1 has 2."""
    across, down = (x[..., 1:] - x[..., :-1]).square(), (x[..., 1:, :] - x[..., :-1, :]).square()
    parts = [d.sum(dim=(1, 2, 3)) / max(d[0].numel(), 1) for d in (across, down)]
    return parts[0] + parts[1]
