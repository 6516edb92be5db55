"""A packed split as tensors: decoded into memory at once, or row by row from the disk."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from torch import Tensor

from .about import About, damaged
from .errors import DataError
from .folder import UNLABELLED
from .images import WHITE, Colour, read_image
from .parquet import open_shards, shards
from .progress import Progress
from .split import AnySplit, parts_of

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """A decoded split. Row n of `images` shows `subjects[n]` in style `style_names[styles[n]]`."""

    images: Tensor
    """uint8 (N, 3, R, R)"""
    styles: Tensor
    """int64 (N,), -1 where there is no label"""
    subjects: tuple[str, ...]
    style_names: tuple[str, ...]
    fingerprint: str
    """Content hash of the whole data set, all splits together."""
    background: Colour = WHITE
    """What was put behind transparent pictures."""

    def __len__(self) -> int:
        return len(self.subjects)

    @property
    def resolution(self) -> int:
        return self.images.shape[-1]

    def take(self, indices: Tensor) -> Tensor:
        """uint8 (B, 3, R, R) of int64 (B,), on the device of `images`."""
        return self.images.index_select(0, indices.to(self.images.device))

    def subset(self, indices: Tensor) -> "Pictures":
        """The rows int64 (B,) alone; styles and fingerprint stay those of the whole."""
        return replace(
            self, images=self.take(indices), styles=self.styles[indices.to(self.styles.device)],
            subjects=tuple(self.subjects[row] for row in indices.tolist()),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class StoredPictures:
    """A split that stays on the disk: the rows and values of Pictures, decoded whenever they are taken."""

    path: Path
    rows: "Dataset"
    resolution: int
    styles: Tensor
    subjects: tuple[str, ...]
    style_names: tuple[str, ...]
    fingerprint: str
    background: Colour = WHITE

    def __len__(self) -> int:
        return len(self.subjects)

    def take(self, indices: Tensor) -> Tensor:
        """uint8 (B, 3, R, R) of int64 (B,), on the CPU."""
        return _decode(self.path, self.rows[indices.tolist()]["image"], self.resolution)

    def subset(self, indices: Tensor) -> "StoredPictures":
        """The rows int64 (B,) alone; styles and fingerprint stay those of the whole."""
        return replace(
            self, rows=self.rows.select(indices.tolist()), styles=self.styles[indices],
            subjects=tuple(self.subjects[row] for row in indices.tolist()),
        )  # fmt: skip


def load_pictures(path: Path | str, split: AnySplit = "train") -> Pictures:
    """Decodes a split of the data set at `path` into memory; `all` is the training rows, then the test rows.

    Raises:
        DataError: no such data set, not one of `brushwork pack`, damaged, or nothing in this split.
    """
    path = Path(path)
    about, tables = open_shards(path, split)
    parts: list[Tensor] = []
    styles: list[int] = []
    subjects: list[str] = []
    for batch in _batches(path, about, tables, ("image", "style", "subject")):
        parts.append(_decode(path, batch["image"], about.resolution))
        styles += batch["style"]
        subjects += batch["subject"]
    return Pictures(
        images=torch.cat(parts),
        styles=torch.tensor(styles, dtype=torch.int64),
        subjects=tuple(subjects),
        style_names=about.styles,
        fingerprint=about.fingerprint,
        background=about.background,
    )


def stored_pictures(
    path: Path | str, split: AnySplit = "train", *, copies: Path | None = None
) -> StoredPictures:
    """Opens a split without decoding it, for data sets that do not fit into memory. Raises as load_pictures.

    `datasets` keeps a memory-mapped copy of the rows in `copies`, or else in its own cache folder, once per
    data set.
    """
    from datasets import Dataset
    from datasets import Image as ImageColumn
    from datasets.exceptions import DatasetsError

    path = Path(path)
    about, tables = open_shards(path, split)
    styles, subjects = _labels(path, about, tables)
    kept = None if copies is None else str(copies)
    files = [str(file) for one in parts_of(split) for file in shards(path, one)]
    try:
        rows = Dataset.from_parquet(files, cache_dir=kept)  # pyright: ignore[reportArgumentType]
    except (OSError, pa.ArrowException, DatasetsError) as error:
        raise damaged(path, error) from error
    return StoredPictures(
        path=path,
        rows=rows.cast_column("image", ImageColumn(decode=False)),
        resolution=about.resolution,
        styles=styles,
        subjects=subjects,
        style_names=about.styles,
        fingerprint=about.fingerprint,
        background=about.background,
    )


# Reading


def _labels(path: Path, about: About, tables: Sequence[pq.ParquetFile]) -> tuple[Tensor, tuple[str, ...]]:
    """The styles int64 (N,) and subjects of all rows."""
    styles: list[int] = []
    subjects: list[str] = []
    for batch in _batches(path, about, tables, ("style", "subject")):
        styles += batch["style"]
        subjects += batch["subject"]
    return torch.tensor(styles, dtype=torch.int64), tuple(subjects)


def _batches(
    path: Path, about: About, tables: Sequence[pq.ParquetFile], columns: Sequence[str]
) -> Iterator[dict[str, list]]:
    """Columns of checked values, some hundred rows at a time."""
    total = sum(table.metadata.num_rows for table in tables)
    try:
        with Progress(total=total, desc="decode", unit="img", delay=2, leave=False) as bar:
            for table in tables:
                for batch in table.iter_batches(batch_size=512, columns=list(columns)):
                    values = batch.to_pydict()
                    _check_values(path, about, values)
                    yield values
                    bar.update(batch.num_rows)
    except (OSError, pa.ArrowException) as error:
        raise damaged(path, error) from error


def _check_values(path: Path, about: About, values: dict[str, list]) -> None:
    for name, column in values.items():
        if None in column:
            raise damaged(path, f"a row without {name}")
    styles = values.get("style", [])
    wrong = next((style for style in styles if not UNLABELLED <= style < len(about.styles)), None)
    if wrong is not None:
        raise damaged(path, f"a row of style {wrong}, where there are {len(about.styles)} styles")


def _decode(path: Path, images: Sequence[Mapping[str, bytes] | None], resolution: int) -> Tensor:
    """The column of images as uint8 (N, 3, R, R)."""
    # Pillow takes a quarter of the time to hand out the pixels of one picture: a column of them goes at once.
    column = Image.new("RGB", (resolution, resolution * len(images)))
    for row, image in enumerate(images):
        if image is None or image["bytes"] is None:
            raise damaged(path, "a row without image")
        picture = _picture(path, image["bytes"])
        if picture.size != (resolution, resolution):
            size = f"{picture.width} x {picture.height} px where {resolution} x {resolution} are due"
            raise damaged(path, f"a picture of {size}")
        column.paste(picture, (0, row * resolution))
    pixels = torch.from_numpy(np.array(column)).view(len(images), resolution, resolution, 3)
    return pixels.permute(0, 3, 1, 2).contiguous()


def _picture(path: Path, png: bytes) -> Image.Image:
    """RGB. What `brushwork pack` wrote is known to be that without more ado, which is twice as fast."""
    try:
        picture = PngImageFile(io.BytesIO(png))
        picture.load()
        if picture.mode == "RGB" and "transparency" not in picture.info:
            return picture
    except (OSError, SyntaxError):
        pass  # the careful way says what is wrong
    try:
        return Image.fromarray(read_image(png))
    except DataError as error:
        raise damaged(path, "a picture that cannot be decoded") from error
