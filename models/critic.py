"""The critic of content codes: can their style still be told?"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .feature_statistics import gram
from .layers import LEAKY_GAIN, EqualConv2d, EqualLinear, leaky
from .synthesis import Content

HIDDEN = 64
SIDE = 4
"""Places along each axis that are looked at one by one."""


class View(nn.Module):
    """Maps (N, C, s, s) -> what is seen of them (N, 2 HIDDEN), in two ways: what is where, and the inner
    products of channels, which instance normalisation leaves in place and of which style is known to be made
    (Gatys et al. 2015, arXiv:1508.06576)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.places = EqualConv2d(channels, HIDDEN, 3)
        self.from_places = EqualLinear(HIDDEN * SIDE**2, HIDDEN, gain=LEAKY_GAIN)
        self.from_products = EqualLinear(channels * (channels + 1) // 2, HIDDEN, gain=LEAKY_GAIN)

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        upper = torch.triu_indices(maps.shape[1], maps.shape[1], device=maps.device)
        products = gram(maps.float(), "hw")[:, upper[0], upper[1]]
        there = F.adaptive_avg_pool2d(leaky(self.places(maps)), SIDE).flatten(1).float()
        return torch.cat([leaky(self.from_places(there)), leaky(self.from_products(products))], dim=1)


class ContentCritic(nn.Module):
    """`Content` -> logits of the styles (N, S): of its features, and of its details where it has any.

    To fool it is what the content encoder learns (DRIT's content discriminator, Lee et al. 2018,
    arXiv:1808.00948, section 3.1). `widths` are the channels at each resolution.
    """

    def __init__(self, widths: Mapping[int, int], *, styles: int) -> None:
        super().__init__()
        self.views = nn.ModuleDict({str(r): View(c) for r, c in widths.items()})
        self.scores = nn.ModuleDict({str(r): EqualLinear(2 * HIDDEN, styles) for r in widths})

    def forward(self, content: Content) -> Float[Tensor, "n s"]:
        maps = {content.features.shape[-1]: content.features, **content.details}
        return sum(
            (self.scores[str(r)](self.views[str(r)](x)) for r, x in maps.items()),
            torch.zeros((), device=content.features.device),
        )
