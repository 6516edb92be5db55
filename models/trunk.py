"""The trunk of discriminator, encoders and classifier: images to features, grown by resolution."""

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .errors import ModelError
from .feature_statistics import mean_and_std
from .layers import Bias, EqualConv2d, downsample2x, leaky_
from .norm import InstanceNorm, Shared
from .stage import Stage, fade, resolutions


class TrunkBlock(nn.Module):
    """One resolution: a convolution, then one that filters and halves the size. `normalise` adds an
    `InstanceNorm` after each."""

    def __init__(self, inputs: int, outputs: int, *, normalise: bool = False) -> None:
        super().__init__()
        self.conv = EqualConv2d(inputs, inputs, 3)
        self.conv_bias = Bias(inputs)
        self.shrink = EqualConv2d(inputs, outputs, 3, resample="down")
        self.shrink_bias = Bias(outputs)
        self.norms = nn.ModuleList(InstanceNorm() for _ in range(2 if normalise else 0))

    def forward(
        self, x: Float[Tensor, "n i h w"], statistics: Shared = None
    ) -> Float[Tensor, "n o h//2 w//2"]:
        x = self._act(self.conv(x, self.conv_bias), 0, statistics)
        return self._act(self.shrink(x, self.shrink_bias), 1, statistics)

    def _act(self, x: Tensor, norm: int, statistics: Shared) -> Tensor:
        return leaky_(self.norms[norm](x, statistics) if self.norms else x)


class FromRGB(nn.Module):
    """1 x 1 convolution from an image to features."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv = EqualConv2d(3, outputs, 1)
        self.bias = Bias(outputs)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c h w"]:
        return leaky_(self.conv(images, self.bias))


class Trunk(nn.Module):
    """images (N, 3, R, R) in [-1, 1] at the stage's resolution -> features at the lowest of `widths`.

    `widths` maps each resolution, powers of two from 4 up, to its channels.
    """

    def __init__(self, widths: Mapping[int, int], *, normalise: bool = False) -> None:
        super().__init__()
        self.lowest, self.resolution = min(widths), max(widths)
        self.from_rgb = nn.ModuleDict({str(r): FromRGB(c) for r, c in widths.items()})
        self.blocks = nn.ModuleDict(
            {
                str(r): TrunkBlock(c, widths[r // 2], normalise=normalise)
                for r, c in widths.items()
                if r > self.lowest
            }
        )

    def feature_pyramid(
        self, images: Float[Tensor, "n 3 r r"], stage: Stage, statistics: Shared = None
    ) -> Iterator[Float[Tensor, "n _c _h _w"]]:
        """Yields features from the stage's resolution down to the lowest, the newest resolution faded in.

        Raises ModelError if the images are not of the stage's resolution, or the stage is below the lowest.
        """
        if images.shape[-1] != stage.resolution:
            raise ModelError(f"images of {images.shape[-1]} px at a stage of {stage.resolution} px.")
        if stage.resolution < self.lowest:
            raise ModelError(
                f"a stage of {stage.resolution} px is below the {self.lowest} px that this network ends at."
            )
        images = images.contiguous(memory_format=torch.channels_last)
        active = [r for r in resolutions(stage.resolution)[::-1] if r >= self.lowest]
        x = self.from_rgb[str(active[0])](images)
        yield x
        for i, r in enumerate(active[:-1]):
            x = self.blocks[str(r)](x, statistics)
            if i == 0 and stage.alpha < 1:
                x = fade(self.from_rgb[str(r // 2)](downsample2x(images)), x, stage.alpha)
            yield x

    def lowest_features(self, images: Float[Tensor, "n 3 r r"], stage: Stage) -> Float[Tensor, "n c l l"]:
        """Features at the lowest resolution."""
        *_, x = self.feature_pyramid(images, stage)
        return x

    def pooled_statistics(
        self, heads: nn.ModuleDict, images: Float[Tensor, "n 3 r r"], stage: Stage
    ) -> Float[Tensor, "n d"]:
        """Returns the sum over resolutions of `heads[resolution]` of the features' means and deviations over
        space, which do not depend on positions. The newest resolution is weighted by the stage's alpha."""
        pooled = []
        for x in self.feature_pyramid(images, stage):
            newest = x.shape[-1] == stage.resolution > self.lowest
            weight = stage.alpha if newest else 1.0
            pooled.append(weight * heads[str(x.shape[-1])](torch.cat(mean_and_std(x.float()), dim=1)))
        return torch.stack(pooled).sum(dim=0)
