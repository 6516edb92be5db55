"""A world of three styles in which everything can be worked out, for the tests of the suite."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pytest
import torch
from torch import Tensor

from brushwork.eval.reference import Reference, build_reference
from brushwork.eval.sources import Samples, Stored

STYLES = ("azure", "brick", "cream")
COLOURS = torch.tensor([[60, 90, 200], [190, 80, 70], [210, 200, 150]])


def draw(style: int, seed: int, size: int = 4) -> Tensor:
    """uint8 (3, size, size): the style's colour, off by an amount that the seed decides."""
    generator = torch.Generator().manual_seed(7919 * seed + 13)
    noise = 25 * torch.randn(3, size, size, generator=generator)
    noise += 12 * torch.randn(3, 1, 1, generator=generator)
    return (COLOURS[style][:, None, None] + noise).round().clamp(0, 255).to(torch.uint8)


def pictures(first_seed: int, per_style: int) -> Stored:
    styles = torch.arange(3).repeat_interleave(per_style)
    seeds = first_seed + torch.arange(len(styles))
    images = [draw(int(s), int(k)) for s, k in zip(styles, seeds, strict=True)]
    return Stored(images=torch.stack(images), styles=styles)


class Colours:
    """Mean and deviation of each channel and of the whole; and one value that never varies."""

    name, dim, standardised = "colours", 8, True

    def __init__(self, protocol: str = "colours") -> None:
        self.protocol, self.seen = protocol, list[int]()

    def __call__(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        x = images.float()
        parts = [x.mean((2, 3)), x.std((2, 3)), x.mean((1, 2, 3))[:, None], torch.full((len(x), 1), 5.0)]
        return torch.cat(parts, dim=1)

    def control(self) -> "Colours":
        return Blind("contrast")


class Blind(Colours):
    """A control that sees the contrast of an image and nothing of its colour."""

    name = "blind"

    def __call__(self, images: Tensor) -> Tensor:
        x = images.float()
        return (x - x.mean((2, 3), keepdim=True)).flatten(1)[:, :8]


class Pixels:
    """The image at three resolutions, with a constant channel that makes brightness a direction too."""

    name, maps_protocol = "pixels", "pixels as they are"

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        x = images.float() / 255
        x = torch.cat([x, torch.full_like(x[:, :1], 0.5)], dim=1)
        return x, x[:, 1:, ::2, ::2], x[:, :, ::4, ::4]


@dataclass(frozen=True, kw_only=True)
class World:
    """Real images and the fakes above, as a fixture can hand them out."""

    train: Stored = field(default_factory=lambda: pictures(10_000, 80))
    test: Stored = field(default_factory=lambda: pictures(20_000, 40))
    style_names: tuple[str, ...] = STYLES
    colours = Colours
    pictures = staticmethod(pictures)

    def build(self, *extractors: Colours, control: bool = True) -> Reference:
        everyone = extractors or [Colours()]
        return build_reference(
            self.train, self.test, self.style_names, "fingerprint", everyone, control=control
        )

    @cached_property
    def reference(self) -> Reference:
        return self.build()

    @staticmethod
    def perfect(styles: Tensor, seeds: Tensor) -> Tensor:
        """A generator that draws as the real images were drawn."""
        return torch.stack([draw(int(s.argmax()), int(seed)) for s, seed in zip(styles, seeds, strict=True)])

    @staticmethod
    def permuted(styles: Tensor, seeds: Tensor) -> Tensor:
        """As perfect, but every style is drawn in place of the one before it."""
        return World.perfect(styles.roll(1, dims=1), seeds)

    def samples(self, per_style: int = 60, seed: int = 0, **others: Any) -> Samples:
        return Samples(
            **{"sampler": self.perfect, "count": 3, "per_style": per_style, "seed": seed, **others}
        )


@pytest.fixture(scope="session")
def world() -> World:
    return World()
