"""Parquet shards and the card by which `datasets.load_dataset(FOLDER)` reads them, here or from the Hub."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .about import About, damaged, describe
from .errors import DataError
from .names import markdown_cell
from .split import AnySplit, Split, parts_of

SHARD_BYTES = 256 * 2**20
ROWS_IN_GROUP = 256


@dataclass(frozen=True, kw_only=True)
class Row:
    """One picture as it is stored: PNG bytes, style index or -1, subject, path in the source, SHA-256."""

    png: bytes
    style: int
    subject: str
    source: str
    sha256: str


def arrow_schema(style_names: Sequence[str]) -> pa.Schema:
    """The columns, with the features of `datasets` (image, class names) in the schema's metadata."""
    # `datasets` takes a second to import, which the command line's --help should not pay.
    from datasets import ClassLabel, Features, Image, Value

    text = Value("string")
    style = ClassLabel(names=list(style_names)) if style_names else Value("int64")
    features = Features({"image": Image(), "style": style, "subject": text, "source": text, "sha256": text})
    return features.arrow_schema


@dataclass(kw_only=True)
class ShardWriter:
    """Writes the rows of one split to `directory/<split>-00000-of-0000N.parquet`; a context manager."""

    directory: Path
    split: Split
    schema: pa.Schema
    rows: list[Row] = field(default_factory=list)
    _shards: list[Path] = field(default_factory=list)
    _bytes: int = 0
    _writer: pq.ParquetWriter | None = None

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self._flush()
            self._close()
            self._name()
        elif self._writer is not None:
            # The folder is thrown away next; closing could fail again (a full disk) and hide the cause.
            self._writer.is_open = False

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self._bytes += len(row.png)
        if len(self.rows) == ROWS_IN_GROUP:
            self._flush()
        if self._bytes > SHARD_BYTES:
            self._flush()
            self._close()

    def _flush(self) -> None:
        if not self.rows:
            return
        writer = self._writer or self._next_shard()
        columns = {
            "image": [{"bytes": row.png, "path": None} for row in self.rows],
            "style": [row.style for row in self.rows],
            "subject": [row.subject for row in self.rows],
            "source": [row.source for row in self.rows],
            "sha256": [row.sha256 for row in self.rows],
        }
        writer.write_table(pa.table(columns, schema=self.schema))
        self.rows.clear()

    def _next_shard(self) -> pq.ParquetWriter:
        self._shards.append(self.directory / f"{self.split}-{len(self._shards):05}.parquet")
        self._writer = pq.ParquetWriter(self._shards[-1], self.schema, compression="zstd")
        return self._writer

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer, self._bytes = None, 0

    def _name(self) -> None:
        for i, shard in enumerate(self._shards):
            shard.rename(self.directory / f"{self.split}-{i:05}-of-{len(self._shards):05}.parquet")


# Reading

COLUMNS = {
    "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
    "style": pa.int64(),
    "subject": pa.string(),
}
"""What every shard must have."""


def shards(dataset: Path, split: Split) -> list[Path]:
    return sorted((dataset / "data").glob(f"{split}-*-of-*.parquet"))


def open_shards(path: Path, split: AnySplit) -> tuple[About, list[pq.ParquetFile]]:
    """A data set and the shards of a split, which hold the columns and as many rows as `dataset.json` says.

    Raises:
        DataError: no such data set, a damaged one, or nothing in this split.
    """
    splits, about = parts_of(split), describe(path)
    due = sum(about.counts[one] for one in splits)
    if not due:
        raise DataError(f"The {split} split of '{path}' is empty: pack it with another --test-fraction.")
    try:
        tables = [pq.ParquetFile(file) for one in splits for file in shards(path, one)]
    except (OSError, pa.ArrowException) as error:
        raise damaged(path, error) from error
    for table in tables:
        _check_columns(path, table.schema_arrow)
    rows = sum(table.metadata.num_rows for table in tables)
    if rows != due:
        raise damaged(path, f"it holds {rows} of the {due} pictures of its {split} split")
    return about, tables


def _check_columns(path: Path, schema: pa.Schema) -> None:
    for name, kind in COLUMNS.items():
        if name not in schema.names:
            raise damaged(path, f"it has no column {name}")
        if schema.field(name).type != kind:
            raise damaged(path, f"its column {name} holds {schema.field(name).type}")


# Papers


def dataset_card(name: str, description: str, splits: Mapping[str, int], table: str) -> str:
    """README.md: YAML that names the shards of each non-empty split, then what is inside."""
    files = "".join(
        f"  - split: {split}\n    path: data/{split}-*.parquet\n" for split, count in splits.items() if count
    )
    return (
        "---\n"
        f"pretty_name: {json.dumps(name, ensure_ascii=False)}\n"
        "license: other\n"
        "tags:\n- brushwork\n- style\n"
        f"configs:\n- config_name: default\n  data_files:\n{files}"
        "---\n\n"
        f"# {markdown_cell(name)}\n\n{description}\n\n{table}\n\n"
        "Columns: `image` (PNG), `style` (class label, -1 for none), `subject` (the same in every style\n"
        "that shows it; a subject lies in one split only), `source` (path in the packed folder), `sha256`\n"
        "(of the source's decoded pixels). `report.md` says what was left out and why; `ATTRIBUTION.md`,\n"
        "where there is one, says who made the pictures and under which licence.\n"
    )
