"""The synthesis network: start features and style codes -> image, grown resolution by resolution."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor, nn

from .errors import ModelError
from .layers import Bias, EqualConv2d, Normal, upsample2x
from .modulation import STYLE_INJECTION, Modulation, StyledEpilogue
from .norm import EPS, Shared
from .stage import SMALLEST, SQUARE, Base, Stage, fade, resolutions, side

Codes = Sequence[Float[Tensor, "n d"]]
"""Style codes of the two layers of a block."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """The content of images: start features (N, C, h, w) of the synthesis, features to add at finer
    resolutions, and with a variational bottleneck the KL divergence (N,) of the code from its prior.
    """

    features: Tensor
    details: Mapping[int, Tensor] = field(default_factory=dict)
    kl_divergence: Tensor | None = None


class SynthesisBlock(nn.Module):
    """One resolution: two styled convolutions, the first of which doubles the size. At 4 x 4 the first is
    only the epilogue on the start features."""

    def __init__(
        self, inputs: int, outputs: int, w_dim: int, kind: Modulation, *, eps: float, first: bool
    ) -> None:
        super().__init__()
        layer, start = STYLE_INJECTION[kind], StyledEpilogue(outputs, w_dim, eps)
        self.enter = start if first else layer(inputs, outputs, w_dim, up=True, eps=eps)
        self.refine = layer(outputs, outputs, w_dim, eps=eps)

    def forward(
        self, x: Tensor, w: Codes, normal: Normal | None, statistics: Shared, detail: Tensor | None = None
    ) -> Tensor:
        x = self.enter(x, w[0], normal, statistics)
        return self.finish(x if detail is None else (x + detail) * 0.5**0.5, w, normal, statistics)

    def finish(self, x: Tensor, w: Codes, normal: Normal | None, statistics: Shared) -> Tensor:
        """The second half, for features that are at this resolution already."""
        return self.refine(x, w[1], normal, statistics)


class ToRGB(nn.Module):
    """1 x 1 convolution to an image of about [-1, 1]. It is linear: nothing enforces the range."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv, self.bias = EqualConv2d(inputs, outputs, 1, gain=1.0), Bias(outputs)

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h w"]:
        return self.conv(x, self.bias).float()


class Synthesis(nn.Module):
    """w (N, L, D) -> images (N, C, H, W), about [-1, 1], at the stage's resolution.

    `widths` maps each resolution, powers of two from 4 up, to its channels; `outputs` are those of images.
    The learned start of `base` rows and columns is N(0, 1) where StyleGAN's is ones: instance norm would
    erase a constant.
    """

    def __init__(
        self, widths: Mapping[int, int], *, w_dim: int, modulation: Modulation, adain_eps: float = EPS,
        base: Base = SQUARE, outputs: int = 3,
    ) -> None:  # fmt: skip
        super().__init__()
        self.resolution = max(widths)
        self.start = nn.Parameter(torch.randn(1, widths[SMALLEST], *base))
        self.blocks, self.to_rgb = nn.ModuleDict(), nn.ModuleDict()
        for r, width in widths.items():
            inputs, first = widths.get(r // 2, width), r == SMALLEST
            self.blocks[str(r)] = SynthesisBlock(inputs, width, w_dim, modulation, eps=adain_eps, first=first)
            self.to_rgb[str(r)] = ToRGB(width, outputs)

    def forward(
        self,
        w: Float[Tensor, "n l d"],
        stage: Stage,
        normal: Normal | None = None,
        content: Content | None = None,
        statistics: Shared = None,
    ) -> Float[Tensor, "n c h w"]:
        """Generates images of style codes w, one for each layer.

        `normal` is the source of the noise maps; None adds no noise. `content` replaces everything before the
        second half of the block at its resolution, so that lower layers have no effect. `statistics` replace
        those of the maps in AdaIN.

        Raises ModelError if the stage is above the network's resolution or below the content's.
        """
        if stage.resolution > self.resolution:
            raise ModelError(f"stage {stage.resolution} exceeds the network's resolution {self.resolution}.")
        entry, details = (0, {}) if content is None else (side(content.features), content.details)
        if entry > stage.resolution:
            raise ModelError(f"content of {entry} px at a stage of {stage.resolution} px.")
        x = repeat(self.start, "1 c h w -> n c h w", n=w.shape[0]) if content is None else content.features
        x = x.clone(memory_format=torch.channels_last)  # blocks overwrite their input
        older, by_layer = x, w.unbind(dim=1)
        for i, r in enumerate(resolutions(stage.resolution)):
            if r < entry:
                continue
            block, codes, older = self.blocks[str(r)], by_layer[2 * i : 2 * i + 2], x
            assert isinstance(block, SynthesisBlock)
            if r == entry:
                x = block.finish(x, codes, normal, statistics)
            else:
                x = block(x, codes, normal, statistics, details.get(r))
        newest = self.to_rgb[str(stage.resolution)](x)
        if stage.alpha >= 1 or stage.resolution in (SMALLEST, entry):
            return newest
        return fade(upsample2x(self.to_rgb[str(stage.resolution // 2)](older)), newest, stage.alpha)
