"""Packed data sets: `dataset.json`, and a split as tensors, in memory or row by row from the disk."""

import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from pydantic import Field
from torch import Tensor

from .errors import DataError
from .files import read_json
from .folder import UNLABELLED
from .progress import Progress
from .shape import SQUARE, Base, base_of, size_at
from .split import SPLITS, AnySplit, Split, parts_of

if TYPE_CHECKING:
    from datasets import Dataset

Format = Literal["brushwork data set 1"]
FORMAT: Format = "brushwork data set 1"
DATASET_JSON = "dataset.json"
COLUMNS = {
    "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
    "style": pa.int64(),
    "subject": pa.string(),
}
"""The columns that every shard must have."""
WEIGHTS = "weights"
"""The column of data sets with images of several styles: the weight of every style."""
Count = Annotated[int, Field(ge=0)]
Channels = Literal[3, 4]
Shape = tuple[int, int, int]
"""Channels, height and width of images."""


@dataclass(frozen=True, kw_only=True)
class About:
    """The content of `dataset.json`."""

    format: Format
    name: str
    styles: tuple[str, ...]
    resolution: Annotated[int, Field(ge=1)]
    """The shorter side of the images."""
    base: Base = SQUARE
    channels: Channels = 3
    """4 with transparency."""
    fingerprint: str
    """Content hash of all splits together."""
    counts: Mapping[Split, Count]
    """Images by split."""

    def __post_init__(self) -> None:
        if set(self.counts) != set(SPLITS):
            raise ValueError(f"there are no counts of {' and '.join(SPLITS)}")

    @property
    def shape(self) -> Shape:
        """Channels, height and width of the images."""
        return (self.channels, *size_at(self.resolution, self.base))


def describe(path: Path | str) -> About:
    """Reads the `dataset.json` of a packed data set. Raises DataError if it is missing or damaged."""
    path = Path(path)
    if not (path / DATASET_JSON).is_file():
        make = "make one with `brushwork pack FOLDER DATASET`"
        raise DataError(f"'{path}' is no packed data set (it has no {DATASET_JSON}): {make}.")
    try:
        return read_json(path / DATASET_JSON, About)
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, what: object) -> DataError:
    return DataError(f"The data set '{path}' is damaged ({' '.join(str(what).split())}): pack it again.")


@dataclass(frozen=True, kw_only=True)
class _Labelled:
    """Labels of the rows of a split: row n shows `subjects[n]` in `style_names[styles[n]]`."""

    styles: Tensor
    """int64 (N,), -1 where there is no label."""
    subjects: tuple[str, ...]
    style_names: tuple[str, ...]
    fingerprint: str
    """Content hash of the whole data set, all splits together."""
    weights: Tensor | None = None
    """float32 (N, S), of sum 1, if there are images of several styles; `styles` has their main ones."""

    def __len__(self) -> int:
        return len(self.subjects)

    @property
    def shape(self) -> Shape:
        """Channels, height and width of the images."""
        raise NotImplementedError

    @property
    def resolution(self) -> int:
        """The shorter side of the images."""
        return min(self.shape[1:])

    @property
    def channels(self) -> Channels:
        """3, or 4 with transparency."""
        return 4 if self.shape[0] == 4 else 3

    @property
    def base(self) -> Base:
        """Sides of the images for a resolution of 4."""
        return base_of(*self.shape[1:])

    def _labels_of(self, indices: Tensor) -> dict[str, Any]:
        subjects = tuple(self.subjects[row] for row in indices.tolist())
        weights = None if self.weights is None else self.weights[indices.to(self.weights.device)]
        styles = self.styles[indices.to(self.styles.device)]
        return {"styles": styles, "subjects": subjects, "weights": weights}


@dataclass(frozen=True, kw_only=True)
class ImageDataset(_Labelled):
    """A split in memory."""

    images: Tensor
    """uint8 (N, C, H, W)."""

    @property
    def shape(self) -> Shape:
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def take(self, indices: Tensor) -> Tensor:
        """Returns uint8 (B, C, H, W) for the rows int64 (B,), on the device of `images`."""
        return self.images.index_select(0, indices.to(self.images.device))

    def subset(self, indices: Tensor) -> "ImageDataset":
        """Returns the rows int64 (B,) alone; style names and fingerprint stay those of the whole."""
        return replace(self, images=self.take(indices), **self._labels_of(indices))


@dataclass(frozen=True, kw_only=True)
class StoredDataset(_Labelled):
    """A split on the disk. Images are decoded each time they are taken."""

    path: Path
    rows: "Dataset"
    stored_shape: Shape

    @property
    def shape(self) -> Shape:
        return self.stored_shape

    def take(self, indices: Tensor) -> Tensor:
        """Returns uint8 (B, C, H, W) for the rows int64 (B,), on the CPU."""
        return _decode(self.path, self.rows[indices.tolist()]["image"], self.shape)

    def subset(self, indices: Tensor) -> "StoredDataset":
        """Returns the rows int64 (B,) alone; style names and fingerprint stay those of the whole."""
        return replace(self, rows=self.rows.select(indices.tolist()), **self._labels_of(indices))


def load_dataset(path: Path | str, split: AnySplit = "train") -> ImageDataset:
    """Decodes a split of the data set at `path` into memory; `all` is the training rows, then the test rows.

    Raises DataError if there is no data set, it is damaged, or the split is empty.
    """
    path = Path(path)
    about, shards = _open_shards(path, split)
    labels, images = _read_rows(path, about, shards, with_images=True)
    return ImageDataset(images=torch.cat(images), **labels)


def stored_dataset(
    path: Path | str, split: AnySplit = "train", *, copies: Path | None = None
) -> StoredDataset:
    """Opens a split without decoding it, for data sets that do not fit into memory. Raises as `load_dataset`.

    `datasets` keeps a memory-mapped copy of the rows, once per data set, in `copies` or in its cache folder.
    """
    from datasets import Dataset
    from datasets import Image as ImageColumn
    from datasets.exceptions import DatasetsError

    path = Path(path)
    about, shards = _open_shards(path, split)
    labels, _ = _read_rows(path, about, shards, with_images=False)
    cache = None if copies is None else str(copies)
    files = [str(file) for file in shard_files(path, split)]
    try:
        rows = Dataset.from_parquet(files, cache_dir=cache)  # pyright: ignore[reportArgumentType]
    except (OSError, pa.ArrowException, DatasetsError) as error:
        raise _damaged(path, error) from error
    rows = rows.cast_column("image", ImageColumn(decode=False))
    return StoredDataset(path=path, rows=rows, stored_shape=about.shape, **labels)


# Shards
def shard_files(dataset: Path, split: AnySplit) -> list[Path]:
    """Returns the shards of a split in their order."""
    return [
        file for one in parts_of(split) for file in sorted((dataset / "data").glob(f"{one}-*-of-*.parquet"))
    ]


def _open_shards(path: Path, split: AnySplit) -> tuple[About, list[pq.ParquetFile]]:
    """The opened shards of a split, whose columns and number of rows are checked."""
    parts, about = parts_of(split), describe(path)
    expected = sum(about.counts[part] for part in parts)
    if not expected:
        raise DataError(f"The {split} split of '{path}' is empty: pack it with another --test-fraction.")
    try:
        shards = [pq.ParquetFile(file) for file in shard_files(path, split)]
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error
    for schema, (name, kind) in itertools.product((shard.schema_arrow for shard in shards), COLUMNS.items()):
        if name not in schema.names or schema.field(name).type != kind:
            raise _damaged(path, f"it has no column {name} of {kind}")
    rows = sum(shard.metadata.num_rows for shard in shards)
    if rows != expected:
        raise _damaged(path, f"it holds {rows} of the {expected} images of its {split} split")
    return about, shards


def _read_rows(
    path: Path, about: About, shards: Sequence[pq.ParquetFile], *, with_images: bool
) -> tuple[dict[str, Any], list[Tensor]]:
    """The fields of `_Labelled`, and the decoded images if they are wanted; some hundred rows at a time."""
    styles: list[int | None] = []
    subjects: list[str | None] = []
    images: list[Tensor] = []
    weights: list[list[float]] = []
    soft = any(WEIGHTS in shard.schema_arrow.names for shard in shards)
    columns = ["style", "subject", *([WEIGHTS] if soft else []), *(["image"] if with_images else [])]
    total = sum(shard.metadata.num_rows for shard in shards)
    try:
        with Progress(total=total, desc="decode", unit="img", delay=2, leave=False) as bar:
            for batch in itertools.chain(*(shard.iter_batches(512, columns=columns) for shard in shards)):
                values = batch.to_pydict()
                styles += values["style"]
                subjects += values["subject"]
                weights += values.get(WEIGHTS, [])
                if with_images:
                    images.append(_decode(path, values["image"], about.shape))
                bar.update(batch.num_rows)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error
    known = range(UNLABELLED, len(about.styles))
    if None in subjects or not all(style in known for style in styles):
        raise _damaged(path, "a row without subject, or of no known style")
    labels = {
        "styles": torch.tensor(styles, dtype=torch.int64), "subjects": tuple(subjects),
        "style_names": about.styles, "fingerprint": about.fingerprint,
        "weights": _checked(path, weights, len(about.styles)) if soft else None,
    }  # fmt: skip
    return labels, images


def _checked(path: Path, weights: Sequence[Sequence[float]], styles: int) -> Tensor:
    """The column of weights as float32 (N, S)."""
    if not all(row is not None and len(row) == styles for row in weights):
        raise _damaged(path, f"a row without weights of {styles} styles")
    return torch.tensor(weights, dtype=torch.float32)


def _decode(path: Path, images: Sequence[Any], shape: Shape) -> Tensor:
    """The column of images as uint8 (N, C, H, W)."""
    channels, height, width = shape
    mode = "RGB" if channels == 3 else "RGBA"
    # Copying pixels out of Pillow takes a quarter of the time of decoding, so all are pasted into one image.
    column = Image.new(mode, (width, height * len(images)))
    for row, image in enumerate(images):
        try:
            picture = PngImageFile(io.BytesIO(image["bytes"]))
            picture.load()
        except Exception as error:  # Pillow raises whatever a broken file provokes
            raise _damaged(path, "an image that cannot be decoded") from error
        if (picture.mode, *picture.size) != (mode, width, height):
            size = f"{picture.mode} of {picture.width} x {picture.height} px"
            raise _damaged(path, f"an image {size}, where {mode} of {width} x {height} is due")
        column.paste(picture, (0, row * height))
    pixels = torch.from_numpy(np.array(column)).view(len(images), height, width, channels)
    return pixels.permute(0, 3, 1, 2).contiguous()
