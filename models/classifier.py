"""The classifier: which style is this picture in? It judges in training, and labels what has no label."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .encoders import style_widths
from .layers import EqualLinear
from .stage import Stage
from .trunk import Trunk


class StyleClassifier(Trunk):
    """images (N, 3, R, R) in [-1, 1] at the stage's resolution -> logits of the styles (N, S).

    As the style encoder it sees statistics over space and no place. Their trunks are of the same shape, so
    that the one can start from the other's.
    """

    def __init__(self, widths: Mapping[int, int], *, styles: int) -> None:
        widths = style_widths(widths)
        super().__init__(widths)
        self.scores = nn.ModuleDict({str(r): EqualLinear(2 * c, styles) for r, c in widths.items()})
        self.accuracy: Tensor
        """Share of the held-out pictures whose style it names; NaN before it was trained."""
        self.register_buffer("accuracy", torch.tensor(torch.nan))
        self.gains: Tensor
        """Root mean squares of real pictures' maps at its resolutions, from the lowest."""
        self.register_buffer("gains", torch.ones(len(widths)))

    def forward(self, images: Float[Tensor, "n 3 r r"], stage: Stage) -> Float[Tensor, "n s"]:
        return self.pooled_statistics(self.scores, images, stage)

    def maps(self, images: Float[Tensor, "n 3 r r"], stage: Stage) -> list[Float[Tensor, "n _c _h _w"]]:
        """Feature maps from the finest to the coarsest resolution, for perceptual terms: those of real
        pictures have a mean square of about 1, whatever size training has given them."""
        maps = list(self.feature_pyramid(images, stage))
        return [x / gain for x, gain in zip(maps, self.gains[: len(maps)].flip(0), strict=True)]

    @torch.no_grad()
    def set_gains(self, images: Float[Tensor, "n 3 r r"]) -> None:
        """Takes the measure of real pictures at the full resolution."""
        seen = self.feature_pyramid(images, Stage(self.resolution))
        self.gains.copy_(torch.stack([x.float().square().mean().sqrt() for x in seen]).flip(0))
