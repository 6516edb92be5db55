"""Where an inversion starts: the nearest of many codes, in the style of which the image is then sought."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from brushwork.eval.metrics.perceptual import LEAST, PerceptualDistance
from brushwork.models.generator import Generator
from brushwork.models.latent.codes import noise_of, same_in_every_layer
from brushwork.models.restyling import own_style_codes
from brushwork.models.sampling import device_of, latents, to_uint8

from .config import Space

SEEDS = 64
"""Random codes of each style that are tried."""
FIRST = 2**31
"""Their first seed: not those that people look at."""
PART = 32
"""Images in memory at once."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Codes that may be near an image, and their images as points of a perceptual distance."""

    w: Float[Tensor, "k d"]
    styles: Float[Tensor, "k s"]
    points: Float[Tensor, "k p"]
    """At 64 px a side, so that all fit into the memory."""
    spread: float
    """Root mean squared length of the codes of a style around their average."""

    def distances(self, points: Float[Tensor, "n p"]) -> Float[Tensor, "n k"]:
        """Distances of images to the candidates."""
        return torch.cdist(points, self.points, compute_mode="donot_use_mm_for_euclid_dist").square()


@torch.no_grad()
def candidates(
    generator: Generator, distance: PerceptualDistance, styles: Float[Tensor, "s k"]
) -> Candidates:
    """The average of each style and codes of random seeds in it."""
    device, mapping = device_of(generator), generator.mapping
    z = latents(torch.arange(FIRST, FIRST + SEEDS), generator.config.z_dim).to(device)
    rows = styles.to(device)
    codes = [mapping(z, row.expand(SEEDS, -1)) for row in rows]
    averages = mapping.average_of(rows)
    lengths = torch.stack([(own - own.mean(0)).square().sum(1).mean() for own in codes])
    w = torch.cat([torch.cat([averages[i : i + 1], own]) for i, own in enumerate(codes)])
    return Candidates(
        w=w, styles=rows.repeat_interleave(SEEDS + 1, dim=0), spread=float(lengths.mean().sqrt()),
        points=torch.cat([distance.points(images_of(generator, part), LEAST) for part in w.split(PART)]),
    )  # fmt: skip


@torch.no_grad()
def images_of(generator: Generator, w: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
    """Images of codes of W, with the noise of seed 0, clipped to [-1, 1]."""
    normal = noise_of((), len(w), device_of(generator))
    codes = same_in_every_layer(w, generator.layers)
    return generator.synthesis(codes, generator.trained_stage, normal).clamp(-1, 1)


@torch.no_grad()
def encoded_images(
    generator: Generator, images: UInt8[Tensor, "n c h w"], styles: Float[Tensor, "n s"]
) -> UInt8[Tensor, "n c h w"]:
    """Images of the style encoder's codes of images. Raises ModelError for a generator without encoders."""
    codes = own_style_codes(generator, images, styles)
    return torch.cat([to_uint8(images_of(generator, part)).cpu() for part in codes.split(PART)])


@torch.no_grad()
def nearest_codes(
    generator: Generator, distance: PerceptualDistance, known: Candidates,
    targets: Float[Tensor, "n c h w"], space: Space,
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n s"]]:  # fmt: skip
    """The start of each image and the weights of its style, which is that of the nearest candidate. The start
    is the code of the style encoder, if that is nearer; else in W+ the candidate, and in W the average of the
    style, from which more codes are within reach."""
    points = distance.points(targets, LEAST)
    least, index = known.distances(points).min(1)
    styles = known.styles[index]
    w = known.w[index] if space == "w+" else generator.mapping.average_of(styles)
    if generator.style_encoder is not None:
        encoded = generator.style_encoder(targets, styles, generator.trained_stage)
        found = (distance.points(images_of(generator, encoded), LEAST) - points).square().sum(1)
        w = torch.where((found < least)[:, None], encoded, w)
    return w, styles
