"""The discriminator: does this image look real, and like a picture of this style?"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .attention import SelfAttention
from .errors import ModelError
from .layers import LEAKY_GAIN, Bias, EqualConv2d, EqualLinear, Normal, blur, halve, leaky, minibatch_std
from .synthesis import SMALLEST, Stage, check_resolution, fade, resolutions, width


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """The discriminator's shape."""

    channel_base: int = 8192
    """Channels at resolution R are channel_base / R, ..."""
    channel_max: int = 512
    """... but at most this many."""
    minibatch_group: int = 4
    """Pictures that the minibatch standard deviation compares; 1 turns it off."""
    attention: tuple[int, ...] = ()
    """Resolutions that get a self-attention layer."""


class DiscriminatorBlock(nn.Module):
    """One resolution: a convolution, then a blurred one that halves the size."""

    def __init__(self, inputs: int, outputs: int, *, attention: bool) -> None:
        super().__init__()
        self.attention = SelfAttention(inputs) if attention else nn.Identity()
        self.conv = EqualConv2d(inputs, inputs, 3)
        self.conv_bias = Bias(inputs)
        self.shrink = EqualConv2d(inputs, outputs, 3, resample="down")
        self.shrink_bias = Bias(outputs)

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h//2 w//2"]:
        x = leaky(self.conv_bias(self.conv(self.attention(x))))
        return leaky(self.shrink_bias(self.shrink(blur(x))))


class FromRGB(nn.Module):
    """1 x 1 convolution from a picture to features."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv = EqualConv2d(3, outputs, 1)
        self.bias = Bias(outputs)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c h w"]:
        return leaky(self.bias(self.conv(images)))


class Discriminator(nn.Module):
    """images (N, 3, R, R) in [-1, 1] and soft style weights (N, S) -> logits (N,).

    Projection conditioning (Miyato 2018, arXiv:1802.05637, eq. 3): logit = a(h) + <v(style), h>, the inner
    product over sqrt(D). A zero row of weights leaves a(h): unlabelled pictures are scored as plain pictures.
    """

    def __init__(self, config: DiscriminatorConfig, *, resolution: int, styles: int) -> None:
        super().__init__()
        self.resolution = check_resolution(resolution)
        self.group = config.minibatch_group
        widths = {
            r: width(r, base=config.channel_base, most=config.channel_max) for r in resolutions(resolution)
        }
        self.from_rgb = nn.ModuleDict({str(r): FromRGB(c) for r, c in widths.items()})
        self.blocks = nn.ModuleDict(
            {
                str(r): DiscriminatorBlock(c, widths[r // 2], attention=r in config.attention)
                for r, c in widths.items()
                if r > SMALLEST
            }
        )
        last = widths[SMALLEST]
        self.conv = EqualConv2d(last + (self.group > 1), last, 3)
        self.bias = Bias(last)
        self.dense = EqualLinear(last * SMALLEST**2, last, gain=LEAKY_GAIN)
        self.score = EqualLinear(last, 1)
        self.table = nn.Parameter(torch.randn(styles, last))

    def features(self, images: Float[Tensor, "n 3 r r"], stage: Stage) -> Float[Tensor, "n d"]:
        """The last hidden layer h, (N, D)."""
        if images.shape[-1] != stage.resolution:
            raise ModelError(f"pictures of {images.shape[-1]} px at a stage of {stage.resolution} px.")
        images = images.contiguous(memory_format=torch.channels_last)
        active = resolutions(stage.resolution)[::-1]
        x = self.from_rgb[str(active[0])](images)
        for i, r in enumerate(active[:-1]):
            x = self.blocks[str(r)](x)
            if i == 0 and stage.alpha < 1:
                x = fade(self.from_rgb[str(r // 2)](halve(images)), x, stage.alpha)
        x = minibatch_std(x, self.group) if self.group > 1 else x
        x = leaky(self.bias(self.conv(x)))
        return leaky(self.dense(x.flatten(1)))

    def forward(
        self,
        images: Float[Tensor, "n 3 r r"],
        styles: Float[Tensor, "n s"],
        stage: Stage,
        *,
        normal: Normal | None = None,
        condition_noise: float = 0.0,
    ) -> Float[Tensor, "n"]:
        """`condition_noise` is the standard deviation of noise on the style's row, which keeps the
        discriminator from learning single rows by heart; it scales with the row's weight, so no label stays
        no label."""
        h = self.features(images, stage).float()
        row = styles @ self.table
        if condition_noise and normal is not None:
            row = row + condition_noise * styles.sum(dim=1, keepdim=True) * normal((row.shape[1],))
        return self.score(h).squeeze(1) + (row * h).sum(dim=1) / h.shape[1] ** 0.5
