"""What a linear function could tell style by, taken out of maps."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .layers import full_precision


class StyleEraser(nn.Module):
    """Maps (N, C, h, w) -> the same without the directions in which the styles' mean maps differ.

    Afterwards all styles have one mean map, and where classes have one mean, no linear classifier does better
    than chance (Belrose et al. 2023, LEACE, arXiv:2306.03819, theorem 3.1; the projection is the orthogonal
    one of Haghighatkhah et al. 2022, arXiv:2212.04273). There are at most as many directions as styles. What
    products of maps say of style stays.

    Nothing is erased until `fit` has taken the means; memory and time grow with the number of styles.
    """

    def __init__(self, *, styles: int, channels: int, side: int) -> None:
        super().__init__()
        self.means: Tensor
        self.register_buffer("means", torch.zeros(styles, channels * side**2))

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        seen = self.means.any(dim=1)
        if int(seen.sum()) < 2:
            return maps
        means = self.means[seen]
        centre = means.mean(dim=0)
        far = means - centre
        # far^T (far far^T)^+ far is the projection on what the rows span, whatever their rank.
        with full_precision(maps):
            shares = torch.linalg.pinv(far @ far.T, hermitian=True, rtol=1e-5)
            along = (maps.float().flatten(1) - centre) @ far.T @ shares
            return maps - (along @ far).view(maps.shape).to(maps.dtype)

    @staticmethod
    def sums(maps: Float[Tensor, "n c h w"], styles: Float[Tensor, "n s"]) -> Float[Tensor, "s d1"]:
        """Each style's sum of maps, and in the last column its weight: (S, D + 1), to add up over batches."""
        flat = maps.float().flatten(1)
        with full_precision(maps):
            return styles.T @ torch.cat([flat, torch.ones_like(flat[:, :1])], dim=1)

    def fit(self, sums: Float[Tensor, "s d1"]) -> None:
        """Takes the means; a style that no picture had is left out."""
        self.means.copy_(sums[:, :-1] / sums[:, -1:].clamp_min(1e-6))
