"""From a folder of styles to a curated Parquet data set: whole or not at all, and with a report."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from .curation import NEAR_BITS, Duplicates, Print, Problem, Register, near_duplicates, print_of
from .errors import DataError
from .files import check_replaceable, staged_folder
from .folder import UNLABELLED, Found, Scan, scan_folder
from .images import WHITE, Colour, Fit, fit_image, png_bytes, read_image
from .parquet import Row, ShardWriter, arrow_schema, dataset_card
from .progress import Progress
from .report import Report, balance_table
from .sheet import NO_LABEL, ContactSheet
from .split import SPLITS, TEST_FRACTION, split_of

FORMAT = "brushwork data set 1"
WINDOW = 256


@dataclass(frozen=True, kw_only=True)
class PackConfig:
    """How pictures become a data set."""

    resolution: int
    """Side of the packed pictures in pixels: a power of two, at least 8."""
    fit: Fit = "crop"
    """What happens to pictures that are not square: crop, pad or squash."""
    background: Colour = WHITE
    """The colour behind transparent pictures and in the bars of `pad`, as R G B of 0 to 255."""
    test_fraction: float = TEST_FRACTION
    """Share of the subjects that training never sees, chosen by the hash of the subject's name."""
    min_size: int | None = None
    """Pictures with a shorter side than this are left out; by default a quarter of the resolution."""
    duplicates: Duplicates = "drop"
    """Whether exact repeats within a style are dropped or kept; they are reported either way."""
    near_bits: int = NEAR_BITS
    """Pictures of one style whose 64-bit hashes differ by at most this are reported; -1 turns it off."""
    strict: bool = False
    """Fail, after writing the report, where anything is wrong with any picture."""

    def __post_init__(self) -> None:
        if self.resolution < 8 or self.resolution & (self.resolution - 1):
            near = max(8, 2 ** round(np.log2(max(8, self.resolution))))
            raise DataError(f"The resolution {self.resolution} is no power of two from 8 up: try {near}.")
        if len(self.background) != 3 or not all(0 <= level <= 255 for level in self.background):
            raise DataError(f"The background {self.background} is no colour: give three numbers of 0 to 255.")
        if not -1 <= self.near_bits <= 32:
            raise DataError(f"near_bits {self.near_bits} is outside -1 to 32: choose e.g. {NEAR_BITS}.")
        if self.min_size is not None and self.min_size < 1:
            raise DataError(
                f"min_size {self.min_size} is below 1: choose the shortest side to accept, in pixels."
            )
        split_of("", self.test_fraction)


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A finished data set and its account; `fresh` is False where an identical one was already there."""

    path: Path
    report: Report
    fingerprint: str
    fresh: bool


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    found: Found
    pixels: np.ndarray
    png: bytes
    print: Print


def pack(folder: Path, out: Path, config: PackConfig) -> Packed:
    """Packs the pictures below `folder` into the data set `out`.

    Exact repeats within a style are dropped by default, unreadable and too small files are left out; near
    repeats, doubtful labels and leaks between the splits stay. All of it is written to `report.md` and
    `report.json`. An identical call returns at once; any other replaces the data set by the whole new one.

    Raises:
        DataError: unusable folder, nothing readable in a style, `out` is something else, a full disk, or any
            problem where `config.strict`, with the report written beside `out`.
    """
    scan = scan_folder(folder)
    recipe = _recipe(scan, config)
    if (done := _finished(out, recipe)) is not None:
        return done
    check_replaceable(out, marker="dataset.json")
    try:
        with staged_folder(out) as stage:
            report, fingerprint = _build(scan, stage, config, recipe, name=out.resolve().name)
            if config.strict and report.problems:
                _refuse(out, report)
    except OSError as error:
        cause = error.strerror or str(error)
        raise DataError(
            f"Packing into '{out}' failed ({cause}); nothing was changed: mend that and repeat."
        ) from error
    return Packed(path=out, report=report, fingerprint=fingerprint, fresh=True)


def _refuse(out: Path, report: Report) -> None:
    path = out.parent / f"{out.name}.report.md"
    path.write_text(report.as_markdown())
    path.with_suffix(".json").write_text(json.dumps(report.as_dict(), indent=1))
    raise DataError(f"--strict allows no problem, found {len(report.problems)}: they are listed in '{path}'.")


# The same again


def _recipe(scan: Scan, config: PackConfig) -> str:
    """Identifies the input by settings, names, sizes and times, without reading any picture."""
    digest = hashlib.sha256(f"{FORMAT} {config} {scan.style_names} {scan.ignored}".encode())
    for found in scan.found:
        stat = found.path.stat()
        digest.update(f"{found.source}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _finished(out: Path, recipe: str) -> Packed | None:
    try:
        about = json.loads((out / "dataset.json").read_text())
        told = json.loads((out / "report.json").read_text())
    except (OSError, json.JSONDecodeError):
        return None
    if about.get("format") != FORMAT or about.get("recipe") != recipe:
        return None
    return Packed(path=out, report=Report.from_dict(told), fingerprint=about["fingerprint"], fresh=False)


# Building


def _build(scan: Scan, stage: Path, config: PackConfig, recipe: str, *, name: str) -> tuple[Report, str]:
    (stage / "data").mkdir()
    schema = arrow_schema(scan.style_names)
    register = Register(duplicates=config.duplicates)
    sheet = ContactSheet(scan, config.resolution)
    content: list[str] = []
    with ExitStack() as stack:
        writers = {
            split: stack.enter_context(ShardWriter(directory=stage / "data", split=split, schema=schema))
            for split in SPLITS
        }
        for made in _prepare_all(scan.found, config):
            if isinstance(made, Problem):
                register.problems.append(made)
                continue
            if register.admit(made.print):
                found, split, sha256 = made.found, made.print.split, made.print.sha256
                row = Row(
                    png=made.png, style=found.style, subject=found.subject, source=found.source, sha256=sha256
                )
                writers[split].add(row)
                sheet.offer(made.found.source, made.pixels)
                pixels = hashlib.sha256(made.pixels.tobytes()).hexdigest()
                content.append(f"{pixels} {found.style} {found.subject} {split}")
    report = _report(scan, register, config)
    fingerprint = _fingerprint(content, scan.style_names, config.resolution)
    _write_papers(scan, stage, config, report, {"fingerprint": fingerprint, "recipe": recipe, "name": name})
    sheet.draw().save(stage / "contact_sheet.png")
    return report, fingerprint


def _prepare_all(found: Sequence[Found], config: PackConfig) -> Iterator[_Prepared | Problem]:
    """Decodes in threads (Pillow lets go of the interpreter), in order, holding one window in memory."""
    with (
        ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool,
        Progress(total=len(found), unit="img") as bar,
    ):
        for start in range(0, len(found), WINDOW):
            window = found[start : start + WINDOW]
            for made in pool.map(lambda one: _prepare(one, config), window):
                yield made
                bar.update()


def _prepare(found: Found, config: PackConfig) -> _Prepared | Problem:
    try:
        array = read_image(found.path, background=config.background)
    except DataError as error:
        # Only the reason inside the brackets is news beside the file's own column.
        return Problem(kind="unreadable", source=found.source, detail=_inside(str(error)))
    height, width = array.shape[:2]
    least = config.min_size or config.resolution // 4
    if min(height, width) < least:
        return Problem(kind="too small", source=found.source, detail=f"{width} x {height}, minimum {least}")
    pixels = fit_image(array, config.resolution, config.fit, config.background)
    sha256 = hashlib.sha256(f"{height}x{width}:".encode() + array.tobytes()).hexdigest()
    split = split_of(found.subject, config.test_fraction)
    prints = print_of(array, source=found.source, style=found.style, split=split, sha256=sha256)
    return _Prepared(found=found, pixels=pixels, png=png_bytes(pixels), print=prints)


def _inside(sentence: str) -> str:
    start, end = sentence.find("picture ("), sentence.rfind(")")
    return sentence[start + len("picture (") : end] if start >= 0 else sentence


def _fingerprint(content: list[str], style_names: Sequence[str], resolution: int) -> str:
    lines = [f"{resolution}", *style_names, *sorted(content)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# Papers


def _report(scan: Scan, register: Register, config: PackConfig) -> Report:
    near = near_duplicates(register.prints, bits=config.near_bits)
    labels = dict(enumerate(scan.style_names))
    if any(found.style == UNLABELLED for found in scan.found):
        labels[UNLABELLED] = NO_LABEL
    balance: dict[str, dict[str, int]] = {name: dict.fromkeys(SPLITS, 0) for name in labels.values()}
    for one in register.prints:
        balance[labels[one.style]][one.split] += 1
    problems = (*register.problems, *near)
    empty = [name for name, splits in balance.items() if not any(splits.values())]
    if empty:
        first = next(p for p in problems if p.kind in ("unreadable", "too small"))
        raise DataError(
            f"No picture of '{empty[0]}' can be used, e.g. '{first.source}' ({first.detail}): replace them."
        )
    return Report(
        found=len(scan.found),
        packed=len(register.prints),
        balance=balance,
        problems=problems,
        notes=tuple(_notes(balance, config)),
        ignored=scan.ignored,
    )


def _notes(balance: dict[str, dict[str, int]], config: PackConfig) -> Iterator[str]:
    for split in SPLITS if config.test_fraction else SPLITS[:1]:
        missing = [name for name, counts in balance.items() if not counts[split]]
        if missing:
            names = ", ".join(missing)
            yield f"No picture of {names} fell into the {split} split; more subjects would mend that."
    sizes = {name: sum(counts.values()) for name, counts in balance.items()}
    most, least = max(sizes, key=sizes.__getitem__), min(sizes, key=sizes.__getitem__)
    if sizes[most] > 4 * sizes[least]:
        yield f"'{most}' has {sizes[most]} pictures, '{least}' only {sizes[least]}: try balanced batches."


def _write_papers(
    scan: Scan, stage: Path, config: PackConfig, report: Report, identity: dict[str, str]
) -> None:
    counts = {split: sum(splits[split] for splits in report.balance.values()) for split in SPLITS}
    about = identity | {
        "format": FORMAT,
        "styles": list(scan.style_names),
        "counts": counts,
        "balance": report.balance,
        **{key: value for key, value in asdict(config).items() if key != "strict"},
    }
    (stage / "dataset.json").write_text(json.dumps(about, indent=1))
    (stage / "report.json").write_text(json.dumps(report.as_dict(), indent=1))
    (stage / "report.md").write_text(report.as_markdown())
    size = f"{config.resolution} x {config.resolution}"
    styles = len(scan.style_names)
    description = f"{report.packed} pictures of {size} pixels in {styles} styles, packed by brushwork."
    card = dataset_card(identity["name"], description, counts, balance_table(report.balance))
    (stage / "README.md").write_text(card)
    if (scan.root / "ATTRIBUTION.md").is_file():
        shutil.copyfile(scan.root / "ATTRIBUTION.md", stage / "ATTRIBUTION.md")
