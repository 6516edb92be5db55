"""Two reports beside each other: figure by figure if they were taken in the same way, else not at all."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .errors import EvalError
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
def read_report(path: Path) -> Json:
    """The content of a report.json, or of that in a folder.

    Raises EvalError for a file that is missing, that is no JSON, or that another program wrote.
    """
    path = path / "report.json" if path.is_dir() else path
    remedy = "give the report.json that brushwork measure wrote"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EvalError(f"The report '{path}' cannot be read ({error.strerror}): {remedy}.") from error
    except (ValueError, RecursionError) as error:
        raise EvalError(f"'{path}' is no JSON ({error}): {remedy}.") from error
    fault = _fault(found)
    if fault:
        raise EvalError(f"'{path}' is no report of a measurement ({fault}): {remedy}.")
    return found


def _fault(found: object) -> str | None:
    """Why this is no report; None if it is one."""
    if not isinstance(found, dict):
        return "it holds no object"
    for key, kind in (("protocol", dict), ("style_names", list), ("figures", dict)):
        if not isinstance(found.get(key), kind):
            return f"it has no {key.replace('_', ' ')}"
    for name, figure in found["figures"].items():
        if not _is_figure(figure):
            return f"its figure {name!r} is incomplete"
    return None


def _is_figure(figure: object) -> bool:
    if not isinstance(figure, dict) or figure.get("better") not in ("less", "more"):
        return False
    measured = figure.get("measured")
    return (
        isinstance(measured, dict)
        and "value" in measured
        and all(_is_number(measured.get(key)) for key in ("value", "spread"))
    )


def _is_number(value: object) -> bool:
    if isinstance(value, (int, float)):
        return math.isfinite(value) and not isinstance(value, bool)
    return value is None


# Comparing
def compare(ours: Json, theirs: Json) -> Comparison:
    """Sets each figure of `ours` (as `Measures.to_json` or `read_report` give it) beside that of `theirs`.

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
