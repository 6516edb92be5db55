"""What a linear function could tell style by, taken out of maps."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .averages import moved_averages, style_sums


class StyleEraser(nn.Module):
    """Maps (N, C, h, w) -> the same without the directions in which the styles' mean maps differ.

    Afterwards all styles have one mean map, and where classes have one mean, no linear classifier does better
    than chance (Belrose et al. 2023, LEACE, arXiv:2306.03819, theorem 3.1; the projection is the orthogonal
    one of Haghighatkhah et al. 2022, arXiv:2212.04273). At most as many directions as styles go. What
    products of maps say of style stays.

    The means are running averages over training, as those of w are: `sums` of batches, added up over
    processes, go into `update`. Their memory, and the time of a pass, grow with the number of styles.
    """

    def __init__(self, *, styles: int, channels: int, side: int) -> None:
        super().__init__()
        self.average: Tensor
        self.register_buffer("average", torch.zeros(styles, channels * side**2))

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The same maps as long as fewer than two styles were seen."""
        seen = self.average.any(dim=1)
        if int(seen.sum()) < 2:
            return maps
        means = self.average[seen]
        centre = means.mean(dim=0)
        far = means - centre
        # far^T (far far^T)^+ far is the projection on what the rows span, whatever their rank.
        shares = torch.linalg.pinv(far @ far.T, hermitian=True, rtol=1e-5)
        along = (maps.float().flatten(1) - centre) @ far.T @ shares
        return maps - (along @ far).view(maps.shape).to(maps.dtype)

    def sums(self, maps: Float[Tensor, "n c h w"], styles: Float[Tensor, "n s"]) -> Float[Tensor, "s d1"]:
        """Of a batch before erasure; pictures without a style do not count."""
        return style_sums(maps.detach().float().flatten(1), styles)

    def update(self, sums: Float[Tensor, "s d1"]) -> None:
        """Moves the averages; where no picture had a style they stay."""
        moved_averages(self.average, sums, beta=0.995)
