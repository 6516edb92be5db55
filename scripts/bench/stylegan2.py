"""StyleGAN2's training steps as its authors' code takes them on a processor: what `bench train` compares
with.

Karras 2020 (arXiv:1912.04958): each network in turn from pictures of its own, R1 every 16th and path length
regularisation every 4th step as steps of their own, plain Adam, averaged weights. Written anew, as are the
networks (`models.stylegan2`), and on the same noise, sizes and batch as the run that it stands beside.
"""

import copy
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from brushwork.data.loader import Pictures
from brushwork.models.layers import Resample, pixel_norm
from brushwork.models.stage import SMALLEST, channels, layer_count
from brushwork.training.adversarial import gradient_penalty, logistic_generator
from brushwork.training.config import TrainConfig
from brushwork.training.state import frozen

LEARNING_RATE = 0.002
PATH_EVERY, PATH_WEIGHT, PATH_SHARE = 4, 2.0, 2
"""Path length regularisation: how often, how heavy, and on which part of the batch."""


class StyleGAN2:
    """Both networks at one resolution, with the widths, codes and styles of `config`."""

    def __init__(self, config: TrainConfig, resolution: int, pictures: Pictures) -> None:
        own, judge = config.generator, config.discriminator
        styles = len(pictures.style_names)
        self.config, self.resolution, self.pictures = config, resolution, pictures
        self.mapping = Mapping(styles=styles, z_dim=own.z_dim, w_dim=own.w_dim, layers=own.mapping_layers)
        self.synthesis = Synthesis(
            resolution=resolution, w_dim=own.w_dim, channel_base=own.channel_base, channel_max=own.channel_max
        )
        self.generator = nn.ModuleList([self.mapping, self.synthesis])
        self.discriminator = Discriminator(
            resolution=resolution, styles=styles, channel_base=judge.channel_base,
            channel_max=judge.channel_max, group=judge.minibatch_group,
        )  # fmt: skip
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.adam_g = lazy_adam(self.generator, interval=PATH_EVERY)
        self.adam_d = lazy_adam(self.discriminator, interval=config.loss.r1_interval)
        self.mean_length = torch.zeros(())

    # One step
    def step(self, *, penalty: bool = False, path: bool = False) -> None:
        """The generator, then the discriminator, each with its regularisation where asked."""
        reals, styles = self.batch()
        with frozen(self.discriminator), moving(self.generator, self.adam_g):
            drawn, _ = self.draw(styles)
            logistic_generator(self.discriminator(drawn, styles)).backward()
        if path:
            with moving(self.generator, self.adam_g):
                (PATH_EVERY * PATH_WEIGHT * self.path_penalty(styles)).backward()
        with moving(self.discriminator, self.adam_d):
            with torch.no_grad():
                drawn, _ = self.draw(styles)
            F.softplus(self.discriminator(drawn, styles)).mean().backward()
            F.softplus(-self.discriminator(reals, styles)).mean().backward()
        if penalty:
            interval, gamma = (
                self.config.loss.r1_interval,
                self.config.loss.gamma(self.resolution, len(reals)),
            )
            reals.requires_grad_()
            with moving(self.discriminator, self.adam_d):
                (interval * gamma * gradient_penalty(self.discriminator(reals, styles), reals)).backward()
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                kept.copy_(new.lerp(kept, 0.999))

    def batch(self) -> tuple[Float[Tensor, "n 3 r r"], Float[Tensor, "n s"]]:
        """Pictures at this resolution with their styles, drawn with replacement."""
        places = torch.randint(len(self.pictures.images), (self.config.batch,))
        images = self.pictures.images[places, :, : self.resolution, : self.resolution].float() / 127.5 - 1
        styles = F.one_hot(self.pictures.styles[places], len(self.pictures.style_names)).float()
        return images, styles

    def draw(self, styles: Float[Tensor, "n s"]) -> tuple[Float[Tensor, "n 3 r r"], Float[Tensor, "n l d"]]:
        """Pictures of fresh codes, and the codes of their layers; most batches mix two."""
        layers = self.synthesis.layers
        size = (len(styles), self.config.generator.z_dim)
        codes = self.mapping(torch.randn(size), styles)[:, None].repeat(1, layers, 1)
        mixed = torch.rand(()) < self.config.loss.mixing
        cutoff = int(torch.randint(1, layers, ())) if mixed else layers
        second = self.mapping(torch.randn(size), styles)[:, None].repeat(1, layers, 1)
        codes = torch.cat([codes[:, :cutoff], second[:, cutoff:]], dim=1)
        return self.synthesis(codes), codes

    def path_penalty(self, styles: Float[Tensor, "n s"]) -> Float[Tensor, ""]:
        """How unequally far pictures move with w: the mean square of |J^T y| less its running mean, for noise
        y of a picture's size (eq. 4)."""
        drawn, codes = self.draw(styles[: max(1, len(styles) // PATH_SHARE)])
        noise = torch.randn_like(drawn) / self.resolution
        (slopes,) = torch.autograd.grad((drawn * noise).sum(), codes, create_graph=True)
        lengths = slopes.square().sum(dim=2).mean(dim=1).sqrt()
        mean = self.mean_length.lerp(lengths.mean(), 0.01)
        self.mean_length = mean.detach()
        return (lengths - mean).square().mean()


def lazy_adam(network: nn.Module, *, interval: int) -> torch.optim.Optimizer:
    """Adam with its rates lowered for regularisation in every `every`-th step only (appendix B)."""
    share = interval / (interval + 1)
    return torch.optim.Adam(
        network.parameters(), lr=LEARNING_RATE * share, betas=(0.0, 0.99**share), eps=1e-8
    )


@contextmanager
def moving(network: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Collects gradients while it lasts, then takes a step; what is not finite counts as 0."""
    optimizer.zero_grad(set_to_none=True)
    yield
    found = [parameter for parameter in network.parameters() if parameter.grad is not None]
    flat = torch.cat([parameter.grad.flatten() for parameter in found if parameter.grad is not None])
    flat = torch.nan_to_num(flat, nan=0.0, posinf=1e5, neginf=-1e5)
    parts = flat.split([parameter.numel() for parameter in found])
    for parameter, part in zip(found, parts, strict=True):
        parameter.grad = part.view_as(parameter)
    optimizer.step()


TAPS = (1.0, 3.0, 3.0, 1.0)
GAIN = 2**0.5
"""Of a leaky ReLU."""

Sides = tuple[int, int, int, int]
"""Left, right, top and bottom."""


# Functions
def resample_filter() -> Float[Tensor, "4 4"]:
    taps = torch.tensor(TAPS) / sum(TAPS)
    return torch.outer(taps, taps)


def upfirdn(
    x: Float[Tensor, "n c h w"], kernel: Float[Tensor, "k k"], *, up: int = 1, down: int = 1, padding: Sides
) -> Float[Tensor, "n c h2 w2"]:
    """Puts `up - 1` zeros after each place, pads, filters, and keeps every `down`-th place."""
    n, c, h, w = x.shape
    if up > 1:
        spread = F.pad(x.view(n, c, h, 1, w, 1), (0, up - 1, 0, 0, 0, up - 1))
        x = spread.view(n, c, h * up, w * up)
    x = F.conv2d(F.pad(x, padding), kernel.expand(c, 1, *kernel.shape), groups=c)
    return x[:, :, ::down, ::down]


def convolve(x: Tensor, weight: Tensor, kernel: Tensor, resample: Resample = "none") -> Tensor:
    """A convolution after enlarging by two (`up`: its kernel is then turned round) or before halving."""
    size = weight.shape[-1]
    if resample == "up":
        spread = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        return upfirdn(spread, 4 * kernel, padding=(1, 1, 1, 1))
    if resample == "down" and size == 1:
        return F.conv2d(upfirdn(x, kernel, down=2, padding=(1, 1, 1, 1)), weight)
    if resample == "down":
        return F.conv2d(upfirdn(x, kernel, padding=(2, 2, 2, 2)), weight, stride=2)
    return F.conv2d(x, weight, padding=size // 2)


def activated(x: Tensor, bias: Tensor, gain: float = GAIN) -> Tensor:
    """Bias, leaky ReLU and its gain, in a pass each."""
    return F.leaky_relu(x + bias.view(1, -1, *[1] * (x.ndim - 2)), 0.2) * gain


# The style door
class Dense(nn.Module):
    """Linear layer with an equalised learning rate; activated, or as it is."""

    def __init__(
        self, inputs: int, outputs: int, kind: Literal["leaky", "linear"] = "linear", *, lr: float = 1.0,
        bias: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr)
        self.bias = nn.Parameter(torch.full((outputs,), bias / lr))
        self.kind, self.lr, self.scale = kind, lr, lr / inputs**0.5

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        weight, bias = self.weight * self.scale, self.bias * self.lr
        if self.kind == "leaky":
            return activated(x @ weight.T, bias)
        return torch.addmm(bias, x, weight.T)


class Mapping(nn.Module):
    """z (N, Z) and styles (N, S) -> w (N, D); with Z = 0, styles alone."""

    def __init__(self, *, styles: int, z_dim: int, w_dim: int, layers: int) -> None:
        super().__init__()
        self.embed = Dense(styles, w_dim)
        widths = [z_dim + w_dim] + [w_dim] * layers
        self.layers = nn.ModuleList(Dense(i, o, "leaky", lr=0.01) for i, o in itertools.pairwise(widths))
        self.average: Tensor
        self.register_buffer("average", torch.zeros(w_dim))

    def forward(self, z: Float[Tensor, "n z"], styles: Float[Tensor, "n s"]) -> Float[Tensor, "n d"]:
        x = pixel_norm(self.embed(styles))
        if z.shape[1]:
            x = torch.cat([pixel_norm(z), x], dim=1)
        for layer in self.layers:
            x = layer(x)
        self.average.copy_(x.detach().mean(dim=0).lerp(self.average, 0.995))
        return x


# Synthesis
class Filtered(nn.Module):
    """What has convolutions that resample."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", resample_filter())


class StyledConv(Filtered):
    """Convolution with weights modulated by style, as scales of its input and output, then noise, bias and
    leaky ReLU (eq. 1 and 3)."""

    def __init__(self, inputs: int, outputs: int, w_dim: int, resample: Resample = "none") -> None:
        super().__init__()
        self.affine = Dense(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.strength, self.bias = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(outputs))
        self.resample: Resample = resample

    def forward(self, x: Float[Tensor, "n i h w"], w: Float[Tensor, "n d"]) -> Float[Tensor, "n o h2 w2"]:
        styles = self.affine(w)
        modulated = self.weight[None] * styles[:, None, :, None, None]  # for its norms alone
        norms = (modulated.square().sum(dim=(2, 3, 4)) + 1e-8).rsqrt()
        y = convolve(x * styles[:, :, None, None], self.weight, self.kernel, self.resample)
        noise = self.strength * torch.randn(len(y), 1, *y.shape[2:], device=y.device)
        return activated(torch.addcmul(noise, y, norms[:, :, None, None]), self.bias)


class ToRGB(nn.Module):
    """1 x 1 convolution, modulated but not demodulated."""

    def __init__(self, inputs: int, w_dim: int) -> None:
        super().__init__()
        self.affine = Dense(w_dim, inputs, bias=1.0)
        self.weight, self.bias = nn.Parameter(torch.randn(3, inputs, 1, 1)), nn.Parameter(torch.zeros(3))
        self.scale = inputs**-0.5

    def forward(self, x: Float[Tensor, "n i h w"], w: Float[Tensor, "n d"]) -> Float[Tensor, "n 3 h w"]:
        styles = self.affine(w) * self.scale
        return F.conv2d(x * styles[:, :, None, None], self.weight) + self.bias[:, None, None]


class Synthesis(Filtered):
    """w (N, L, D) -> images (N, 3, R, R): a sum of RGB outputs of all resolutions (figure 7, output skips).
    L as in `synthesis.layer_count`; RGB outputs take the code that comes next."""

    def __init__(self, *, resolution: int, w_dim: int, channel_base: int, channel_max: int) -> None:
        super().__init__()
        widths = [*channels(resolution, base=channel_base, most=channel_max).values()]
        self.start = nn.Parameter(torch.randn(widths[0], SMALLEST, SMALLEST))
        self.enter = nn.ModuleList(StyledConv(i, o, w_dim, "up") for i, o in itertools.pairwise(widths))
        self.refine = nn.ModuleList(StyledConv(c, c, w_dim) for c in widths)
        self.to_rgb = nn.ModuleList(ToRGB(c, w_dim) for c in widths)
        self.layers = layer_count(resolution)

    def forward(self, w: Float[Tensor, "n l d"]) -> Float[Tensor, "n 3 r r"]:
        codes = iter(w.unbind(dim=1))
        x = self.refine[0](self.start.repeat(len(w), 1, 1, 1), next(codes))
        code = next(codes)
        image = self.to_rgb[0](x, code)
        for enter, refine, to_rgb in zip(self.enter, self.refine[1:], self.to_rgb[1:], strict=True):
            x = refine(enter(x, code), next(codes))
            code = next(codes)
            image = upfirdn(image, 4 * self.kernel, up=2, padding=(2, 1, 2, 1)) + to_rgb(x, code)
        return image


# Discriminator
class Conv(Filtered):
    """Convolution with an equalised learning rate; activated where it has a bias."""

    def __init__(
        self, inputs: int, outputs: int, size: int, resample: Resample = "none", *, bias: bool = True,
        gain: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.resample: Resample = resample
        self.scale, self.gain = (inputs * size**2) ** -0.5, gain

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h2 w2"]:
        y = convolve(x, self.weight * self.scale, self.kernel, self.resample)
        return y * self.gain if self.bias is None else activated(y, self.bias, GAIN * self.gain)


class Block(nn.Module):
    """Two convolutions that halve the size, beside a third that does it at once."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = Conv(inputs, inputs, 3)
        self.second = Conv(inputs, outputs, 3, "down", gain=0.5**0.5)
        self.skip = Conv(inputs, outputs, 1, "down", bias=False, gain=0.5**0.5)

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h//2 w//2"]:
        return self.skip(x) + self.second(self.first(x))


class Discriminator(nn.Module):
    """images (N, 3, R, R) and styles (N, S) -> logits (N,): residual blocks, and the inner product of what
    they end in with a mapped style."""

    def __init__(
        self, *, resolution: int, styles: int, channel_base: int, channel_max: int, group: int
    ) -> None:
        super().__init__()
        widths = [*channels(resolution, base=channel_base, most=channel_max).values()][::-1]
        last = widths[-1]
        self.from_rgb = Conv(3, widths[0], 1)
        self.blocks = nn.Sequential(*(Block(i, o) for i, o in itertools.pairwise(widths)))
        self.group = group
        self.conv = Conv(last + 1, last, 3)
        self.dense = Dense(last * SMALLEST**2, last, "leaky")
        self.score = Dense(last, last)
        self.mapping = Mapping(styles=styles, z_dim=0, w_dim=last, layers=8)

    def forward(self, images: Float[Tensor, "n 3 r r"], styles: Float[Tensor, "n s"]) -> Float[Tensor, "n"]:
        x = self.blocks(self.from_rgb(images))
        x = self.conv(torch.cat([x, self.spread(x)], dim=1))
        h = self.score(self.dense(x.flatten(1)))
        mapped = self.mapping(images.new_empty(len(images), 0), styles)
        return (h * mapped).sum(dim=1) / h.shape[1] ** 0.5

    def spread(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """How much the pictures of a group differ: groups are strided through the batch."""
        group = min(self.group, len(x))
        grouped = x.view(group, -1, *x.shape[1:])
        std = ((grouped - grouped.mean(dim=0)).square().mean(dim=0) + 1e-8).sqrt()  # (m, c, h, w)
        return std.mean(dim=(1, 2, 3)).view(-1, 1, 1, 1).repeat(group, 1, *x.shape[2:])
