"""Parquet files and the dataset card, as `datasets.load_dataset(FOLDER)` and the Hub read them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..dataset import WEIGHTS
from ..folder import ImageFile
from ..names import markdown_cell
from ..split import Split
from .report import Report, balance_table

ROWS_IN_GROUP = 256


def arrow_schema(style_names: Sequence[str], *, blends: bool = False) -> pa.Schema:
    """Returns the schema, with the features of `datasets` (image, class names) in its metadata. With `blends`
    there is a column of weights of all styles."""
    # `datasets` takes a second to import, which the command line's --help should not pay.
    from datasets import ClassLabel, Features, Image, List, Value

    text = Value("string")
    style = ClassLabel(names=list(style_names)) if style_names else Value("int64")
    columns = {"image": Image(), "style": style, "subject": text, "source": text, "sha256": text}
    return Features(columns | ({WEIGHTS: List(Value("float32"))} if blends else {})).arrow_schema


@dataclass(kw_only=True)
class ShardWriter:
    """Writes the rows of one split to `directory/<split>-00000-of-00001.parquet`; a context manager."""

    directory: Path
    split: Split
    schema: pa.Schema
    styles: int
    """Number of styles."""
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _writer: pq.ParquetWriter | None = None

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if kind is None and self._rows:
            self._write_group()
        if self._writer is not None and kind is None:
            self._writer.close()
        elif self._writer is not None:
            # The caller removes the folder next. Closing could fail again (a full disk) and hide the cause.
            self._writer.is_open = False

    def add(self, png: bytes, file: ImageFile, sha256: str) -> None:
        """Adds an image. `sha256` is that of the decoded pixels of the source."""
        row = {
            "style": file.style, "subject": file.subject, "source": file.source, "sha256": sha256,
            "image": {"bytes": png, "path": None},
        }  # fmt: skip
        if WEIGHTS in self.schema.names:
            styles = range(self.styles)
            row[WEIGHTS] = list(file.weights or (float(style == file.style) for style in styles))
        self._rows.append(row)
        if len(self._rows) == ROWS_IN_GROUP:
            self._write_group()

    def _write_group(self) -> None:
        if self._writer is None:  # a split without images has no file
            path = self.directory / f"{self.split}-00000-of-00001.parquet"
            self._writer = pq.ParquetWriter(path, self.schema, compression="zstd")
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self.schema))
        self._rows.clear()


def dataset_card(name: str, size: tuple[int, int], counts: Mapping[str, int], report: Report) -> str:
    """Returns README.md: YAML that names the shards of each split with images, then a description.

    `size` is height and width; `counts` are the images by split.
    """
    files = "".join(
        f"  - split: {split}\n    path: data/{split}-*.parquet\n" for split, count in counts.items() if count
    )
    return (
        "---\n"
        f"pretty_name: {json.dumps(name, ensure_ascii=False)}\n"
        "license: other\n"
        "tags:\n- brushwork\n- style\n"
        f"configs:\n- config_name: default\n  data_files:\n{files}"
        "---\n\n"
        f"# {markdown_cell(name)}\n\n"
        f"{report.packed} images of {size[1]} x {size[0]} pixels, packed by brushwork.\n\n"
        f"{balance_table(report.balance)}\n\n"
        "Columns: `image` (PNG), `style` (class label, -1 for none), `subject` (the same in every style\n"
        "that shows it; a subject lies in one split only), `source` (path in the packed folder), `sha256`\n"
        "(of the source's decoded pixels), and `weights` of all styles if there are images of several.\n"
        "`report.md` says what was left out and why; `ATTRIBUTION.md`, where there is one, says who made\n"
        "the images and under which licence.\n"
    )
