"""Packs a folder of styles into a curated Parquet data set, whole or not at all, with a report."""

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from ..dataset import DATASET_JSON, FORMAT, open_shards
from ..errors import DataError
from ..files import read_json, staged_folder, write_file, write_json
from ..folder import UNLABELLED, Scan, scan_folder
from ..names import NO_LABEL, visible
from ..split import SPLITS
from .duplicates import DuplicateFilter, ImageHash, Problem, case_problems, near_duplicates
from .prepare import PackConfig, prepare_all
from .report import Balance, ContactSheet, Report, balance_table, notes, refuse_splits
from .shards import ShardWriter, arrow_schema, dataset_card

READER = 3
"""Counts the versions of this code that make other images of the same files."""
CONTENT = (
    DATASET_JSON, "report.json", "report.md", "README.md", "ATTRIBUTION.md", "contact_sheet.png", "data",
    *(f"data/{split}-*-of-*.parquet" for split in SPLITS),
)  # fmt: skip
"""Patterns of the relative paths in a packed data set."""


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A finished data set and its report; `fresh` is False if an identical one was already there."""

    path: Path
    report: Report
    fingerprint: str
    fresh: bool


def pack(folder: Path, out: Path, config: PackConfig) -> Packed:
    """Packs the images below `folder` into the data set `out`.

    Leaves out unreadable and too small files, and exact duplicates within a style. Keeps near-duplicates,
    doubtful labels and leaks between the splits. Lists all of these in `report.md` and `report.json`. Returns
    at once if `out` is already the result of an identical call; otherwise replaces it when the new data set
    is whole.

    Raises:
        DataError: `folder` is unusable; nothing is readable in a style; `out` lies inside `folder`, holds
            anything that `pack` did not write, or is being packed; or the disk is full.
    """
    if out.resolve().is_relative_to(folder.resolve()):
        raise DataError(
            f"The data set '{out}' would lie inside '{folder}', its source: name a place outside."
        )
    scan = scan_folder(folder)
    refuse_splits(scan)
    try:
        recipe = _recipe(scan, config)
        if (finished := _finished(out, recipe)) is not None:
            return finished
        _check_replaceable(out)
        with staged_folder(out) as stage:
            report, fingerprint = _build(scan, stage, config)
            identity = {"fingerprint": fingerprint, "recipe": recipe, "name": visible(out.resolve().name)}
            _write_texts(scan, stage, config, report, identity)
            _check_replaceable(out)  # again, since building takes long
    except OSError as error:
        cause = error.strerror or str(error)
        raise DataError(
            f"Packing into '{out}' failed ({cause}); nothing was changed: mend that and repeat."
        ) from error
    return Packed(path=out, report=report, fingerprint=fingerprint, fresh=True)


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


def _recipe(scan: Scan, config: PackConfig) -> str:
    """Hashes the settings and the names, sizes and times of the files, without reading any image."""
    left_out = (scan.ignored, scan.faults)
    digest = hashlib.sha256(f"{FORMAT} {READER} {config} {scan.style_names} {left_out}".encode())
    for file in scan.files:
        stat = file.path.stat()
        digest.update(f"{file.source}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _finished(out: Path, recipe: str) -> Packed | None:
    """The data set at `out` if it is whole and of this recipe."""
    try:
        about, _ = open_shards(out, "all")
        report = read_json(out / "report.json", Report)
    except (DataError, OSError, ValueError):
        return None
    if about.recipe != recipe:
        return None
    return Packed(path=out, report=report, fingerprint=about.fingerprint, fresh=False)


# Building


def _build(scan: Scan, stage: Path, config: PackConfig) -> tuple[Report, str]:
    """Writes the shards and the contact sheet; returns the report and the fingerprint of the content."""
    (stage / "data").mkdir()
    schema = arrow_schema(scan.style_names)
    chosen, sheet = DuplicateFilter(), ContactSheet(scan)
    chosen.problems += (Problem(kind="inaccessible", source=path, detail=why) for path, why in scan.faults)
    chosen.problems += case_problems(scan.files)
    unusable: dict[int, Problem] = {}
    cropped: dict[str, float] = {}
    content: list[str] = []
    with ExitStack() as stack:
        writers = {
            split: stack.enter_context(ShardWriter(directory=stage / "data", split=split, schema=schema))
            for split in SPLITS
        }
        for file, prepared in zip(scan.files, prepare_all(scan.files, config), strict=True):
            if isinstance(prepared, Problem):
                chosen.problems.append(prepared)
                unusable.setdefault(file.style, prepared)
                continue
            chosen.problems += prepared.problems
            if chosen.accepts(prepared.hash):
                split, sha256 = prepared.hash.split, prepared.hash.sha256
                writers[split].add(
                    prepared.png, style=file.style, subject=file.subject, source=file.source, sha256=sha256
                )
                sheet.offer(file.source, prepared.pixels)
                cropped[file.source] = prepared.cropped
                pixels = hashlib.sha256(prepared.pixels.tobytes()).hexdigest()
                content.append(f"{pixels} {file.style} {file.subject} {split}")
    balance = _balance(scan, chosen.hashes, unusable)
    write_file(stage / "contact_sheet.png", sheet.png(config.resolution))
    lines = [f"{config.resolution}", *scan.style_names, *sorted(content)]
    report = Report(
        found=len(scan.files),
        packed=len(chosen.hashes),
        balance=balance,
        problems=(*chosen.problems, *near_duplicates(chosen.hashes)),
        notes=tuple(notes(scan, balance, cropped, has_test_split=config.test_fraction > 0)),
        ignored=scan.ignored,
    )
    return report, hashlib.sha256("\n".join(lines).encode()).hexdigest()


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
            first = unusable[style]
            raise DataError(
                f"No picture of '{name}' can be used, e.g. '{first.source}' ({first.detail}): replace them."
            )
    return balance


def _write_texts(
    scan: Scan, stage: Path, config: PackConfig, report: Report, identity: dict[str, str]
) -> None:
    """Writes everything but the images; `identity` holds the name, the fingerprint and the recipe."""
    counts = {split: sum(splits[split] for splits in report.balance.values()) for split in SPLITS}
    about = {
        **identity, "format": FORMAT, "styles": scan.style_names, "counts": counts, "balance": report.balance,
        **asdict(config),
    }  # fmt: skip
    write_json(stage / DATASET_JSON, about)
    write_json(stage / "report.json", report.as_dict())
    write_file(stage / "report.md", report.as_markdown())
    description = (
        f"{report.packed} pictures of {config.resolution} x {config.resolution} pixels in "
        f"{len(scan.style_names)} styles, packed by brushwork."
    )
    card = dataset_card(identity["name"], description, counts, balance_table(report.balance))
    write_file(stage / "README.md", card)
    if (scan.root / "ATTRIBUTION.md").is_file():
        shutil.copyfile(scan.root / "ATTRIBUTION.md", stage / "ATTRIBUTION.md")
