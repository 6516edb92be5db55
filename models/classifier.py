"""The style classifier, which scores restyled images in training and labels images without a label."""

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

    It sees what the style encoder sees, statistics over space, with the same trunk: the encoder can start
    from it.
    """

    def __init__(self, widths: Mapping[int, int], *, styles: int) -> None:
        widths = style_widths(widths)
        super().__init__(widths)
        self.scores = nn.ModuleDict({str(r): EqualLinear(2 * c, styles) for r, c in widths.items()})
        self.accuracy: Tensor
        """Share of held-out images that it classifies correctly; NaN before training."""
        self.register_buffer("accuracy", torch.tensor(torch.nan))
        self.gains: Tensor
        """Root mean squares of the maps of real images, from the lowest resolution."""
        self.register_buffer("gains", torch.ones(len(widths)))

    def forward(self, images: Float[Tensor, "n 3 r r"], stage: Stage) -> Float[Tensor, "n s"]:
        return self.pooled_statistics(self.scores, images, stage)

    def maps(self, images: Float[Tensor, "n 3 r r"], stage: Stage) -> list[Float[Tensor, "n _c _h _w"]]:
        """Feature maps for perceptual losses, from the finest to the coarsest resolution, divided by `gains`:
        those of real images have a mean square of about 1."""
        maps = list(self.feature_pyramid(images, stage))
        return [x / gain for x, gain in zip(maps, self.gains[: len(maps)].flip(0), strict=True)]

    @torch.no_grad()
    def set_gains(self, images: Float[Tensor, "n 3 r r"]) -> None:
        """Sets `gains` from real images at the full resolution."""
        maps = self.feature_pyramid(images, Stage(self.resolution))
        self.gains.copy_(torch.stack([x.float().square().mean().sqrt() for x in maps]).flip(0))
