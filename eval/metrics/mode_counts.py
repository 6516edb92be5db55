"""Counts the modes of `data/sources/modes.py` that images show.

An image is recognised by its nearest template among all modes at several jitters. Distances are Euclidean,
between images that are blurred by a 32nd of their side: jitter and soft edges change single pixels along a
contour, another shape changes more. Let D(m) be the distance between mode m and the nearest other mode, over
all their templates. An image shows mode m if its distance is below D(m) / 2. Templates of two modes m and n
lie at least max(D(m), D(n)) apart, so these balls never meet: an image shows one mode or none.
"""

import itertools
import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d
from torchvision.transforms.functional import gaussian_blur

from brushwork.data.sources.modes import MODES, mode_image

BLOCK = 512
"""Images that are compared at once."""


def count_modes(images: Tensor, style: str) -> Tensor:
    """Counts the uint8 images (N, 3, R, R), R from 16 up, that show each mode in a style of MODE_STYLES.

    Returns int64 (64,), in the order of MODES. Images that show no mode count nowhere.
    """
    templates, radius = mode_bank(style, images.shape[-1])
    counts = torch.zeros(len(MODES), dtype=torch.int64)
    for block in images.cpu().split(BLOCK):
        distances = torch.cdist(_features(block), templates.flatten(0, 1))  # (B, 64 * 81)
        distance, mode = distances.unflatten(1, templates.shape[:2]).amin(2).min(1)
        counts += torch.bincount(mode[distance < radius[mode]], minlength=len(MODES))
    return counts


@lru_cache(maxsize=8)
def mode_bank(style: str, size: int) -> tuple[Tensor, Tensor]:
    """Draws every mode at each combination of the ends and the middle of the four jitters, 81 templates.

    Returns the templates, float (64, 81, D), and half the distance of each mode to the nearest other, (64,).
    """
    jitters = list(itertools.product((-0.7, 0.0, 0.7), repeat=4))
    images = np.stack([[mode_image(mode, style, size, jitter) for jitter in jitters] for mode in MODES])
    templates = torch.stack([_features(torch.from_numpy(own).permute(0, 3, 1, 2)) for own in images])
    modes = torch.arange(len(MODES))
    radius = [torch.cdist(templates[m], templates[modes != m].flatten(0, 1)).min() / 2 for m in modes]
    return templates, torch.stack(radius)


def _features(images: Tensor) -> Tensor:
    """Blurs uint8 (N, 3, R, R) by a 32nd of the side, halves the side, and flattens to float (N, D)."""
    sigma = images.shape[-1] / 32
    blurred = gaussian_blur(images.float() / 255, [2 * math.ceil(3 * sigma) + 1] * 2, [sigma, sigma])
    return avg_pool2d(blurred, 2).flatten(1)
