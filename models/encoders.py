"""The other doors: a picture's style as a code in W, a picture's content as start features of the synthesis.

What must not pass is kept out by construction: the style encoder sees statistics over space and no place, the
content encoder sees instance-normalised maps and no statistics.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .layers import LEAKY_GAIN, Bias, EqualConv2d, EqualLinear, Normal, full_precision, leaky, leaky_
from .mapping import with_null
from .norm import InstanceNorm
from .stage import Stage
from .synthesis import Content
from .trunk import Trunk

STYLE_RESOLUTION = 8
"""Where a picture's style is read: as low as every stage reaches, with as many places as that leaves to take
statistics over."""


def style_widths(widths: Mapping[int, int]) -> dict[int, int]:
    """The channels of a network that reads styles, at each of its resolutions."""
    return {r: c for r, c in widths.items() if r >= STYLE_RESOLUTION}


class StyleEncoder(Trunk):
    """images (N, 3, R, R) and soft style weights (N, S) -> style codes w (N, D).

    One shared head for all styles, conditioned as the mapping network is by a table with a null row: its cost
    does not grow with the number of styles, and a zero row of weights ("like this picture, whatever it is")
    is a style like any other.
    """

    def __init__(
        self, widths: Mapping[int, int], *, styles: int, w_dim: int, attention: tuple[int, ...] = ()
    ) -> None:
        widths = style_widths(widths)
        super().__init__(widths, attention=attention)
        self.table = nn.Parameter(torch.randn(styles + 1, w_dim))
        self.summaries = nn.ModuleDict(
            {str(r): EqualLinear(2 * c, w_dim, gain=LEAKY_GAIN) for r, c in widths.items()}
        )
        self.hidden = EqualLinear(2 * w_dim, w_dim, gain=LEAKY_GAIN)
        self.code = EqualLinear(w_dim, w_dim)

    def forward(
        self, images: Float[Tensor, "n 3 r r"], styles: Float[Tensor, "n s"], stage: Stage
    ) -> Float[Tensor, "n d"]:
        return self.head(self.style_features(images, stage), styles)

    def style_features(self, images: Float[Tensor, "n 3 r r"], stage: Stage) -> Float[Tensor, "n d"]:
        """What is seen of the pictures, whatever their style is called: linear in their statistics."""
        return self.pooled_statistics(self.summaries, images, stage) / len(self.summaries) ** 0.5

    @torch.no_grad()
    def init_from(self, other: Trunk, gains: Float[Tensor, "_r"]) -> None:
        """Starts from a trunk of the same widths that sees styles already. Its maps are as large as training
        made them, of root mean squares `gains` from the lowest resolution up: the summaries undo that."""
        theirs = other.state_dict()
        self.load_state_dict({name: theirs.get(name, value) for name, value in self.state_dict().items()})
        for r, gain in zip(sorted(self.summaries, key=int), gains, strict=True):
            self.get_parameter(f"summaries.{r}.weight").div_(gain)

    def head(
        self, style_features: Float[Tensor, "n d"], styles: Float[Tensor, "n s"]
    ) -> Float[Tensor, "n d"]:
        """From the looks, of one picture or the mean of several, to the code."""
        with full_precision(style_features):
            row, x = with_null(styles) @ self.table, leaky(style_features)
            return self.code(leaky(self.hidden(torch.cat([x, row], dim=1))))

    def mean_code(
        self, images: Float[Tensor, "k 3 r r"], styles: Float[Tensor, "s"], stage: Stage
    ) -> Float[Tensor, "1 d"]:
        """One code of k pictures of one style: of the mean of their looks."""
        return self.head(self.style_features(images, stage).mean(dim=0, keepdim=True), styles[None])


class ContentEncoder(Trunk):
    """images (N, 3, R, R) -> `Content` at the lowest of `widths`.

    Every convolution is instance-normalised, so that channel means and deviations, by which style is
    described and injected, do not pass (Huang et al. 2018, MUNIT, arXiv:1804.04732, section 5.1). With
    `latent` channels the features pass a variational bottleneck (Kingma and Welling 2014, arXiv:1312.6114).
    With `details`, features of the finer resolutions go along, normalised like the others (Ronneberger et al.
    2015, U-Net, arXiv:1505.04597).
    """

    def __init__(
        self, widths: Mapping[int, int], *, blocks: int, latent: int = 0, attention: tuple[int, ...] = (),
        details: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(widths, normalise=True, attention=attention)
        channels = widths[self.lowest]
        self.refine = nn.ModuleList(ContentBlock(channels) for _ in range(blocks))
        finer = {r: c for r, c in widths.items() if details and r > self.lowest}
        self.details = nn.ModuleDict({str(r): EqualConv2d(c, c, 1, gain=1.0) for r, c in finer.items()})
        self.normalise = InstanceNorm()
        self.latent = latent
        if latent:
            self.to_moments = EqualConv2d(channels, 2 * latent, 1, gain=1.0)
            self.from_latent = EqualConv2d(latent, channels, 1, gain=1.0)

    def forward(
        self, images: Float[Tensor, "n 3 r r"], stage: Stage, normal: Normal | None = None
    ) -> Content:
        """`normal` is the bottleneck's noise; without it the code is the mean."""
        *finer, x = self.feature_pyramid(images, stage)
        for block in self.refine:
            x = block(x)
        if not self.latent:
            return self._coded(x, finer)
        mean, log_variance = self.to_moments(self.normalise(x)).float().chunk(2, dim=1)
        code = mean
        if normal is not None:
            code = mean + (log_variance / 2).exp() * normal(tuple(mean.shape[1:]))
        return self._coded(self.from_latent(code), finer, normal_divergence(mean, log_variance))

    def _coded(self, x: Tensor, finer: list[Tensor], divergence: Tensor | None = None) -> Content:
        named = {str(maps.shape[-1]): maps for maps in finer}
        details = {int(r): self.normalise(conv(named[r])) for r, conv in self.details.items() if r in named}
        return Content(features=self.normalise(x), details=details, divergence=divergence)


class ContentBlock(nn.Module):
    """A residual block of two instance-normalised convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bias = EqualConv2d(channels, channels, 3), Bias(channels)
        self.conv2 = EqualConv2d(channels, channels, 3, gain=1.0)
        self.normalise = InstanceNorm()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        y = leaky_(self.bias(self.normalise(self.conv1(leaky(x)))))
        return x + self.normalise(self.conv2(y))


def normal_divergence(
    mean: Float[Tensor, "n c h w"], log_variance: Float[Tensor, "n c h w"]
) -> Float[Tensor, "n"]:
    """KL(N(mean, variance) || N(0, 1)) in nats, a mean over the places and channels of each code (Kingma and
    Welling 2014, appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(dim=(1, 2, 3))
