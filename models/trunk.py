"""The trunk of discriminator, encoders and classifier: images to features, grown by resolution."""

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .errors import ModelError
from .feature_statistics import mean_and_std
from .layers import Bias, EqualConv2d, downsample2x, leaky_
from .norm import InstanceNorm, Shared
from .stage import Stage, fade, resolutions, side


class TrunkBlock(nn.Module):
    """One resolution: a convolution, then one that filters and halves the size. `normalise` adds an
    `InstanceNorm` after each."""

    def __init__(self, inputs: int, outputs: int, *, normalise: bool = False) -> None:
        super().__init__()
        self.conv, self.conv_bias = EqualConv2d(inputs, inputs, 3), Bias(inputs)
        self.shrink, self.shrink_bias = EqualConv2d(inputs, outputs, 3, resample="down"), Bias(outputs)
        self.norms = nn.ModuleList(InstanceNorm() for _ in range(2 if normalise else 0))

    def forward(
        self, x: Float[Tensor, "n i h w"], statistics: Shared = None
    ) -> Float[Tensor, "n o h//2 w//2"]:
        for i, (conv, bias) in enumerate(((self.conv, self.conv_bias), (self.shrink, self.shrink_bias))):
            x = conv(x, bias)
            x = leaky_(self.norms[i](x, statistics) if self.norms else x)
        return x


class FromRGB(nn.Module):
    """1 x 1 convolution from an image, with or without transparency, to features."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv, self.bias = EqualConv2d(inputs, outputs, 1), Bias(outputs)

    def forward(self, images: Float[Tensor, "n i h w"]) -> Float[Tensor, "n c h w"]:
        return leaky_(self.conv(images, self.bias))


class Trunk(nn.Module):
    """images (N, C, H, W) in [-1, 1] at the stage's resolution -> features at the lowest of `widths`.

    `widths` maps each resolution, powers of two from 4 up, to its channels; `inputs` are those of images.
    """

    def __init__(self, widths: Mapping[int, int], *, inputs: int, normalise: bool = False) -> None:
        super().__init__()
        self.lowest, self.resolution = min(widths), max(widths)
        self.from_rgb = nn.ModuleDict({str(r): FromRGB(inputs, c) for r, c in widths.items()})
        blocks = {str(r): (c, widths[r // 2]) for r, c in widths.items() if r > self.lowest}
        self.blocks = nn.ModuleDict(
            {r: TrunkBlock(wide, narrow, normalise=normalise) for r, (wide, narrow) in blocks.items()}
        )

    def feature_pyramid(
        self, images: Float[Tensor, "n c h w"], stage: Stage, statistics: Shared = None
    ) -> Iterator[Float[Tensor, "n _c _h _w"]]:
        """Yields features from the stage's resolution down to the lowest, the newest resolution faded in.

        Raises ModelError if the images are not of the stage's resolution, or the stage is below the lowest.
        """
        top = stage.resolution
        if side(images) != top:
            raise ModelError(f"images of {side(images)} px at a stage of {top} px.")
        if top < self.lowest:
            raise ModelError(f"a stage of {top} px is below the {self.lowest} px that this network ends at.")
        images = images.contiguous(memory_format=torch.channels_last)
        x = self.from_rgb[str(top)](images)
        yield x
        for r in (r for r in reversed(resolutions(top)) if r > self.lowest):
            x = self.blocks[str(r)](x, statistics)
            if r == top and stage.alpha < 1:
                x = fade(self.from_rgb[str(r // 2)](downsample2x(images)), x, stage.alpha)
            yield x

    def pooled_statistics(
        self, heads: nn.ModuleDict, images: Float[Tensor, "n c h w"], stage: Stage
    ) -> Float[Tensor, "n d"]:
        """Returns the sum over resolutions of `heads[resolution]` of the features' means and deviations over
        space, which do not depend on positions. The newest resolution is weighted by the stage's alpha."""
        pooled = []
        for x in self.feature_pyramid(images, stage):
            newest = side(x) == stage.resolution > self.lowest
            statistics = torch.cat(mean_and_std(x.float()), dim=1)
            pooled.append((stage.alpha if newest else 1.0) * heads[str(side(x))](statistics))
        return torch.stack(pooled).sum(dim=0)
