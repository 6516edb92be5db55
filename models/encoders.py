"""Encoders: an image's style as a code in W, from statistics over space without positions; its content as
start features of the synthesis, from instance-normalised maps without statistics. The style classifier scores
restyled images in training and labels images without a label."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .layers import LEAKY_GAIN, Bias, EqualConv2d, EqualLinear, Normal, full_precision, leaky, leaky_
from .mapping import with_null
from .norm import InstanceNorm, Shared
from .stage import Stage, side
from .synthesis import Content
from .trunk import Trunk

STYLE_RESOLUTION = 8
"""The lowest resolution of networks that see styles: present at every stage, and with enough positions for
statistics over space."""


def style_widths(widths: Mapping[int, int]) -> dict[int, int]:
    """The channels of a network that sees styles, at each of its resolutions."""
    return {r: c for r, c in widths.items() if r >= STYLE_RESOLUTION}


class StyleEncoder(Trunk):
    """images (N, C, H, W) and soft style weights (N, S) -> style codes w (N, D). A zero row of weights means
    that the style is unknown."""

    def __init__(self, widths: Mapping[int, int], *, styles: int, w_dim: int, inputs: int = 3) -> None:
        widths = style_widths(widths)
        super().__init__(widths, inputs=inputs)
        self.table = nn.Parameter(torch.randn(styles + 1, w_dim))
        self.summaries = nn.ModuleDict(
            {str(r): EqualLinear(2 * c, w_dim, gain=LEAKY_GAIN) for r, c in widths.items()}
        )
        self.hidden = EqualLinear(2 * w_dim, w_dim, gain=LEAKY_GAIN)
        self.code = EqualLinear(w_dim, w_dim)

    def forward(
        self, images: Float[Tensor, "n c h w"], styles: Float[Tensor, "n s"], stage: Stage
    ) -> Float[Tensor, "n d"]:
        return self.head(self.style_features(images, stage), styles)

    def style_features(self, images: Float[Tensor, "n c h w"], stage: Stage) -> Float[Tensor, "n d"]:
        """Features of the images before the style weights are known, linear in statistics over space."""
        return self.pooled_statistics(self.summaries, images, stage) / len(self.summaries) ** 0.5

    @torch.no_grad()
    def init_from(self, other: Trunk, gains: Float[Tensor, "_r"]) -> None:
        """Copies the weights of `other`, a trained trunk of the same widths. The summaries are divided by
        `gains`, the root mean squares of its maps, from the lowest resolution."""
        theirs = other.state_dict()
        self.load_state_dict({name: theirs.get(name, value) for name, value in self.state_dict().items()})
        for r, gain in zip(sorted(self.summaries, key=int), gains, strict=True):
            self.get_parameter(f"summaries.{r}.weight").div_(gain)

    def head(
        self, style_features: Float[Tensor, "n d"], styles: Float[Tensor, "n s"]
    ) -> Float[Tensor, "n d"]:
        """Style codes of style features, which may be a mean over several images of one style."""
        with full_precision(style_features):
            row, x = with_null(styles) @ self.table, leaky(style_features)
            return self.code(leaky(self.hidden(torch.cat([x, row], dim=1))))


class StyleClassifier(Trunk):
    """images (N, C, H, W) in [-1, 1] at the stage's resolution -> logits of the styles (N, S).

    It sees what the style encoder sees, statistics over space, with the same trunk: the encoder can start
    from it.
    """

    def __init__(self, widths: Mapping[int, int], *, styles: int, inputs: int = 3) -> None:
        widths = style_widths(widths)
        super().__init__(widths, inputs=inputs)
        self.scores = nn.ModuleDict({str(r): EqualLinear(2 * c, styles) for r, c in widths.items()})
        self.accuracy: Tensor
        """Share of held-out images that it classifies correctly; NaN before training."""
        self.register_buffer("accuracy", torch.tensor(torch.nan))
        self.gains: Tensor
        """Root mean squares of the maps of real images, from the lowest resolution."""
        self.register_buffer("gains", torch.ones(len(widths)))

    def forward(self, images: Float[Tensor, "n c h w"], stage: Stage) -> Float[Tensor, "n s"]:
        return self.pooled_statistics(self.scores, images, stage)

    def maps(self, images: Float[Tensor, "n c h w"], stage: Stage) -> list[Float[Tensor, "n _c _h _w"]]:
        """Feature maps for perceptual losses, from the finest to the coarsest resolution, divided by `gains`:
        those of real images have a mean square of about 1."""
        maps = list(self.feature_pyramid(images, stage))
        return [x / gain for x, gain in zip(maps, self.gains[: len(maps)].flip(0), strict=True)]

    @torch.no_grad()
    def set_gains(self, images: Float[Tensor, "n c h w"]) -> None:
        """Sets `gains` from real images at the full resolution."""
        maps = self.feature_pyramid(images, Stage(self.resolution))
        self.gains.copy_(torch.stack([x.float().square().mean().sqrt() for x in maps]).flip(0))


class ContentEncoder(Trunk):
    """images (N, C, H, W) -> `Content` at the lowest of `widths`.

    Every convolution is instance-normalised, which removes the channel means and deviations that carry style
    (Huang et al. 2018, MUNIT, arXiv:1804.04732, section 5.1). `latent` are the channels of a variational
    bottleneck (Kingma and Welling 2014, arXiv:1312.6114). `details` adds features of finer resolutions
    (Ronneberger et al. 2015, U-Net, arXiv:1505.04597).
    """

    def __init__(
        self, widths: Mapping[int, int], *, blocks: int, latent: int = 0, details: bool = False,
        inputs: int = 3,
    ) -> None:  # fmt: skip
        super().__init__(widths, inputs=inputs, normalise=True)
        channels = widths[self.lowest]
        self.refine = nn.ModuleList(ContentBlock(channels) for _ in range(blocks))
        finer = {r: c for r, c in widths.items() if details and r > self.lowest}
        self.details = nn.ModuleDict({str(r): EqualConv2d(c, c, 1, gain=1.0) for r, c in finer.items()})
        self.detail_norms = nn.ModuleDict({r: InstanceNorm() for r in self.details})
        self.normalise = InstanceNorm()
        self.latent = latent
        if latent:
            self.normalise_inner = InstanceNorm()
            self.to_moments = EqualConv2d(channels, 2 * latent, 1, gain=1.0)
            self.from_latent = EqualConv2d(latent, channels, 1, gain=1.0)

    def forward(
        self,
        images: Float[Tensor, "n c h w"],
        stage: Stage,
        normal: Normal | None = None,
        statistics: Shared = None,
    ) -> Content:
        """`normal` is the noise of the bottleneck; `statistics` replace those of the maps."""
        *finer, x = self.feature_pyramid(images, stage, statistics)
        for block in self.refine:
            x = block(x, statistics)
        kl_divergence = None
        if self.latent:
            mean, log_variance = self.to_moments(self.normalise_inner(x, statistics)).float().chunk(2, dim=1)
            kl_divergence, code = kl(mean, log_variance), mean
            if normal is not None:
                code = mean + (log_variance / 2).exp() * normal(tuple(mean.shape[1:]))
            x = self.from_latent(code)
        by_size = {str(side(maps)): maps for maps in finer}
        details = {int(r): self.detail_norms[r](conv(by_size[r]), statistics)
                   for r, conv in self.details.items() if r in by_size}  # fmt: skip
        return Content(features=self.normalise(x, statistics), details=details, kl_divergence=kl_divergence)


class ContentBlock(nn.Module):
    """A residual block of two instance-normalised convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bias = EqualConv2d(channels, channels, 3), Bias(channels)
        self.conv2 = EqualConv2d(channels, channels, 3, gain=1.0)
        self.norm1, self.norm2 = InstanceNorm(), InstanceNorm()

    def forward(self, x: Float[Tensor, "n c h w"], statistics: Shared = None) -> Float[Tensor, "n c h w"]:
        y = leaky_(self.bias(self.norm1(self.conv1(leaky(x)), statistics)))
        return x + self.norm2(self.conv2(y), statistics)


def kl(mean: Float[Tensor, "n c h w"], log_variance: Float[Tensor, "n c h w"]) -> Float[Tensor, "n"]:
    """KL(N(mean, variance) || N(0, 1)) in nats, averaged over the positions and channels of each code (Kingma
    and Welling 2014, appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(dim=(1, 2, 3))
