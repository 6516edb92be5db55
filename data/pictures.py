"""A packed split as tensors: decoded into memory at once, or row by row from the disk."""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from torch import Tensor

from .errors import DataError
from .images import WHITE, Colour, read_image
from .parquet import shards
from .progress import Progress
from .split import SPLITS, Split

if TYPE_CHECKING:
    from datasets import Dataset

AnySplit = Literal["train", "test", "all"]


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
        wanted = indices.tolist()
        images = self.rows[wanted]["image"]
        return _decode([image["bytes"] for image in images], self.resolution)

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
    about, files = _open(path, split)
    parts: list[Tensor] = []
    styles: list[int] = []
    subjects: list[str] = []
    for batch in _batches(path, files, ("image", "style", "subject")):
        parts.append(_decode([image["bytes"] for image in batch["image"]], about["resolution"]))
        styles += batch["style"]
        subjects += batch["subject"]
    return Pictures(
        images=torch.cat(parts),
        styles=torch.tensor(styles, dtype=torch.int64),
        subjects=tuple(subjects),
        style_names=tuple(about["styles"]),
        fingerprint=about["fingerprint"],
        background=tuple(about["background"]),
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

    path = Path(path)
    about, files = _open(path, split)
    kept = None if copies is None else str(copies)
    rows = Dataset.from_parquet([str(file) for file in files], cache_dir=kept)  # pyright: ignore[reportArgumentType]
    rows = rows.cast_column("image", ImageColumn(decode=False))
    styles: list[int] = []
    subjects: list[str] = []
    for batch in _batches(path, files, ("style", "subject")):
        styles += batch["style"]
        subjects += batch["subject"]
    return StoredPictures(
        rows=rows,
        resolution=about["resolution"],
        styles=torch.tensor(styles, dtype=torch.int64),
        subjects=tuple(subjects),
        style_names=tuple(about["styles"]),
        fingerprint=about["fingerprint"],
        background=tuple(about["background"]),
    )


def describe(path: Path | str) -> dict:
    """The `dataset.json` of a packed data set: styles, resolution, counts, fingerprint and how it was packed.

    Raises:
        DataError: no such data set, or not one of `brushwork pack`.
    """
    path = Path(path)
    if not path.is_dir():
        raise DataError(f"The data set '{path}' does not exist: make it with `brushwork pack FOLDER {path}`.")
    try:
        about = json.loads((path / "dataset.json").read_text())
        if not isinstance(about, dict) or "fingerprint" not in about:
            raise ValueError
    except (OSError, ValueError) as error:
        raise DataError(
            f"'{path}' is no packed data set (it has no valid dataset.json): make one with "
            f"`brushwork pack {path} DATASET`."
        ) from error
    return about


def _open(path: Path, split: AnySplit) -> tuple[dict, list[Path]]:
    if split not in get_args(AnySplit):
        raise DataError(f"The split '{split}' is unknown: choose one of {', '.join(get_args(AnySplit))}.")
    about = describe(path)
    wanted: Sequence[Split] = SPLITS if split == "all" else (split,)
    files = [file for one in wanted for file in shards(path, one)]
    if not files:
        raise DataError(f"The {split} split of '{path}' is empty: pack it with another --test-fraction.")
    return about, files


def _batches(path: Path, files: Iterable[Path], columns: Sequence[str]) -> Iterator[dict[str, list]]:
    try:
        tables = [pq.ParquetFile(file) for file in files]
        total = sum(table.metadata.num_rows for table in tables)
        with Progress(total=total, desc="decode", unit="img", delay=2, leave=False) as bar:
            for table in tables:
                for batch in table.iter_batches(batch_size=512, columns=list(columns)):
                    yield batch.to_pydict()
                    bar.update(batch.num_rows)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"The data set '{path}' is damaged ({error}): pack it again.") from error


def _decode(pngs: Sequence[bytes], resolution: int) -> Tensor:
    """uint8 (N, 3, R, R)"""
    # Pillow takes a quarter of the time to hand out the pixels of one picture: a column of them goes at once.
    column = Image.new("RGB", (resolution, resolution * len(pngs)))
    for row, png in enumerate(pngs):
        picture = _picture(png)
        if picture.size != (resolution, resolution):
            width, height = picture.size
            raise DataError(
                f"A packed picture has {width} x {height} px where {resolution} x {resolution} are due: pack "
                "the folder again."
            )
        column.paste(picture, (0, row * resolution))
    images = torch.from_numpy(np.array(column)).view(len(pngs), resolution, resolution, 3)
    return images.permute(0, 3, 1, 2).contiguous()


def _picture(png: bytes) -> Image.Image:
    """RGB. What `brushwork pack` wrote is known to be that without more ado, which is twice as fast."""
    try:
        picture = PngImageFile(io.BytesIO(png))
        picture.load()
        if picture.mode == "RGB" and "transparency" not in picture.info:
            return picture
    except (OSError, SyntaxError):
        pass  # the careful way says what is wrong
    return Image.fromarray(read_image(png))
