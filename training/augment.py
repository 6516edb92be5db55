"""Augmentation: the same kind of random changes to the discriminator's real and generated images.

Here is DiffAugment (Zhao 2020, arXiv:2006.10738), which changes every image; `ada` is adaptive augmentation.
All changes are twice differentiable, as the gradient penalty needs, so DiffAugment moves images by indexing
and masking, not by `grid_sample`.
"""

from dataclasses import fields
from typing import Annotated

import torch
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor

from brushwork.models.options import Share, options

from .ada import Kind, augment_adaptively
from .errors import TrainingError
from .rng import BatchRNG

Images = Float[Tensor, "n c h w"]


@options
class AugmentConfig:
    """Random changes of all images that the discriminator sees; all are off by default."""

    colour: Share = 0.0
    """Strength of random brightness, saturation and contrast of every image; 1 is DiffAugment's."""
    translation: Share = 0.0
    """Largest shift, as a share of the image; DiffAugment's is 0.125."""
    cutout: Share = 0.0
    """Side of the grey square, as a share of the image; DiffAugment's is 0.5."""
    ada: tuple[Kind, ...] = ()
    """Kinds of adaptive changes (ADA), each made with a probability p that rises while the discriminator
    overfits: flip, turn (by 90 degrees), shift, geometry, colour."""
    ada_target: Share = 0.6
    """p rises while overfitting, as the status line shows it, is above this."""
    ada_kimg: Annotated[float, Interval(ge=0.001, le=10**6)] = 500.0
    """Thousands of images in which p would rise from 0 to 1; it is at most 0.8."""

    @property
    def measured_kimg(self) -> float:
        """Thousands of images between measurements of overfitting."""
        return self.ada_kimg / 64

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("ada_target", "ada_kimg") and value != field.default and not self.ada:
                raise TrainingError(
                    f"augment.{field.name} is {value:g}, but nothing is augmented adaptively: name kinds of "
                    "changes by --augment.ada, such as shift geometry colour."
                )


def augment(images: Images, config: AugmentConfig, rng: BatchRNG, p: float = 0.0) -> Images:
    """Applies the configured changes, those of ADA with probability p; the identity, bit for bit, where all
    are off."""
    images = augment_adaptively(images, config.ada, p, rng)
    if config.colour:
        colours = jitter(images[:, :3], rng.uniform((3,)), config.colour)
        images = torch.cat([colours, images[:, 3:]], dim=1)
    if config.translation:
        images = translate(images, rng.uniform((2,)), config.translation)
    if config.cutout:
        images = cut_out(images, rng.uniform((2,)), config.cutout)
    return images


def jitter(images: Images, u: Float[Tensor, "n 3"], strength: float) -> Images:
    """Brightness +-0.5, saturation x0..2, contrast x0.5..1.5 at strength 1."""
    brightness, saturation, contrast = ((u - 0.5) * strength)[:, :, None, None, None].unbind(1)
    images = images + brightness
    grey = images.mean(dim=1, keepdim=True)
    images = torch.lerp(grey, images, 1 + 2 * saturation)
    flat = images.mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(flat, images, 1 + contrast)


def translate(images: Images, u: Float[Tensor, "n 2"], most: float) -> Images:
    """Shifts by whole pixels, by up to a share `most` of the side; the border is replicated."""
    n, _, h, w = images.shape
    reach = torch.tensor([round(h * most), round(w * most)], device=u.device)
    shift = torch.floor(u * (2 * reach + 1)).long() - reach  # (n, 2), -reach..reach
    rows = (torch.arange(h, device=u.device) + shift[:, :1]).clamp(0, h - 1)  # (n, h)
    columns = (torch.arange(w, device=u.device) + shift[:, 1:]).clamp(0, w - 1)  # (n, w)
    moved = images.permute(0, 2, 3, 1)[
        torch.arange(n, device=u.device)[:, None, None], rows[:, :, None], columns[:, None, :]
    ]
    return moved.permute(0, 3, 1, 2)


def cut_out(images: Images, u: Float[Tensor, "n 2"], share: float) -> Images:
    """Greys out one square whose centre is uniform over the image."""
    h, w = images.shape[2:]
    centre = u * torch.tensor([h, w], device=u.device)
    rows = (torch.arange(h, device=u.device) + 0.5 - centre[:, :1]).abs() <= h * share / 2  # (n, h)
    columns = (torch.arange(w, device=u.device) + 0.5 - centre[:, 1:]).abs() <= w * share / 2
    hole = rows[:, None, :, None] & columns[:, None, None, :]
    return images * (~hole).to(images.dtype)
