"""Two reports beside each other: figure by figure if they were taken in the same way, else not at all."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AllowInfNan, ConfigDict
from typing_extensions import NotRequired, TypedDict

from brushwork.data.files import read_json

from ..errors import EvalError
from .tables import NOTHING, aligned, number

Verdict = Literal["better", "worse", "within the spread", "equal", "unknown"]

LIMIT = 60
"""Characters of a value in the sentence that says what differs."""

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One figure of both reports. A value is None where there is none (a style without pictures)."""

    name: str
    title: str
    theirs: float | None
    ours: float | None
    spread: float | None
    """How far the difference would scatter: root of the summed squares of both spreads; None if unknown."""
    verdict: Verdict

    @property
    def difference(self) -> float | None:
        return None if self.ours is None or self.theirs is None else self.ours - self.theirs


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What became of each figure that both reports have."""

    their_label: str
    our_label: str
    changes: tuple[Change, ...]


# Reading
Number = Annotated[float, AllowInfNan(False)]


class _Score(TypedDict):
    value: Number | None
    spread: NotRequired[Number | None]


class _Figure(TypedDict):
    better: Literal["less", "more"]
    measured: _Score
    title: NotRequired[str]


class _Report(TypedDict):
    """As much of a report as is read here; all else is kept as it is."""

    __pydantic_config__ = ConfigDict(extra="allow")  # pyright: ignore[reportGeneralTypeIssues]

    label: NotRequired[str]
    protocol: dict[str, Any]
    style_names: list[str]
    figures: dict[str, _Figure]


def read_report(path: Path) -> Json:
    """The content of a report.json, or of that in a folder.

    Raises EvalError for a file that is missing, that is no JSON, or that another program wrote.
    """
    path = path / "report.json" if path.is_dir() else path
    remedy = "give the report.json that brushwork measure wrote"
    try:
        return dict(read_json(path, _Report))
    except OSError as error:
        raise EvalError(f"The report '{path}' cannot be read ({error.strerror}): {remedy}.") from error
    except ValueError as error:
        raise EvalError(f"'{path}' is no report of a measurement ({error}): {remedy}.") from error


# Comparing
def compare(ours: Json, theirs: Json) -> Comparison:
    """Sets each figure of `ours` (as `Measurement.to_json` or `read_report` give it) beside that of `theirs`.

    Label and environment may differ. Raises EvalError where anything in the protocols does, or the names of
    the styles do, and names all that differs; and where there is no figure that both have.
    """
    ours, theirs = json.loads(json.dumps([ours, theirs]))  # as tuples and lists are one in a file
    sides = [{**report["protocol"], "styles": report["style_names"]} for report in (theirs, ours)]
    differing = list(_differences("", *sides))
    if differing:
        raise EvalError(
            "These two reports cannot be compared, since they were not taken in the same way. "
            f"{'; '.join(differing)}. Measure both alike."
        )
    shared = [name for name in ours["figures"] if name in theirs["figures"]]
    if not shared:
        raise EvalError(
            f"These two reports have no figure in common: there {', '.join(theirs['figures']) or 'none'}, "
            f"here {', '.join(ours['figures']) or 'none'}. Measure both with the same --metrics."
        )
    changes = (_change(name, theirs["figures"][name], ours["figures"][name]) for name in shared)
    return Comparison(
        their_label=theirs.get("label", ""), our_label=ours.get("label", ""), changes=tuple(changes)
    )


def _change(name: str, theirs: Json, ours: Json) -> Change:
    there, here = (_float(side["measured"]["value"]) for side in (theirs, ours))
    spreads = [_float(side["measured"].get("spread")) for side in (theirs, ours)]
    known = [spread for spread in spreads if spread is not None]
    spread = math.hypot(*known) if len(known) == 2 else None
    return Change(
        name=name, title=ours.get("title", name), theirs=there, ours=here, spread=spread,
        verdict=verdict(there, here, ours["better"], spread),
    )  # fmt: skip


def _float(value: float | int | None) -> float | None:
    return None if value is None else float(value)


def verdict(
    theirs: float | None, ours: float | None, better: Literal["less", "more"], spread: float | None
) -> Verdict:
    """Whether `ours` is better; two spreads of the difference are taken for chance."""
    if theirs is None or ours is None:
        return "unknown"
    if ours == theirs:
        return "equal"
    if spread is not None and abs(ours - theirs) <= 2 * spread:
        return "within the spread"
    return "better" if (ours < theirs) == (better == "less") else "worse"


# Differences
def _differences(field: str, there: object, here: object) -> Iterator[str]:
    """Each differing entry with its dotted name and both values."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in dict.fromkeys([*there, *here]):
            inner = f"{field}.{key}" if field else str(key)
            yield from _differences(inner, there.get(key, _ABSENT), here.get(key, _ABSENT))
    elif there != here or isinstance(there, bool) != isinstance(here, bool):
        one, other = _around_the_difference(_text(there), _text(here))
        yield f"{field}: {one} there, {other} here"


_ABSENT = object()


def _text(value: object) -> str:
    if value is _ABSENT:
        return "absent"
    return value if isinstance(value, str) else json.dumps(value)


def _around_the_difference(one: str, other: str) -> tuple[str, str]:
    """Both texts, of long ones a stretch that begins shortly before they part."""
    same = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    start = max(0, same - LIMIT // 3) if max(len(one), len(other)) > LIMIT else 0
    return _stretch(one, start), _stretch(other, start)


def _stretch(text: str, start: int) -> str:
    stop = start + LIMIT
    return f"{'…' if start else ''}{text[start:stop]}{'…' if len(text) > stop else ''}"


# Showing
def comparison_table(comparison: Comparison) -> str:
    """A row a figure for a terminal, at most 100 columns wide."""
    heads = ["figure", "theirs", "ours", "change", ""]
    rows = [
        [change.name, _cell(change.theirs), _cell(change.ours), _signed(change.difference), change.verdict]
        for change in comparison.changes
    ]
    lines = [
        f"theirs: {comparison.their_label or '(no label)'}",
        f"ours:   {comparison.our_label or '(no label)'}",
    ]
    lines += ["", *aligned([heads, *rows], left=(0, 4))]
    if any(change.spread is None for change in comparison.changes):
        lines += ["", "A figure without a spread is called better or worse however small the change."]
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return NOTHING if value is None else number(value)


def _signed(value: float | None) -> str:
    return NOTHING if value is None else f"{'+' if value > 0 else ''}{number(value)}"
