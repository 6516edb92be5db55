"""Batches as a pure function of the image number n, the same in any batch and on any process."""

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import psutil
import pydantic
import torch
import torch.nn.functional as F
from torch import Tensor

from .dataset import ImageDataset, StoredDataset, describe, load_dataset, stored_dataset
from .errors import DataError
from .order import Order, Paired, Permutations, Runs
from .split import AnySplit, parts_of
from .splitmix import uniform

__all__ = [
    "Batch", "ImageDataset", "Loader", "LoaderConfig", "StoredDataset", "describe", "load_dataset",
    "open_dataset", "stored_dataset",
]  # fmt: skip

Cache = Literal["auto", "memory", "off"]

DEVICE_SHARE, MEMORY_SHARE = 0.4, 0.4
"""Shares of the free device memory and of the main memory that images may take."""
FLIP_STREAM = 0x5_A06
"""Keeps the random numbers of flips apart from those of the order (see order.py)."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch on the loader's device."""

    images: Tensor
    """float32 (B, C, H, W) in [-1, 1], colours multiplied by the transparency, if any."""
    styles: Tensor
    """float32 (B, S) weights: one-hot, zero where there is no label, or those of several styles."""
    indices: Tensor
    """int64 (B,): rows of the split."""


@pydantic.dataclasses.dataclass(
    frozen=True, kw_only=True,
    config=pydantic.ConfigDict(strict=True, allow_inf_nan=False, extra="forbid"),
)  # fmt: skip
class LoaderConfig:
    """The order of an endless stream of images, random flips, and where decoded images are kept."""

    balanced: bool = False
    """Show every style (and the unlabelled) equally often, however many images it has."""
    paired: bool = False
    """Neighbours in a batch show the same subject in two styles. Needs subjects in several styles."""
    flip: bool = False
    """Mirror half of the images left to right; wrong where writing or handedness matters."""
    cache: Cache = "auto"
    """Where decoded images are kept: on the device or else in main memory, where they fit (auto), in main
    memory (memory), or nowhere (off), which decodes every batch from the disk."""

    def __post_init__(self) -> None:
        if self.paired and (self.balanced or self.flip):
            raise DataError("The loader's paired excludes balanced and flip: turn these off.")


def open_dataset(path: Path | str, split: AnySplit, cache: Cache) -> ImageDataset | StoredDataset:
    """Opens a split of a packed data set, decoded in memory or left on the disk: with cache `off`, and with
    `auto` if the processes of this machine would fill much of its memory with it."""
    about, processes = describe(path), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    decoded = math.prod(about.shape) * sum(about.counts[part] for part in parts_of(split)) * processes
    large = cache == "auto" and decoded > MEMORY_SHARE * psutil.virtual_memory().total
    return stored_dataset(path, split) if large or cache == "off" else load_dataset(path, split)


class Loader:
    """An endless, shuffled, stateless stream of a split.

    Image number n is row permutation(seed, n // N)[n % N]; its flip is a function of (seed, n). With `run`
    above 1, each run of so many neighbours shares its style (`order.Runs`). Each of W processes takes
    `batch_at(nimg + rank * b, b)`, then adds W * b to nimg.
    """

    def __init__(
        self,
        pictures: ImageDataset | StoredDataset,
        config: LoaderConfig | None = None,
        *,
        seed: int,
        device: torch.device | str = "cpu",
        run: int = 1,
    ) -> None:
        self.config = config or LoaderConfig()
        self.device = torch.device(device)
        self.seed = seed
        self.pictures = _placed(pictures, self.config.cache, self.device)
        names = len(pictures.style_names)
        # Label -1 (none) picks the last row, which is zero.
        self._weights = torch.eye(names + 1, names)
        self._styles = pictures.styles.cpu()
        self._order = self._ordered(pictures, run)

    def __len__(self) -> int:
        """Images in an epoch."""
        return len(self.pictures)

    def indices_at(self, nimg: int, count: int) -> np.ndarray:
        """Returns the rows of images number nimg .. nimg + count - 1, int64 (count,)."""
        return self._order.rows(np.arange(nimg, nimg + count, dtype=np.int64))

    def batch_at(self, nimg: int, count: int, *, resolution: int | None = None) -> Batch:
        """Returns images number nimg .. nimg + count - 1, reduced to `resolution` by averaging areas."""
        whole = self.pictures.resolution
        factor, rest = divmod(whole, resolution or whole)
        if rest or factor < 1:
            raise DataError(f"Resolution {resolution} cannot be made from the packed {whole}: pack again.")
        indices = torch.from_numpy(self.indices_at(nimg, count))
        images = self.pictures.take(indices).to(self.device)
        # A product is faster than a quotient, and still maps 255 to 1 exactly.
        images = images.float().mul_(1 / 127.5)
        if images.shape[1] == 4:
            images[:, :3] *= images[:, 3:] / 2
        images = images.sub_(1)
        if self.config.flip:
            flipped = uniform(self.seed ^ FLIP_STREAM, torch.arange(nimg, nimg + count), 1)[:, 0] < 0.5
            images = torch.where(flipped.to(self.device)[:, None, None, None], images.flip(-1), images)
        images = F.avg_pool2d(images, factor) if factor > 1 else images
        styles = self._weights_of(indices)
        return Batch(images=images, styles=styles.to(self.device), indices=indices.to(self.device))

    def _weights_of(self, indices: Tensor) -> Tensor:
        """Style weights of rows. Labels that training hides or guesses are in `styles` alone."""
        styles = self._styles[indices]
        if self.pictures.weights is None:
            return self._weights[styles]
        soft = self.pictures.weights[indices]
        of_style = soft.gather(1, styles.clamp(min=0)[:, None])
        own = (styles >= 0)[:, None] & (of_style > 0)
        return torch.where(own, soft, self._weights[styles])

    def _ordered(self, pictures: ImageDataset | StoredDataset, run: int) -> Order:
        if self.config.paired:
            return Paired(self._styles, pictures.subjects, self.seed)
        if run > 1 or self.config.balanced:
            return Runs(self._styles, self.seed, run=run, balanced=self.config.balanced)
        return Permutations(len(pictures), self.seed)


def _placed(
    pictures: ImageDataset | StoredDataset, cache: Cache, device: torch.device
) -> ImageDataset | StoredDataset:
    """The images, on the device if they fit."""
    if isinstance(pictures, StoredDataset) or cache != "auto" or device.type != "cuda":
        return pictures
    if pictures.images.numel() >= DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
        return pictures
    return replace(pictures, images=pictures.images.to(device))
