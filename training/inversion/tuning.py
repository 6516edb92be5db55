"""Pivotal tuning: the generator is trained a little so that fixed codes give their images (Roich 2021,
arXiv:2106.05744, section 3). All images of a command tune one generator.

A deviation: the paper interpolates to codes at a distance of 30; here it is the spread of the codes of a
style, since W has another scale in every run.
"""

from typing import Any

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor

from brushwork.eval.metrics.perceptual import PerceptualDistance
from brushwork.models.generator import Generator
from brushwork.models.latent.codes import Codes, noise_of
from brushwork.models.sampling import device_of, latents

from ..rng import derived_seed

RATE = 3e-4
LOCALITY = 0.1
"""Weight of the loss that keeps images of other codes as they are (eq. 7)."""


def difference(
    distance: PerceptualDistance, a: Float[Tensor, "n c h w"], b: Float[Tensor, "n c h w"]
) -> Float[Tensor, "n"]:
    """Perceptual distance and mean squared difference of pixels (eq. 3 and 6)."""
    return distance(a, b) + (a - b).square().mean((1, 2, 3))


class Tuning:
    """Tunes the synthesis network of `tuned` around codes. `original` stays as it is."""

    def __init__(
        self, original: Generator, tuned: Generator, distance: PerceptualDistance,
        *, codes: Codes, targets: Float[Tensor, "n c h w"], spread: float, batch: int, steps: int,
    ) -> None:  # fmt: skip
        self.original, self.tuned, self.distance = original, tuned, distance
        self.codes, self.targets, self.spread = codes, targets, spread
        self.batch, self.steps, self.step = batch, steps, 0
        tuned.synthesis.requires_grad_(True)
        self.optimizer = torch.optim.Adam(tuned.synthesis.parameters(), lr=RATE)

    def advance(self) -> Float[Tensor, "n"]:
        """One step over all images, `batch` of them in memory at once. Returns their losses before it."""
        self.optimizer.zero_grad()
        losses = []
        for rows in torch.arange(len(self.codes)).split(self.batch):
            images = self._images(self.tuned, self.codes.take(rows), self.codes.w[rows])
            part = difference(self.distance, images, self.targets[rows])
            (part.sum() / len(self.codes)).backward()
            losses.append(part.detach())
        (LOCALITY * self._locality()).backward()
        self.optimizer.step()
        self.step += 1
        return torch.cat(losses)

    def _locality(self) -> Float[Tensor, ""]:
        """How much the image of another code has changed: one near the first code, in a random direction
        (eq. 4 to 6)."""
        row = torch.tensor([self.step % len(self.codes)])
        own, device = self.codes.take(row), device_of(self.original)
        z = latents(torch.tensor([derived_seed("locality", self.step) % 2**32]), self.original.config.z_dim)
        with torch.no_grad():
            other = self.original.mapping(z.to(device), own.styles.to(device))
            way = repeat(other, "1 d -> 1 l d", l=self.original.layers) - own.w.to(device)
            near = own.w.to(device) + self.spread * way / way.norm(dim=2, keepdim=True).clamp(min=1e-6)
            before = self._images(self.original, own, near)
        return difference(self.distance, self._images(self.tuned, own, near), before).mean()

    @staticmethod
    def _images(generator: Generator, codes: Codes, w: Tensor) -> Float[Tensor, "n c h w"]:
        device = device_of(generator)
        normal = noise_of(codes.noise, len(codes), device)
        return generator.synthesis(w.to(device), generator.trained_stage, normal)

    # Resume
    def state(self) -> dict[str, Any]:
        """Everything that changes, by name."""
        return {
            "step": self.step, "synthesis": self.tuned.synthesis.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        """Goes on from a `state`."""
        self.step = int(state["step"])
        self.tuned.synthesis.load_state_dict(state["synthesis"])
        self.optimizer.load_state_dict(state["optimizer"])
