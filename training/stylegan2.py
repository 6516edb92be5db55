"""StyleGAN2's training steps as its authors' code takes them on a processor: what `bench train` compares
with.

Karras 2020 (arXiv:1912.04958): each network in turn from pictures of its own, R1 every 16th and path length
regularisation every 4th step as steps of their own, plain Adam, averaged weights. Written anew, as are the
networks (`models.stylegan2`), and on the same noise, sizes and batch as the run that it stands beside.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from brushwork.data.loader import Pictures
from brushwork.models.stylegan2 import Discriminator, Mapping, Synthesis

from .config import TrainConfig
from .losses import gradient_penalty, logistic_generator
from .networks import frozen

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
        self.adam_g = lazy_adam(self.generator, every=PATH_EVERY)
        self.adam_d = lazy_adam(self.discriminator, every=config.loss.r1_every)
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
            every, gamma = self.config.loss.r1_every, self.config.loss.gamma(self.resolution, len(reals))
            reals.requires_grad_()
            with moving(self.discriminator, self.adam_d):
                (every * gamma * gradient_penalty(self.discriminator(reals, styles), reals)).backward()
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


def lazy_adam(network: nn.Module, *, every: int) -> torch.optim.Optimizer:
    """Adam with its rates lowered for regularisation in every `every`-th step only (appendix B)."""
    share = every / (every + 1)
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
