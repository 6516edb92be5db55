"""The style door: latent code z and style weights -> style code w."""

import itertools
from collections.abc import Sequence

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor, nn

from .errors import ModelError
from .layers import LEAKY_GAIN, EqualLinear, Normal, full_precision, leaky, pixel_norm
from .options import PSI_LIMIT


def with_null(styles: Float[Tensor, "n s"]) -> Float[Tensor, "n s+1"]:
    """Appends the weight of the null style, so that each row sums to one: a zero row ("no label") is all
    null."""
    return torch.cat([styles, 1 - styles.sum(dim=1, keepdim=True)], dim=1)


class MappingNetwork(nn.Module):
    """z (N, Z) and soft style weights (N, S) -> w (N, D).

    The style enters as in StyleGAN's conditional original: weights times a table of N(0, 1) rows,
    concatenated to z before the pixel norm. The table has one row more, for the null style; a mixture of
    styles enters as the mixture of their rows. Layers learn `lr_multiplier` times slower than the synthesis
    (Karras 2019, C).
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

    def forward(
        self,
        z: Float[Tensor, "n z"],
        styles: Float[Tensor, "n s"],
        *,
        normal: Normal | None = None,
        condition_noise: float = 0.0,
    ) -> Float[Tensor, "n d"]:
        """`condition_noise` is the standard deviation of Gaussian noise on the style's row (Rangwani 2023,
        "NoisyTwins", arXiv:2304.05866): it keeps rare styles from collapsing to one picture. Needs
        `normal`."""
        with full_precision(z):
            row = with_null(styles) @ self.table
            if condition_noise and normal is not None:
                row = row + condition_noise * normal((self.w_dim,))
            x = pixel_norm(torch.cat([z, row], dim=1))
            for layer in self.layers:
                x = leaky(layer(x))
            return x

    # The running average of w, one for each style

    def style_sums(self, w: Float[Tensor, "n d"], styles: Float[Tensor, "n s"]) -> Float[Tensor, "s1 d1"]:
        """Each style's weighted sum of w, and in the last column its weight: (S + 1, D + 1), to add up over
        processes."""
        with full_precision(w):
            return with_null(styles).T @ torch.cat([w, torch.ones_like(w[:, :1])], dim=1)

    @torch.no_grad()
    def update_average(self, sums: Float[Tensor, "s1 d1"], *, beta: float = 0.995) -> None:
        """Moves each style's average towards its mean in `sums`; styles that a batch lacks stay where they
        are.

        A style with a weight of k pictures moves by 1 - beta ** k', k' = k over the mean weight of the styles
        present, so rare styles are averaged over more batches. An average still at zero takes the mean as it
        is.
        """
        weight = sums[:, -1:]
        present = weight > 1e-6
        mean = sums[:, :-1] / weight.clamp(min=1e-6)
        share = weight / weight[present].mean()
        fresh = (self.average == 0).all(dim=1, keepdim=True)
        pace = torch.where(fresh, torch.ones_like(share), 1 - beta**share)
        self.average += torch.where(present, pace * (mean - self.average), torch.zeros_like(mean))

    def untrained_styles(self, styles: Float[Tensor, "n s"]) -> list[int]:
        """The rows of the table, the last being the null style's, that `styles` weigh and that no picture in
        training was drawn with: their codes are noise, and they have no centre."""
        asked = (with_null(styles) > 1e-6).any(dim=0)
        return (asked & (self.average == 0).all(dim=1)).nonzero().flatten().tolist()

    def average_of(self, styles: Float[Tensor, "n s"]) -> Float[Tensor, "n d"]:
        """The centre of a style, or of a blend of styles, in W."""
        with full_precision(styles):
            return with_null(styles) @ self.average


def truncate(
    w: Float[Tensor, "n d"],
    centre: Float[Tensor, "n d"],
    *,
    psi: float,
    layers: int,
    cutoff: int | None = None,
) -> Float[Tensor, "n l d"]:
    """Pulls w towards `centre` in the first `cutoff` layers (all, if None): psi 1 changes nothing, psi 0
    gives the centre (Karras 2019, section B).

    Raises ModelError for a psi or cutoff that there is not.
    """
    if not abs(psi) <= PSI_LIMIT:
        raise ModelError(f"psi is {psi}: choose from {-PSI_LIMIT:g} to {PSI_LIMIT:g}; 1 truncates nothing.")
    if cutoff is not None and cutoff < 0:
        raise ModelError(f"cutoff is {cutoff}: choose from 0, no layer, to {layers}, all.")
    short = torch.lerp(centre, w, psi)
    cutoff = layers if cutoff is None else cutoff
    return torch.stack([short if layer < cutoff else w for layer in range(layers)], dim=1)


def mix(
    w1: Float[Tensor, "n d"], w2: Float[Tensor, "n d"], cutoff: Tensor | Sequence[int], *, layers: int
) -> Float[Tensor, "n l d"]:
    """Style mixing: row i takes w1 in its layers below cutoff[i] and w2 from there on (Karras 2019, 3.1)."""
    cutoff = torch.as_tensor(cutoff, device=w1.device)
    first = torch.arange(layers, device=w1.device)[None, :, None] < cutoff[:, None, None]
    return torch.where(first, repeat(w1, "n d -> n l d", l=layers), repeat(w2, "n d -> n l d", l=layers))
