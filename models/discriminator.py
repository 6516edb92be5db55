"""The discriminator, conditional on the style by projection."""

from typing import Annotated, Literal

import torch
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor, nn

from .layers import LEAKY_GAIN, Bias, EqualConv2d, EqualLinear, full_precision, leaky, leaky_, minibatch_std
from .options import BatchSize, Width, options
from .stage import SMALLEST, SQUARE, Base, Stage, channels
from .trunk import Trunk


@options
class DiscriminatorConfig:
    """The discriminator's shape."""

    channel_base: Annotated[int, Interval(ge=1, le=2**24)] = 8192
    """Channels at resolution R are channel_base / R, ..."""
    channel_max: Width = 512
    """... but at most this many."""
    minibatch_group: BatchSize = 4
    """Images per group of the minibatch standard deviation; 1 turns it off."""
    minibatch_std: Literal["each", "average"] = "each"
    """The deviation of each feature, or their average as one more feature (Karras 2018). With the average,
    short trainings can collapse."""


class Discriminator(Trunk):
    """images (N, C, H, W) in [-1, 1] and soft style weights (N, S) -> logits (N,).

    Projection conditioning (Miyato 2018, arXiv:1802.05637, eq. 3): logit = a(h) + <v(style), h>, the inner
    product over sqrt(D). A zero row of weights leaves a(h): unlabelled images get an unconditional score.
    """

    def __init__(
        self,
        config: DiscriminatorConfig,
        *,
        resolution: int,
        styles: int,
        base: Base = SQUARE,
        inputs: int = 3,
    ) -> None:
        widths = channels(resolution, base=config.channel_base, most=config.channel_max)
        super().__init__(widths, inputs=inputs)
        self.config = config
        self.group, self.average_std = config.minibatch_group, config.minibatch_std == "average"
        last = widths[SMALLEST]
        more = 0 if self.group == 1 else 1 if self.average_std else last
        self.conv = EqualConv2d(last + more, last, 3)
        self.bias = Bias(last)
        self.dense = EqualLinear(last * base[0] * base[1], last, gain=LEAKY_GAIN)
        self.score = EqualLinear(last, 1)
        self.table = nn.Parameter(torch.randn(styles, last))

    def features(self, images: Float[Tensor, "n c h w"], stage: Stage) -> Float[Tensor, "n d"]:
        """Returns the last hidden layer h."""
        *_, x = self.feature_pyramid(images, stage)
        x = minibatch_std(x, self.group, average=self.average_std) if self.group > 1 else x
        x = leaky_(self.conv(x, self.bias))
        return leaky(self.dense(x.flatten(1)))

    def forward(
        self, images: Float[Tensor, "n c h w"], styles: Float[Tensor, "n s"], stage: Stage
    ) -> Float[Tensor, "n"]:
        h = self.features(images, stage)
        with full_precision(h):
            projection = ((styles @ self.table) * h).sum(dim=1) / h.shape[1] ** 0.5
            return self.score(h).squeeze(1) + projection
