"""Batches as a pure function of the image number n, the same in any batch and on any process."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pydantic
import torch
import torch.nn.functional as F
from annotated_types import Interval
from torch import Tensor

from .dataset import Pictures, StoredPictures, describe, load_pictures, stored_pictures
from .errors import DataError
from .order import Order, Paired, Runs, Shuffled
from .split import AnySplit
from .splitmix import uniform
from .transforms import COLUMNS, Fill, affine_matrices, random_flip, warp

__all__ = [
    "Batch",
    "Loader",
    "LoaderConfig",
    "Pictures",
    "StoredPictures",
    "describe",
    "load_pictures",
    "open_pictures",
    "stored_pictures",
]

Cache = Literal["auto", "device", "memory", "off"]

DEVICE_SHARE = 0.4
"""Share of the free device memory that pictures may take; the rest is for networks and activations."""
AUGMENT_STREAM = 0x5_A06
"""Keeps the random numbers of transforms apart from those of the order (see order.py)."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch on the loader's device."""

    images: Tensor
    """float32 (B, 3, R, R) in [-1, 1]."""
    styles: Tensor
    """float32 (B, S) weights: one-hot, or zero where there is no label."""
    indices: Tensor
    """int64 (B,): rows of the split."""


@pydantic.dataclasses.dataclass(
    frozen=True, kw_only=True,
    config=pydantic.ConfigDict(strict=True, allow_inf_nan=False, extra="forbid"),
)  # fmt: skip
class LoaderConfig:
    """The order and the random transforms of an endless stream of pictures."""

    balanced: bool = False
    """Show every style (and the unlabelled) equally often, however many pictures it has."""
    paired: bool = False
    """Neighbours in a batch show the same subject in two styles. Needs subjects in several styles."""
    flip: bool = False
    """Mirror half of the pictures left to right; wrong where writing or handedness matters."""
    rotate: Annotated[float, Interval(ge=0, le=180)] = 0.0
    """Turn by up to this many degrees to either side."""
    scale: Annotated[float, Interval(ge=0, le=4)] = 0.0
    """Shrink or enlarge by up to this: 0.1 gives sizes from 1/1.1 to 1.1."""
    crop: Annotated[float, Interval(ge=0, le=0.99)] = 0.0
    """Show a random window that leaves out up to this part of each side, 0 to below 1."""
    shift: Annotated[float, Interval(ge=0, le=1)] = 0.0
    """Move by up to this fraction of the side."""
    fill: Fill = "reflect"
    """What a moved picture uncovers: its mirror image (reflect), or the data set's background colour."""
    cache: Cache = "auto"
    """Where decoded pictures are kept: on the device if they fit (auto), always there (device), in main
    memory (memory), or nowhere (off), which decodes every batch from the disk."""

    def __post_init__(self) -> None:
        if self.paired and (self.balanced or self.flip or self.moves):
            raise DataError(
                "The loader's paired keeps the pictures of a subject as they are: turn off balanced, flip, "
                "rotate, scale, crop and shift."
            )

    @property
    def moves(self) -> bool:
        return any((self.rotate, self.scale, self.crop, self.shift))


def open_pictures(path: Path | str, split: AnySplit, cache: Cache) -> Pictures | StoredPictures:
    """Opens a split of a packed data set: decoded in memory or, with cache `off`, left on the disk."""
    return stored_pictures(path, split) if cache == "off" else load_pictures(path, split)


class Loader:
    """An endless, shuffled, stateless stream of a split.

    Picture number n is row permutation(seed, n // N)[n % N]; its transforms are a function of (seed, n). With
    `run` above 1, each run of so many neighbours shares its style (`order.Runs`). Each of W processes takes
    `batch_at(nimg + rank * b, b)`, then adds W * b to nimg.
    """

    def __init__(
        self,
        pictures: Pictures | StoredPictures,
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
        self._background = torch.tensor(pictures.background) / 127.5 - 1

    def __len__(self) -> int:
        """Pictures in an epoch."""
        return len(self.pictures)

    def indices_at(self, nimg: int, count: int) -> np.ndarray:
        """Returns the rows of pictures number nimg .. nimg + count - 1, int64 (count,)."""
        return self._order.rows(np.arange(nimg, nimg + count, dtype=np.int64))

    def batch_at(self, nimg: int, count: int, *, resolution: int | None = None) -> Batch:
        """Returns pictures number nimg .. nimg + count - 1, reduced to `resolution` by averaging areas.

        Raises:
            DataError: the resolution of the data set is no multiple of `resolution`.
        """
        factor = self._factor(resolution or self.pictures.resolution)
        indices = torch.from_numpy(self.indices_at(nimg, count))
        images = self.pictures.take(indices).to(self.device)
        # A product is faster than a quotient, and still maps 255 to 1 exactly.
        images = self._augment(images.float().mul_(1 / 127.5).sub_(1), nimg)
        images = F.avg_pool2d(images, factor) if factor > 1 else images
        styles = self._weights[self._styles[indices]]
        return Batch(images=images, styles=styles.to(self.device), indices=indices.to(self.device))

    def _ordered(self, pictures: Pictures | StoredPictures, run: int) -> Order:
        if self.config.paired:
            return Paired(self._styles, pictures.subjects, self.seed)
        if run > 1 or self.config.balanced:
            return Runs(self._styles, self.seed, run=run, balanced=self.config.balanced)
        return Shuffled(len(pictures), self.seed)

    def _factor(self, resolution: int) -> int:
        factor, rest = divmod(self.pictures.resolution, resolution)
        if rest or factor < 1:
            raise DataError(
                f"Resolution {resolution} cannot be made from the packed {self.pictures.resolution}: ask for "
                "that, a half, a quarter ... of it, or pack the folder again."
            )
        return factor

    def _augment(self, images: Tensor, nimg: int) -> Tensor:
        config = self.config
        if not config.flip and not config.moves:
            return images
        numbers = torch.arange(nimg, nimg + len(images))
        random = uniform(self.seed ^ AUGMENT_STREAM, numbers, COLUMNS)
        if config.flip:
            images = random_flip(images, random)
        if not config.moves:
            return images
        matrices = affine_matrices(
            random, rotate=config.rotate, scale=config.scale, crop=config.crop, shift=config.shift
        )
        # Interpolation weights sum to one only up to rounding.
        return warp(images, matrices, fill=config.fill, background=self._background).clamp(-1, 1)


def _placed(
    pictures: Pictures | StoredPictures, cache: Cache, device: torch.device
) -> Pictures | StoredPictures:
    """The pictures, on the device if the cache setting says so or they fit."""
    if isinstance(pictures, StoredPictures) or cache in ("memory", "off"):
        return pictures
    if cache == "auto":
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0
        if pictures.images.numel() >= DEVICE_SHARE * free:
            return pictures
    return replace(pictures, images=pictures.images.to(device))
