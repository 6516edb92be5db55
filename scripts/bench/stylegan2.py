"""StyleGAN2's networks and training steps as its authors' code runs them on a processor, for `bench train`.

Karras et al. 2020 (arXiv:1912.04958): the networks are updated in turn on images of their own; R1 and path
length regularisation (every 4th step) are steps of their own; plain Adam; averaged weights. This is our own
writing, on the same noise, widths and batch as the run that it is compared with.
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

from brushwork.data.loader import ImageDataset
from brushwork.models.layers import Resample, pixel_norm
from brushwork.models.stage import SMALLEST, channels, layer_count
from brushwork.training.adversarial import gradient_penalty, logistic_generator
from brushwork.training.config import TrainConfig
from brushwork.training.state import frozen

LEARNING_RATE = 0.002
PATH_INTERVAL, PATH_WEIGHT, PATH_SHARE = 4, 2.0, 2
"""Path length regularisation: interval in steps, weight, and the divisor of the batch."""


class StyleGAN2:
    """Both networks at one resolution, with the widths, latent sizes and styles of `config`."""

    def __init__(self, config: TrainConfig, resolution: int, dataset: ImageDataset) -> None:
        g, d = config.generator, config.discriminator
        styles = len(dataset.style_names)
        self.config, self.resolution, self.dataset = config, resolution, dataset
        self.mapping = Mapping(styles=styles, z_dim=g.z_dim, w_dim=g.w_dim, layers=g.mapping_layers)
        self.synthesis = Synthesis(
            resolution=resolution, w_dim=g.w_dim, channel_base=g.channel_base, channel_max=g.channel_max
        )
        self.generator = nn.ModuleList([self.mapping, self.synthesis])
        self.discriminator = Discriminator(
            resolution=resolution, styles=styles, channel_base=d.channel_base,
            channel_max=d.channel_max, group=d.minibatch_group,
        )  # fmt: skip
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.adam_g = lazy_adam(self.generator, interval=PATH_INTERVAL)
        self.adam_d = lazy_adam(self.discriminator, interval=config.loss.r1_interval)
        self.mean_length = torch.zeros(())

    def step(self, *, penalty: bool = False, path: bool = False) -> None:
        """Updates the generator, then the discriminator. `penalty` adds R1, `path` path lengths."""
        reals, styles = self.batch()
        with frozen(self.discriminator), stepping(self.generator, self.adam_g):
            fakes, _ = self.generate(styles)
            logistic_generator(self.discriminator(fakes, styles)).backward()
        if path:
            with stepping(self.generator, self.adam_g):
                (PATH_INTERVAL * PATH_WEIGHT * self.path_penalty(styles)).backward()
        with stepping(self.discriminator, self.adam_d):
            with torch.no_grad():
                fakes, _ = self.generate(styles)
            F.softplus(self.discriminator(fakes, styles)).mean().backward()
            F.softplus(-self.discriminator(reals, styles)).mean().backward()
        if penalty:
            loss = self.config.loss
            weight = loss.r1_interval * loss.gamma(self.resolution, len(reals))
            reals.requires_grad_()
            with stepping(self.discriminator, self.adam_d):
                (weight * gradient_penalty(self.discriminator(reals, styles), reals)).backward()
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                kept.copy_(new.lerp(kept, 0.999))

    def batch(self) -> tuple[Float[Tensor, "n 3 r r"], Float[Tensor, "n s"]]:
        """Real images at this resolution and their styles, sampled with replacement."""
        rows = torch.randint(len(self.dataset.images), (self.config.batch,))
        images = self.dataset.images[rows, :, : self.resolution, : self.resolution].float() / 127.5 - 1
        styles = F.one_hot(self.dataset.styles[rows], len(self.dataset.style_names)).float()
        return images, styles

    def generate(
        self, styles: Float[Tensor, "n s"]
    ) -> tuple[Float[Tensor, "n 3 r r"], Float[Tensor, "n l d"]]:
        """Images of new latent codes and the style codes of all layers, with style mixing."""
        layers = self.synthesis.layers
        size = (len(styles), self.config.generator.z_dim)
        codes = self.mapping(torch.randn(size), styles)[:, None].repeat(1, layers, 1)
        mixed = torch.rand(()) < self.config.loss.mixing
        cutoff = int(torch.randint(1, layers, ())) if mixed else layers
        second = self.mapping(torch.randn(size), styles)[:, None].repeat(1, layers, 1)
        codes = torch.cat([codes[:, :cutoff], second[:, cutoff:]], dim=1)
        return self.synthesis(codes), codes

    def path_penalty(self, styles: Float[Tensor, "n s"]) -> Float[Tensor, ""]:
        """Path length regularisation (eq. 4): the mean square of |J^T y| less its running mean.

        J is the Jacobian of the image by w, y noise of the image's size.
        """
        fakes, codes = self.generate(styles[: max(1, len(styles) // PATH_SHARE)])
        noise = torch.randn_like(fakes) / self.resolution
        (grads,) = torch.autograd.grad((fakes * noise).sum(), codes, create_graph=True)
        lengths = grads.square().sum(dim=2).mean(dim=1).sqrt()
        mean = self.mean_length.lerp(lengths.mean(), 0.01)
        self.mean_length = mean.detach()
        return (lengths - mean).square().mean()


def lazy_adam(network: nn.Module, *, interval: int) -> torch.optim.Optimizer:
    """Adam with rates lowered for regularisation in every `interval`-th step (appendix B)."""
    share = interval / (interval + 1)
    return torch.optim.Adam(
        network.parameters(), lr=LEARNING_RATE * share, betas=(0.0, 0.99**share), eps=1e-8
    )


@contextmanager
def stepping(network: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Clears gradients, and takes a step after the context; NaN gradients count as 0."""
    optimizer.zero_grad(set_to_none=True)
    yield
    trained = [parameter for parameter in network.parameters() if parameter.grad is not None]
    flat = torch.cat([parameter.grad.flatten() for parameter in trained if parameter.grad is not None])
    flat = torch.nan_to_num(flat, nan=0.0, posinf=1e5, neginf=-1e5)
    parts = flat.split([parameter.numel() for parameter in trained])
    for parameter, part in zip(trained, parts, strict=True):
        parameter.grad = part.view_as(parameter)
    optimizer.step()


TAPS = torch.tensor((1.0, 3.0, 3.0, 1.0)) / 8
KERNEL = torch.outer(TAPS, TAPS)
"""Filter of all resampling."""
GAIN = 2**0.5
"""Gain of a leaky ReLU."""

Padding = tuple[int, int, int, int]
"""Left, right, top and bottom."""


# Functions
def upfirdn(
    x: Float[Tensor, "n c h w"], *, padding: Padding, up: int = 1, down: int = 1
) -> Float[Tensor, "n c h2 w2"]:
    """Inserts `up - 1` zeros after each pixel, pads, filters, and keeps every `down`-th pixel;
    the mean stays."""
    n, c, h, w = x.shape
    if up > 1:
        zeros = F.pad(x.view(n, c, h, 1, w, 1), (0, up - 1, 0, 0, 0, up - 1))
        x = zeros.view(n, c, h * up, w * up)
    x = F.conv2d(F.pad(x, padding), (up**2 * KERNEL).expand(c, 1, *KERNEL.shape), groups=c)
    return x[:, :, ::down, ::down]


def convolve(x: Tensor, weight: Tensor, resample: Resample = "none") -> Tensor:
    """A convolution that doubles or halves the size; `up` is a transposed convolution."""
    size = weight.shape[-1]
    if resample == "up":
        doubled = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        return upfirdn(4 * doubled, padding=(1, 1, 1, 1))
    if resample == "down" and size == 1:
        return F.conv2d(upfirdn(x, down=2, padding=(1, 1, 1, 1)), weight)
    if resample == "down":
        return F.conv2d(upfirdn(x, padding=(2, 2, 2, 2)), weight, stride=2)
    return F.conv2d(x, weight, padding=size // 2)


def activated(x: Tensor, bias: Tensor, gain: float = GAIN) -> Tensor:
    """Bias, leaky ReLU and its gain, one operation each."""
    return F.leaky_relu(x + bias.view(1, -1, *[1] * (x.ndim - 2)), 0.2) * gain


# Mapping
class Dense(nn.Module):
    """Linear layer with an equalised learning rate and an optional leaky ReLU."""

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
class StyledConv(nn.Module):
    """Convolution with modulated and demodulated weights (eq. 1 and 3, as scales of its input and output),
    then noise, bias and leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, w_dim: int, resample: Resample = "none") -> None:
        super().__init__()
        self.affine = Dense(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.strength, self.bias = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(outputs))
        self.resample: Resample = resample

    def forward(self, x: Float[Tensor, "n i h w"], w: Float[Tensor, "n d"]) -> Float[Tensor, "n o h2 w2"]:
        styles = self.affine(w)
        modulated = self.weight[None] * styles[:, None, :, None, None]  # only for its norms
        norms = (modulated.square().sum(dim=(2, 3, 4)) + 1e-8).rsqrt()
        y = convolve(x * styles[:, :, None, None], self.weight, self.resample)
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


class Synthesis(nn.Module):
    """w (N, L, D) -> images (N, 3, R, R), the sum of RGB outputs of all resolutions (figure 7, output skips).
    L is `layer_count(resolution)`."""

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
            image = upfirdn(image, up=2, padding=(2, 1, 2, 1)) + to_rgb(x, code)
        return image


# Discriminator
class Conv(nn.Module):
    """Convolution with an equalised learning rate; with a bias, a leaky ReLU follows."""

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
        y = convolve(x, self.weight * self.scale, self.resample)
        return y * self.gain if self.bias is None else activated(y, self.bias, GAIN * self.gain)


class Block(nn.Module):
    """Residual block that halves the size: two convolutions, and a 1 x 1 convolution beside them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = Conv(inputs, inputs, 3)
        self.second = Conv(inputs, outputs, 3, "down", gain=0.5**0.5)
        self.skip = Conv(inputs, outputs, 1, "down", bias=False, gain=0.5**0.5)

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h//2 w//2"]:
        return self.skip(x) + self.second(self.first(x))


class Discriminator(nn.Module):
    """images (N, 3, R, R) and styles (N, S) -> logits (N,): residual blocks, then the inner product with a
    mapped style (projection)."""

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
        x = self.conv(torch.cat([x, self.minibatch_std(x)], dim=1))
        h = self.score(self.dense(x.flatten(1)))
        mapped = self.mapping(images.new_empty(len(images), 0), styles)
        return (h * mapped).sum(dim=1) / h.shape[1] ** 0.5

    def minibatch_std(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """Mean standard deviation within groups, which are strided through the batch."""
        group = min(self.group, len(x))
        grouped = x.view(group, -1, *x.shape[1:])
        std = ((grouped - grouped.mean(dim=0)).square().mean(dim=0) + 1e-8).sqrt()  # (m, c, h, w)
        return std.mean(dim=(1, 2, 3)).view(-1, 1, 1, 1).repeat(group, 1, *x.shape[2:])
