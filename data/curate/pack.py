"""Packs a folder of styles into a curated Parquet data set, whole or not at all, with a report."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import numpy as np

from ..dataset import DATASET_JSON, FORMAT
from ..errors import DataError
from ..files import staged_folder, write_file, write_json
from ..folder import UNLABELLED, ImageFile, Scan, scan_folder
from ..images import (
    WHITE,
    Colour,
    Fit,
    UnreadableError,
    decode,
    fit_image,
    has_frames,
    on_white,
    open_image,
    png_bytes,
    upright_size,
)
from ..names import NO_LABEL, visible
from ..progress import Progress
from ..shape import (
    MOST,
    SQUARE,
    Base,
    base_of,
    cut_share,
    median_aspect,
    nearest_base,
    parse_aspect,
    size_at,
)
from ..split import SPLITS, TEST_FRACTION, split_of
from .duplicates import DuplicateFilter, ImageHash, Problem, hash_image, near_duplicates
from .report import Balance, ContactSheet, Report, notes, refuse_splits
from .shards import ShardWriter, arrow_schema, dataset_card
from .table import scan_table

WINDOW = 256
"""Prepared images that are held in memory."""
CUT, NOTED = 0.34, 0.1
"""A crop is noted that cuts off more than a third (images of 3:2 lose as much in a square) of more than a
tenth of the images."""
CONTENT = (
    DATASET_JSON, "report.json", "report.md", "README.md", "ATTRIBUTION.md", "contact_sheet.png", "data",
    *(f"data/{split}-*-of-*.parquet" for split in SPLITS),
)  # fmt: skip
"""Patterns of the relative paths in a packed data set."""


@dataclass(frozen=True, kw_only=True)
class PackConfig:
    """How a folder of images becomes a data set."""

    resolution: int
    """The shorter side of the packed images in pixels: a power of two, at least 8."""
    aspect: str = "1:1"
    """Width to height of the packed images, such as 3:2; auto: the median of the images. The longer side is
    rounded to a quarter of the resolution."""
    fit: Fit = "crop"
    """What happens to images of another aspect: crop, pad or squash."""
    alpha: Literal["flatten", "keep"] = "flatten"
    """Transparency: flattened on the background, or kept as a fourth channel."""
    background: Colour = WHITE
    """The colour behind transparent images and in the bars of `pad`, as R G B of 0 to 255."""
    test_fraction: float = TEST_FRACTION
    """Share of the subjects that training never sees, chosen by the hash of the subject's name."""
    min_size: int | None = None
    """Images with a shorter side than this are left out; by default a quarter of the resolution."""

    def __post_init__(self) -> None:
        if self.resolution < 8 or self.resolution & (self.resolution - 1):
            near = max(8, 2 ** round(np.log2(max(8, self.resolution))))
            raise DataError(f"The resolution {self.resolution} is no power of two from 8 up: try {near}.")
        if self.aspect != "auto":
            parse_aspect(self.aspect)
        if not all(0 <= level <= 255 for level in self.background):
            raise DataError(f"The background {self.background} is no colour: give three numbers of 0 to 255.")
        if self.min_size is not None and self.min_size < 1:
            raise DataError(f"min_size {self.min_size} is below 1: choose the shortest side, in pixels.")
        split_of("", self.test_fraction)


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A finished data set and its report."""

    path: Path
    report: Report
    fingerprint: str
    size: tuple[int, int]
    """Height and width of the images."""


def pack(folder: Path, out: Path, config: PackConfig, labels: Path | None = None) -> Packed:
    """Packs the images below `folder` into the data set `out`, with the labels of its subfolders, or of a
    table (`scan_table`).

    Leaves out unreadable and too small files, and exact duplicates within a style. Keeps near-duplicates,
    doubtful labels and leaks between the splits. Lists all of these in `report.md` and `report.json`.
    Replaces an earlier data set when the new one is whole. Raises DataError if `folder` is unusable, a style
    has no readable image, `out` lies inside `folder`, holds anything that `pack` did not write or is being
    packed, or the disk is full.
    """
    if out.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"The data set '{out}' would lie inside '{folder}', its source: name another place.")
    scan = scan_folder(folder) if labels is None else scan_table(folder, labels)
    if labels is None:
        refuse_splits(scan)
    try:
        _check_replaceable(out)
        with staged_folder(out) as stage:
            base = _base_for(scan.files, config.aspect)
            report, fingerprint = _build(scan, stage, config, base)
            size = size_at(config.resolution, base)
            packed = Packed(path=out, report=report, fingerprint=fingerprint, size=size)
            _write_texts(scan, stage, config, packed)
            _check_replaceable(out)  # again, since packing can take hours
    except OSError as error:
        cause = error.strerror or str(error)
        raise DataError(f"Packing into '{out}' failed ({cause}): nothing was changed.") from error
    return packed


def _check_replaceable(out: Path) -> None:
    """Raises DataError if `out` is a file, or a folder with anything that `pack` does not write."""
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / DATASET_JSON).exists()):
        raise DataError(f"'{out}' exists and is no packed data set: name another place, or remove it.")
    for entry in sorted(path.relative_to(out).as_posix() for path in out.rglob("*")):
        if not any(fnmatchcase(entry, pattern) for pattern in CONTENT):
            raise DataError(
                f"'{out}' holds '{visible(entry)}', which is no part of a packed data set and would be lost: "
                "move that away, or name another place."
            )


def _base_for(files: Sequence[ImageFile], aspect: str) -> Base:
    """The base of a named aspect, or of the median of the files that can be read."""
    if aspect != "auto":
        return nearest_base(parse_aspect(aspect))
    sizes: list[tuple[int, int]] = []
    for file in Progress(files, desc="sizes", unit="img", delay=2, leave=False):
        with suppress(UnreadableError), open_image(file.path) as image:
            sizes.append(upright_size(image))
    return nearest_base(median_aspect(sizes))


def _build(scan: Scan, stage: Path, config: PackConfig, base: Base) -> tuple[Report, str]:
    """Writes the shards and the contact sheet; returns the report and the fingerprint of the content."""
    (stage / "data").mkdir()
    schema = arrow_schema(scan.style_names, blends=any(file.weights for file in scan.files))
    chosen, sheet = DuplicateFilter(), ContactSheet(scan)
    chosen.problems += (Problem(kind="inaccessible", source=path, detail=why) for path, why in scan.faults)
    unusable: dict[int, Problem] = {}
    content: list[str] = []
    transparent, cut = set[int](), 0
    with ExitStack() as stack:
        writers = {
            split: stack.enter_context(
                ShardWriter(
                    directory=stage / "data", split=split, schema=schema, styles=len(scan.style_names)
                )
            )
            for split in SPLITS
        }
        for file, prepared in zip(scan.files, prepare_all(scan.files, config, base), strict=True):
            if isinstance(prepared, Problem):
                chosen.problems.append(prepared)
                unusable.setdefault(file.style, prepared)
                continue
            if prepared.animated:
                problem = Problem(kind="animated", source=file.source, detail="its first frame")
                chosen.problems.append(problem)
            if chosen.accepts(prepared.hash):
                split, label = prepared.hash.split, file.weights or file.style
                writers[split].add(prepared.png, file, prepared.hash.sha256)
                sheet.offer(file.source, prepared.pixels)
                cut += prepared.cut > CUT
                if config.alpha == "keep" and prepared.pixels[..., 3].min() < 255:
                    transparent.add(file.style)
                pixels = hashlib.sha256(prepared.pixels.tobytes()).hexdigest()
                content.append(f"{pixels} {label} {file.subject} {split}")
    balance = _balance(scan, chosen.hashes, unusable)
    write_file(stage / "contact_sheet.png", sheet.png(config.resolution))
    height, width = size_at(config.resolution, base)
    shape = f"{height}" if height == width else f"{width}x{height}"
    lines = [shape, *scan.style_names, *sorted(content)]
    report = Report(
        found=len(scan.files),
        packed=len(chosen.hashes),
        balance=balance,
        problems=(*chosen.problems, *near_duplicates(chosen.hashes)),
        notes=(
            *notes(scan, balance),
            *_notes_on_crop(config, base, cut, len(chosen.hashes)),
            *_notes_on_alpha(scan, config, transparent),
        ),
        ignored=scan.ignored,
    )
    return report, hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _notes_on_crop(config: PackConfig, base: Base, cut: int, packed: int) -> Iterator[str]:
    """Yields a sentence if many images lose much of their area."""
    if cut > NOTED * packed:
        height, width = size_at(config.resolution, base)
        remedy = "try --aspect auto"
        if config.aspect == "auto":
            longest = max(base) == MOST * min(base)
            remedy = "cut longer ones into parts" if longest else "pack tall and wide ones apart"
        yield (
            f"{cut} of {packed} images lose more than a third of their area by the crop to {width} x "
            f"{height} px: {remedy}, or add --fit pad."
        )


def _notes_on_alpha(scan: Scan, config: PackConfig, transparent: set[int]) -> Iterator[str]:
    """Yields a sentence if transparency is kept where it serves nothing, or tells styles apart."""
    opaque = [name for style, name in enumerate(scan.style_names) if style not in transparent]
    if config.alpha == "keep" and not transparent:
        yield "No image is transparent: pack without --alpha keep, which costs time and teaches nothing."
    elif config.alpha == "keep" and opaque:
        yield (
            f"No image of {' or '.join(opaque)} is transparent, images of other styles are: the networks "
            "will take transparency for a part of the style; cut motifs out in every style, or in none."
        )


def _balance(scan: Scan, hashes: Sequence[ImageHash], unusable: dict[int, Problem]) -> Balance:
    """Images by style and split. Raises DataError if a style has none; `unusable` names one of its files."""
    labels = dict(enumerate(scan.style_names))
    if any(file.style == UNLABELLED for file in scan.files):
        labels[UNLABELLED] = NO_LABEL
    balance: dict[str, dict[str, int]] = {name: dict.fromkeys(SPLITS, 0) for name in labels.values()}
    for one in hashes:
        balance[labels[one.style]][one.split] += 1
    for style, name in labels.items():
        if not any(balance[name].values()):
            if style not in unusable:
                raise DataError(
                    f"No image is mainly '{name}': add a row in which it weighs most, or leave it out."
                )
            first = unusable[style]
            raise DataError(f"No image of '{name}' can be used, as '{first.source}' ({first.detail}).")
    return balance


def _write_texts(scan: Scan, stage: Path, config: PackConfig, packed: Packed) -> None:
    """Writes everything but the images."""
    report, name = packed.report, visible(packed.path.resolve().name)
    counts = {split: sum(splits[split] for splits in report.balance.values()) for split in SPLITS}
    about = {
        "name": name, "fingerprint": packed.fingerprint, "format": FORMAT, "styles": scan.style_names,
        "counts": counts, "balance": report.balance, "base": base_of(*packed.size),
        "channels": 4 if config.alpha == "keep" else 3, **asdict(config),
    }  # fmt: skip
    write_json(stage / DATASET_JSON, about)
    write_json(stage / "report.json", report.as_dict())
    write_file(stage / "report.md", report.as_markdown())
    write_file(stage / "README.md", dataset_card(name, packed.size, counts, report))
    if (scan.root / "ATTRIBUTION.md").is_file():
        shutil.copyfile(scan.root / "ATTRIBUTION.md", stage / "ATTRIBUTION.md")


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An image as it is packed."""

    pixels: np.ndarray
    """uint8 (H, W, C)."""
    png: bytes
    hash: ImageHash
    animated: bool
    cut: float
    """Share of the image's area that was cut off."""


def prepare_all(
    files: Sequence[ImageFile], config: PackConfig, base: Base = SQUARE
) -> Iterator[Prepared | Problem]:
    """Yields each image in order, or why it is left out. Decodes in threads, with one window in memory."""
    with (
        ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool,
        Progress(total=len(files), unit="img") as bar,
    ):
        for start in range(0, len(files), WINDOW):
            for result in pool.map(lambda file: _prepare(file, config, base), files[start : start + WINDOW]):
                yield result
                bar.update()


def _prepare(file: ImageFile, config: PackConfig, base: Base) -> Prepared | Problem:
    keep = config.alpha == "keep"
    try:
        with open_image(file.path) as image:
            animated = has_frames(image)
            original = decode(image, file.path, background=None if keep else config.background)
    except UnreadableError as error:
        return Problem(kind="unreadable", source=file.source, detail=error.reason)
    height, width = original.shape[:2]
    least = config.min_size or config.resolution // 4
    if min(height, width) < least:
        return Problem(kind="too small", source=file.source, detail=f"{width} x {height}, minimum {least}")
    pixels = fit_image(original, size_at(config.resolution, base), config.fit, config.background)
    digest = hashlib.sha256(f"{height}x{width}:".encode())
    digest.update(original.ravel().data)
    split, sha256 = split_of(file.subject, config.test_fraction), digest.hexdigest()
    return Prepared(
        pixels=pixels,
        png=png_bytes(pixels),
        hash=hash_image(on_white(original), source=file.source, style=file.style, split=split, sha256=sha256),
        animated=animated,
        cut=cut_share(height, width, base) if config.fit == "crop" else 0.0,
    )
