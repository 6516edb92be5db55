"""The critic of content codes: can their style still be told?"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .layers import LEAKY_GAIN, EqualConv2d, EqualLinear, leaky
from .perceptual import gram

HIDDEN = 64
SIDE = 4
"""Places along each axis that are looked at one by one."""


class ContentCritic(nn.Module):
    """Content features (N, C, s, s) -> logits of the styles (N, S).

    It looks in two ways: at what is where, and at the inner products of channels, which instance
    normalisation leaves in place and of which style is known to be made (Gatys et al. 2015,
    arXiv:1508.06576). To fool it is what the content encoder learns (DRIT's content discriminator, Lee et al.
    2018, arXiv:1808.00948, section 3.1).
    """

    def __init__(self, channels: int, *, styles: int) -> None:
        super().__init__()
        self.places = EqualConv2d(channels, HIDDEN, 3)
        self.from_places = EqualLinear(HIDDEN * SIDE**2, HIDDEN, gain=LEAKY_GAIN)
        self.from_products = EqualLinear(channels * (channels + 1) // 2, HIDDEN, gain=LEAKY_GAIN)
        self.score = EqualLinear(2 * HIDDEN, styles)

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n s"]:
        upper = torch.triu_indices(features.shape[1], features.shape[1], device=features.device)
        products = gram(features.float(), "hw")[:, upper[0], upper[1]]
        there = F.adaptive_avg_pool2d(leaky(self.places(features)), SIDE).flatten(1).float()
        seen = [leaky(self.from_places(there)), leaky(self.from_products(products))]
        return self.score(torch.cat(seen, dim=1))
