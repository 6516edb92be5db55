"""Projection: the style codes whose images are nearest to given ones (Karras 2020, arXiv:1912.04958,
appendix D).

Deviations: averages and spreads are those of a style, since the average of all styles belongs to none; W+
starts from the nearest of many codes; the noise on a code has a length of .05 spreads at first, where the
paper has so much in every dimension; and squared differences of pixels are added to the perceptual distance.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from brushwork.eval.metrics.perceptual import PerceptualDistance
from brushwork.models.generator import Generator
from brushwork.models.latent.codes import noise_of
from brushwork.models.sampling import device_of, seeded_normal

from ..rng import derived_seed
from .config import InversionConfig

RATE = 0.1
"""Largest learning rate of Adam."""
RAMP_UP, RAMP_DOWN = 0.05, 0.25
"""Shares of the steps in which the rate rises linearly, and falls as a cosine."""
CODE_NOISE, CODE_NOISE_SHARE = 0.05, 0.75
"""Noise on the codes in units of their spread, and the share of the steps in which it falls to 0."""
NOISE_WEIGHT = 1e5
PIXEL_WEIGHT = 5.0
"""Of the mean squared difference of pixels in [-1, 1]."""
SMALLEST_MAP = 8
"""Noise maps are halved down to this side for their regularisation."""


def learning_rate(progress: float) -> float:
    """The learning rate at a share of the steps from 0 to 1."""
    falling = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - progress) / RAMP_DOWN))
    return RATE * falling * min(1.0, progress / RAMP_UP)


def code_noise(progress: float) -> float:
    """The deviation of the noise on the codes, in units of their spread."""
    return CODE_NOISE * max(0.0, 1 - progress / CODE_NOISE_SHARE) ** 2


def autocorrelation(maps: Sequence[Float[Tensor, "n 1 _h _w"]]) -> Float[Tensor, "n"]:
    """How much of a picture noise maps hold: squared correlations of neighbours at every scale from 8 px
    up (Karras 2020, eq. 7)."""
    total = maps[0].new_zeros(len(maps[0]))
    for layer in maps:
        scaled = layer
        while min(scaled.shape[2:]) >= SMALLEST_MAP:
            for axis in (2, 3):
                total = total + (scaled * scaled.roll(1, axis)).mean((1, 2, 3)).square()
            scaled = F.avg_pool2d(scaled, 2) * 2
    return total


class Projection:
    """Codes of a batch of images under Adam. `advance` is one step."""

    def __init__(
        self, generator: Generator, distance: PerceptualDistance, config: InversionConfig,
        *, targets: Float[Tensor, "n c h w"], start: Float[Tensor, "n d"], spread: float, rows: Sequence[int],
    ) -> None:  # fmt: skip
        """`rows` are the numbers of the images, on which their random numbers depend."""
        self.generator, self.distance, self.config = generator, distance, config
        self.spread, self.rows, self.step, self.steps = spread, list(rows), 0, config.steps
        self.targets = targets
        with torch.no_grad():
            self.points = distance.points(targets)
        layers = 1 if config.space == "w" else generator.layers
        self.w = start[:, None].repeat(1, layers, 1).requires_grad_()
        self.noise = noise_maps(generator, len(start)) if config.noise == "optimised" else []
        for maps in self.noise:
            maps.requires_grad_()
        self.optimizer = torch.optim.Adam([self.w, *self.noise], lr=RATE, betas=(0.9, 0.999))

    @property
    def codes(self) -> Float[Tensor, "n l d"]:
        """The codes of every layer."""
        return self.w.expand(-1, self.generator.layers, -1)

    def advance(self) -> Float[Tensor, "n"]:
        """One step. Returns the distances before it, of codes with noise at first."""
        self.optimizer.param_groups[0]["lr"] = learning_rate((self.step + 1) / (self.steps + 1))
        deviation = code_noise(self.step / self.steps) * self.spread
        codes = self.codes + deviation * self._normal()[:, None]
        normal = noise_of(self.noise, len(codes), codes.device)
        images = self.generator.synthesis(codes, self.generator.trained_stage, normal)
        distances = (self.distance.points(images) - self.points).square().sum(1)
        loss = (distances + PIXEL_WEIGHT * (images - self.targets).square().mean((1, 2, 3))).sum()
        if self.noise:
            loss = loss + NOISE_WEIGHT * autocorrelation(self.noise).sum()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self._standardise_noise()
        self.step += 1
        return distances.detach()

    def _normal(self) -> Float[Tensor, "n d"]:
        """Standard normal numbers divided by the root of their count: vectors of about length 1."""
        d = self.w.shape[2]
        seeds = torch.tensor([derived_seed("inversion", row, self.step) for row in self.rows])
        return seeded_normal(seeds, self.w.device)((d,)) / d**0.5

    @torch.no_grad()
    def _standardise_noise(self) -> None:
        for maps in self.noise:
            maps.sub_(maps.mean((1, 2, 3), keepdim=True))
            maps.mul_(maps.square().mean((1, 2, 3), keepdim=True).rsqrt())

    # Resume
    def state(self) -> dict[str, Any]:
        """Everything that changes, by name."""
        return {
            "step": self.step, "w": self.w.detach(), "noise": [maps.detach() for maps in self.noise],
            "optimizer": self.optimizer.state_dict(),
        }  # fmt: skip

    @torch.no_grad()
    def load(self, state: dict[str, Any]) -> None:
        """Goes on from a `state`."""
        self.step = int(state["step"])
        self.w.copy_(state["w"])
        for maps, stored in zip(self.noise, state["noise"], strict=True):
            maps.copy_(stored)
        self.optimizer.load_state_dict(state["optimizer"])


def noise_maps(generator: Generator, count: int) -> list[Float[Tensor, "n 1 _h _w"]]:
    """The noise maps of seed 0 in the order of the layers, for each of so many images."""
    source, maps = noise_of((), count, device_of(generator)), list[Tensor]()

    def recorded(shape: tuple[int, ...]) -> Tensor:
        maps.append(source(shape).clone())
        return maps[-1]

    with torch.no_grad():
        codes = generator.synthesis.start.new_zeros(count, generator.layers, generator.config.w_dim)
        generator.synthesis(codes, generator.trained_stage, recorded)
    return maps
