"""Compares two reports figure by figure. Reports with different protocols are refused."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AllowInfNan, ConfigDict
from typing_extensions import NotRequired, TypedDict

from brushwork.data.files import read_json

from ..errors import EvalError
from .tables import NOTHING, aligned, number

Verdict = Literal["better", "worse", "within the spread", "equal", "unknown"]

Json = dict[str, Any]

LONG = 60
"""Letters of a differing value that are shown."""


# Reading
Number = Annotated[float, AllowInfNan(False)]


class _Score(TypedDict):
    value: Number | None
    spread: NotRequired[Number | None]


class _Figure(TypedDict):
    better: Literal["less", "more"]
    measured: _Score


class _Report(TypedDict):
    """The parts of a report that are checked. Others are kept as they are."""

    __pydantic_config__ = ConfigDict(extra="allow")  # pyright: ignore[reportGeneralTypeIssues]

    label: NotRequired[str]
    protocol: Json
    style_names: list[str]
    figures: dict[str, _Figure]


def read_report(path: Path) -> Json:
    """Returns the content of a report.json, or of the one in a folder.

    Raises EvalError if the file is missing, is no JSON, or comes from another program.
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
class Change(NamedTuple):
    """A figure of both reports. A value is None where it could not be measured."""

    name: str
    theirs: float | None
    ours: float | None
    difference: float | None
    spread: float | None
    """Standard error of the difference: root of the summed squares of both spreads. None if unknown."""
    verdict: Verdict


def compare(ours: Json, theirs: Json) -> list[Change]:
    """Compares the figures of two reports, as `to_json` of a measurement or `read_report` returns them.

    Labels and environments may differ. Raises EvalError, listing every difference, if the protocols or the
    style names differ, and if the reports have no figure in common.
    """
    ours, theirs = json.loads(json.dumps([ours, theirs]))  # a tuple becomes the list that a file holds
    sides = [{**report["protocol"], "styles": report["style_names"]} for report in (theirs, ours)]
    differing = list(_differences("", *sides))
    if differing:
        raise _not_alike(differing)
    shared = [name for name in ours["figures"] if name in theirs["figures"]]
    if not shared:
        raise EvalError("These two reports have no figure in common: measure both with the same --metrics.")
    return [_change(name, theirs["figures"][name], ours["figures"][name]) for name in shared]


def require_same_settings(settings: Json, theirs: Json) -> None:
    """Raises EvalError if a report's protocol has other values for some of its entries. Entries that it does
    not have are those of another kind of source, which `compare` will name."""
    protocol = {name: theirs["protocol"].get(name) for name in settings}
    protocol = {name: value for name, value in protocol.items() if value is not None}
    ours = {name: settings[name] for name in protocol}
    if differing := list(_differences("", protocol, ours)):
        raise _not_alike(differing)


def _not_alike(differing: list[str]) -> EvalError:
    return EvalError(
        "These two reports cannot be compared, since they were not taken in the same way: "
        f"{'; '.join(differing)}. Measure both alike."
    )


def _change(name: str, theirs: Json, ours: Json) -> Change:
    there, here = theirs["measured"], ours["measured"]
    spreads = there.get("spread"), here.get("spread")
    spread = None if None in spreads else math.hypot(*spreads)
    difference = None if None in (there["value"], here["value"]) else here["value"] - there["value"]
    found = verdict(difference, ours["better"], spread)
    return Change(name, there["value"], here["value"], difference, spread, found)


def verdict(difference: float | None, better: Literal["less", "more"], spread: float | None) -> Verdict:
    """Returns whether a difference is an improvement. Differences up to two spreads count as chance."""
    if difference is None:
        return "unknown"
    if difference == 0:
        return "equal"
    if spread is not None and abs(difference) <= 2 * spread:
        return "within the spread"
    return "better" if (difference < 0) == (better == "less") else "worse"


_ABSENT = object()


def _differences(field: str, there: object, here: object) -> Iterator[str]:
    """Yields each differing entry with its dotted name and both values."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in dict.fromkeys([*there, *here]):
            inner = f"{field}.{key}" if field else str(key)
            yield from _differences(inner, there.get(key, _ABSENT), here.get(key, _ABSENT))
    elif there != here or isinstance(there, bool) != isinstance(here, bool):
        yield f"{field}: {_text(there)} there, {_text(here)} here"


def _text(value: object) -> str:
    text = "absent" if value is _ABSENT else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONG else f"{text[:LONG]}..."


# Table
def comparison_table(ours: Json, theirs: Json) -> str:
    """Compares two reports as `compare` does. Returns a table for a terminal, at most 100 characters wide."""
    changes = compare(ours, theirs)
    rows = [["figure", "theirs", "ours", "change", ""]]
    for change in changes:
        plus = "+" if (change.difference or 0) > 0 else ""
        values = _cell(change.theirs), _cell(change.ours), plus + _cell(change.difference)
        rows.append([change.name, *values, change.verdict])
    lines = [f"theirs: {theirs.get('label') or '(no label)'}", f"ours:   {ours.get('label') or '(no label)'}"]
    lines += ["", *aligned(rows, left=(0, 4))]
    if sentences := disagreements(changes, ours):
        lines += ["", *sentences]
    if any(change.spread is None for change in changes):
        lines += ["", "Figures without a spread are called better or worse however small the change."]
    return "\n".join(lines)


def disagreements(changes: list[Change], ours: Json) -> list[str]:
    """A sentence for each figure that is better by one evaluator and worse by another."""
    by_name, sentences = {change.name: change for change in changes}, []
    for change in changes:
        first = by_name.get(change.name.partition("@")[0])
        if first is not None and {first.verdict, change.verdict} == {"better", "worse"}:
            one, other = (ours["figures"][each.name]["features"] for each in (first, change))
            verdicts = f"{first.verdict} by {one}, {change.verdict} by {other}"
            sentences.append(f"The evaluators disagree on {first.name}: {verdicts}.")
    return sentences


def _cell(value: float | None) -> str:
    return NOTHING if value is None else number(value)
