"""From a folder of styles to a curated Parquet data set: whole or not at all, and with a report."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from ..about import ABOUT_FILE, FORMAT
from ..errors import DataError
from ..files import check_replaceable, read_json, staged_folder, write_file, write_json
from ..folder import UNLABELLED, Scan, scan_folder
from ..images import png_bytes
from ..names import NO_LABEL, visible
from ..parquet import Row, ShardWriter, arrow_schema, dataset_card, open_shards
from ..split import SPLITS
from .duplicates import Problem, Register, case_twins, near_duplicates
from .notes import Tally, notes, refuse_splits
from .prepare import PackConfig, Prepared, prepare_all
from .report import Report, balance_table
from .sheet import ContactSheet

READER = 2
"""Counts the changes by which the same files are packed into other pictures."""


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A finished data set and its account; `fresh` is False where an identical one was already there."""

    path: Path
    report: Report
    fingerprint: str
    fresh: bool


def pack(folder: Path, out: Path, config: PackConfig) -> Packed:
    """Packs the pictures below `folder` into the data set `out`.

    Exact repeats within a style are dropped by default, unreadable and too small files are left out; near
    repeats, doubtful labels and leaks between the splits stay. All of it is written to `report.md` and
    `report.json`. An identical call returns at once; any other replaces the data set by the whole new one.

    Raises:
        DataError: unusable folder, nothing readable in a style, `out` is something else or is being packed, a
            full disk, or any problem where `config.strict`, with the report written beside `out`.
    """
    scan = scan_folder(folder)
    refuse_splits(scan)
    try:
        recipe = _recipe(scan, config)
        if (done := _finished(out, recipe)) is not None:
            return done
        check_replaceable(out, marker=ABOUT_FILE)
        with staged_folder(out) as stage:
            report, fingerprint = _build(scan, stage, config, recipe, name=visible(out.resolve().name))
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
    write_file(path, report.as_markdown())
    write_json(path.with_suffix(".json"), report.as_dict())
    raise DataError(f"--strict allows no problem, found {len(report.problems)}: they are listed in '{path}'.")


# The same again


def _recipe(scan: Scan, config: PackConfig) -> str:
    """Identifies the input by settings, names, sizes and times, without reading any picture."""
    left_out = (scan.ignored, scan.faults)
    digest = hashlib.sha256(f"{FORMAT} {READER} {config} {scan.style_names} {left_out}".encode())
    for found in scan.found:
        stat = found.path.stat()
        digest.update(f"{found.source}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _finished(out: Path, recipe: str) -> Packed | None:
    """What is there already, where it is whole and of the same recipe."""
    try:
        about, _ = open_shards(out, "all")
        report = read_json(out / "report.json", Report)
    except (DataError, OSError, ValueError):
        return None
    if about.recipe != recipe:
        return None
    return Packed(path=out, report=report, fingerprint=about.fingerprint, fresh=False)


# Building


def _build(scan: Scan, stage: Path, config: PackConfig, recipe: str, *, name: str) -> tuple[Report, str]:
    (stage / "data").mkdir()
    schema = arrow_schema(scan.style_names)
    register = Register(duplicates=config.duplicates)
    register.problems += (
        Problem(kind="inaccessible", source=source, detail=why) for source, why in scan.faults
    )
    register.problems += case_twins(scan.found)
    sheet, tally = ContactSheet(scan, config.resolution), Tally()
    content: list[str] = []
    with ExitStack() as stack:
        writers = {
            split: stack.enter_context(ShardWriter(directory=stage / "data", split=split, schema=schema))
            for split in SPLITS
        }
        for made in prepare_all(scan.found, config):
            if isinstance(made, Problem):
                register.problems.append(made)
                continue
            register.problems += made.problems
            if register.admit(made.print):
                found, split = made.found, made.print.split
                writers[split].add(_row(made))
                sheet.offer(found.source, made.pixels)
                tally.add(found.source, profile=made.profile, cut=made.cut)
                pixels = hashlib.sha256(made.pixels.tobytes()).hexdigest()
                content.append(f"{pixels} {found.style} {found.subject} {split}")
    report = _report(scan, register, tally, config)
    fingerprint = _fingerprint(content, scan.style_names, config.resolution)
    _write_papers(scan, stage, config, report, {"fingerprint": fingerprint, "recipe": recipe, "name": name})
    write_file(stage / "contact_sheet.png", png_bytes(sheet.draw()))
    return report, fingerprint


def _row(made: Prepared) -> Row:
    found = made.found
    return Row(
        png=made.png, style=found.style, subject=found.subject, source=found.source, sha256=made.print.sha256
    )


def _fingerprint(content: list[str], style_names: Sequence[str], resolution: int) -> str:
    lines = [f"{resolution}", *style_names, *sorted(content)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# Papers


def _report(scan: Scan, register: Register, tally: Tally, config: PackConfig) -> Report:
    near = near_duplicates(register.prints, bits=config.near_bits)
    labels = dict(enumerate(scan.style_names))
    if any(found.style == UNLABELLED for found in scan.found):
        labels[UNLABELLED] = NO_LABEL
    balance: dict[str, dict[str, int]] = {name: dict.fromkeys(SPLITS, 0) for name in labels.values()}
    for one in register.prints:
        balance[labels[one.style]][one.split] += 1
    problems = (*register.problems, *near)
    empty = [style for style, name in labels.items() if not any(balance[name].values())]
    if empty:
        sources = {found.source for found in scan.found if found.style == empty[0]}
        first = next(p for p in problems if p.kind in ("unreadable", "too small") and p.source in sources)
        name, why = labels[empty[0]], f"'{first.source}' ({first.detail})"
        raise DataError(f"No picture of '{name}' can be used, e.g. {why}: replace them.")
    return Report(
        found=len(scan.found),
        packed=len(register.prints),
        balance=balance,
        problems=problems,
        notes=tuple(notes(scan, balance, tally, tested=config.test_fraction > 0)),
        ignored=scan.ignored,
    )


def _write_papers(
    scan: Scan, stage: Path, config: PackConfig, report: Report, identity: Mapping[str, str]
) -> None:
    counts = {split: sum(splits[split] for splits in report.balance.values()) for split in SPLITS}
    about = {
        **identity,
        "format": FORMAT,
        "styles": scan.style_names,
        "counts": counts,
        "balance": report.balance,
        **{key: value for key, value in asdict(config).items() if key != "strict"},
    }
    write_json(stage / ABOUT_FILE, about)
    write_json(stage / "report.json", report.as_dict())
    write_file(stage / "report.md", report.as_markdown())
    size = f"{config.resolution} x {config.resolution}"
    styles = len(scan.style_names)
    description = f"{report.packed} pictures of {size} pixels in {styles} styles, packed by brushwork."
    card = dataset_card(identity["name"], description, counts, balance_table(report.balance))
    write_file(stage / "README.md", card)
    if (scan.root / "ATTRIBUTION.md").is_file():
        shutil.copyfile(scan.root / "ATTRIBUTION.md", stage / "ATTRIBUTION.md")
