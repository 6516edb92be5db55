"""What packing changed, and what is suspicious in a collection as a whole, in sentences."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..errors import DataError
from ..folder import Scan
from ..names import normal, visible
from ..split import SPLITS

SPLIT_NAMES = frozenset({"train", "training", "val", "valid", "validation", "dev", "eval", "test", "testing"})
"""How collections call their splits."""
CUT = 0.25
"""Share of a picture's area from which on it is worth saying that it is cut off."""
Balance = Mapping[str, Mapping[str, int]]
"""Style -> split -> pictures."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What happened to the pictures that were packed."""

    profiles: Counter[str] = field(default_factory=Counter)
    """Colour profile -> pictures that were converted from it."""
    cut: dict[str, float] = field(default_factory=dict)
    """Picture -> share of its area that was cut off, where that is more than CUT."""

    def add(self, source: str, *, profile: str, cut: float) -> None:
        if profile:
            self.profiles[profile] += 1
        if cut > CUT:
            self.cut[source] = cut


def refuse_splits(scan: Scan) -> None:
    """Raises DataError where the folders that should be styles are splits."""
    splits = [name for name in scan.style_names if name.casefold() in SPLIT_NAMES]
    if len(splits) > 1 or (splits and len(scan.style_names) == 1):
        raise DataError(
            f"The folders {' and '.join(splits)} in '{scan.root}' are splits, not styles: put the folders of "
            "the styles, those of all splits together, directly into one folder; pack makes its own split. "
            "Pictures without styles belong into _unlabelled."
        )


def notes(scan: Scan, balance: Balance, tally: Tally, *, tested: bool) -> Iterator[str]:
    """Sentences for the report; `tested` says whether a test split was asked for."""
    yield from _of_names(scan)
    yield from _of_changes(tally)
    yield from _of_balance(balance, tested=tested)


def _of_names(scan: Scan) -> Iterator[str]:
    for name in scan.style_names:
        if name.casefold() in SPLIT_NAMES:
            yield f"The style '{name}' is called like a split: if it is one, move its pictures elsewhere."
    folders = {one.subject.partition("/")[0] if "/" in one.subject else "" for one in scan.found}
    if len(scan.style_names) == 1 and len(folders) > 1 and "" not in folders:
        (name,) = scan.style_names
        yield (
            f"All pictures are in one style, '{name}', in {len(folders)} folders: if these are the styles, "
            f"pack '{visible(str(scan.root / name))}'."
        )
    respelt = sum(one.source != normal(one.source) for one in scan.found)
    if respelt:
        yield f"Names that were brought to one spelling of their letters (Unicode NFC): {respelt}."


def _of_changes(tally: Tally) -> Iterator[str]:
    if tally.profiles:
        kinds = ", ".join(f"{name} ({count})" for name, count in tally.profiles.most_common())
        yield f"Pictures that were converted to sRGB, by their colour profile: {kinds}."
    if tally.cut:
        most = max(tally.cut, key=tally.cut.__getitem__)
        yield (
            f"Pictures that lose more than a quarter of their area to the middle square: {len(tally.cut)}, "
            f"most of all '{most}' ({tally.cut[most]:.0%}). --fit pad keeps them whole."
        )


def _of_balance(balance: Balance, *, tested: bool) -> Iterator[str]:
    for split in SPLITS if tested else SPLITS[:1]:
        missing = [name for name, counts in balance.items() if not counts[split]]
        if missing:
            names = ", ".join(missing)
            yield f"No picture of {names} fell into the {split} split; more subjects would mend that."
    sizes = {name: sum(counts.values()) for name, counts in balance.items()}
    most, least = max(sizes, key=sizes.__getitem__), min(sizes, key=sizes.__getitem__)
    if sizes[most] > 4 * sizes[least]:
        yield f"'{most}' has {sizes[most]} pictures, '{least}' only {sizes[least]}: try balanced batches."
