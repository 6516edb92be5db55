"""The mapping network: latent code z and style weights -> style code w."""

import itertools
from collections.abc import Sequence

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor, nn

from .layers import LEAKY_GAIN, EqualLinear, full_precision, leaky, pixel_norm


def with_null(styles: Float[Tensor, "n s"]) -> Float[Tensor, "n s+1"]:
    """Appends the weight of the null style, so that each row sums to one."""
    return torch.cat([styles, 1 - styles.sum(dim=1, keepdim=True)], dim=1)


class MappingNetwork(nn.Module):
    """z (N, Z) and soft style weights (N, S) -> w (N, D).

    As in the conditional StyleGAN, the style weights select and blend rows of a N(0, 1) table, which are
    concatenated to z before the pixel norm; the last row is the null style's. `lr_multiplier` scales the
    learning rate (Karras 2019, C).
    """

    def __init__(self, *, styles: int, z_dim: int, w_dim: int, layers: int, lr_multiplier: float) -> None:
        super().__init__()
        self.z_dim, self.w_dim = z_dim, w_dim
        self.table = nn.Parameter(torch.randn(styles + 1, w_dim))
        widths = [z_dim + w_dim] + [w_dim] * layers
        self.layers = nn.ModuleList(
            EqualLinear(i, o, gain=LEAKY_GAIN, lr_multiplier=lr_multiplier)
            for i, o in itertools.pairwise(widths)
        )
        self.average: Tensor
        self.register_buffer("average", torch.zeros(styles + 1, w_dim))

    def forward(self, z: Float[Tensor, "n z"], styles: Float[Tensor, "n s"]) -> Float[Tensor, "n d"]:
        with full_precision(z):
            x = pixel_norm(torch.cat([z, with_null(styles) @ self.table], dim=1))
            for layer in self.layers:
                x = leaky(layer(x))
            return x

    # The running average of w, one for each style
    def style_sums(self, w: Float[Tensor, "n d"], styles: Float[Tensor, "n s"]) -> Float[Tensor, "s1 d1"]:
        """Returns each style's weighted sum of w, with its weight in the last column: (S + 1, D + 1)."""
        with full_precision(w):
            return with_null(styles).T @ torch.cat([w, torch.ones_like(w[:, :1])], dim=1)

    @torch.no_grad()
    def update_average(self, sums: Float[Tensor, "s1 d1"], *, beta: float = 0.995) -> None:
        """Moves each style's average towards its mean in `sums`, unless the batch lacks the style.

        A style of weight k moves by 1 - beta ** (k / mean weight of the styles present), so rare styles are
        averaged over more batches. An average of zero becomes the mean.
        """
        weight = sums[:, -1:]
        mean = sums[:, :-1] / weight.clamp(min=1e-6)
        share = weight / weight[weight > 1e-6].mean()
        fresh = (self.average == 0).all(dim=1, keepdim=True)
        rate = torch.where(fresh, torch.ones_like(share), 1 - beta**share)  # 0 for absent styles
        self.average += rate * (mean - self.average)

    def untrained_styles(self, styles: Float[Tensor, "n s"]) -> list[int]:
        """Returns the rows of the table (the last is the null style's) that `styles` use and that were never
        trained: their codes are noise, and they have no average."""
        used = (with_null(styles.to(self.average)) > 1e-6).any(dim=0)
        return (used & (self.average == 0).all(dim=1)).nonzero().flatten().tolist()

    def average_of(self, styles: Float[Tensor, "n s"]) -> Float[Tensor, "n d"]:
        """Returns the average of a style, or of a blend of styles, in W."""
        with full_precision(styles):
            return with_null(styles) @ self.average


def truncate(
    w: Float[Tensor, "n d"], centre: Float[Tensor, "n d"], *, psi: float, layers: int
) -> Float[Tensor, "n l d"]:
    """Moves w towards `centre` in every layer: psi 1 changes nothing, psi 0 gives the centre (Karras 2019,
    section B)."""
    return repeat(torch.lerp(centre, w, psi), "n d -> n l d", l=layers)


def mix(
    w1: Float[Tensor, "n d"], w2: Float[Tensor, "n d"], cutoff: Tensor | Sequence[int], *, layers: int
) -> Float[Tensor, "n l d"]:
    """Style mixing: row i has w1 in the layers below cutoff[i], and w2 from there on (Karras 2019, 3.1)."""
    cutoff = torch.as_tensor(cutoff, device=w1.device)
    first = torch.arange(layers, device=w1.device)[None, :, None] < cutoff[:, None, None]
    return torch.where(first, repeat(w1, "n d -> n l d", l=layers), repeat(w2, "n d -> n l d", l=layers))
