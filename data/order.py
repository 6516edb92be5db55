"""The order in which the rows of a split are drawn: endless, shuffled, a pure function of the number."""

from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor

from .errors import DataError
from .transforms import uniform_draws

# Streams of draws that must not meet: the order of the styles, and which two drawings of a subject make a
# pair.
RUN_STREAM, PAIR_STREAM = 0x5_0B10C, 0x5_9A12


class Permutations:
    """The endless sequence of shuffled epochs over `count` items; two are held, as a batch may span them."""

    def __init__(self, count: int, key: tuple[int, ...]) -> None:
        self.count = count
        self._key = key
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()

    def at(self, places: np.ndarray) -> np.ndarray:
        """int64 (B,): the items at these places of the sequence."""
        epochs, within = np.divmod(places, self.count)
        items = np.empty_like(places)
        for epoch in np.unique(epochs):
            chosen = epochs == epoch
            items[chosen] = self._epoch(int(epoch))[within[chosen]]
        return items

    def _epoch(self, epoch: int) -> np.ndarray:
        if epoch not in self._kept:
            self._kept[epoch] = np.random.default_rng([*self._key, epoch]).permutation(self.count)
            if len(self._kept) > 2:
                self._kept.popitem(last=False)
        return self._kept[epoch]


# Orders: rows(int64 (B,) numbers) -> int64 (B,) rows


class Plain:
    """All rows once in every epoch."""

    def __init__(self, count: int, seed: int) -> None:
        self._rows = Permutations(count, (_word(seed),))

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        return self._rows.at(numbers)


class Runs:
    """Rows `run` k to `run` k + `run` - 1 are of one style; each style has shuffled epochs of its own.

    The styles of the runs are shuffled in blocks that hold every style once (`balanced`), or as often as
    pictures of it fill a run, at least once. Unlabelled pictures count as a style.
    """

    def __init__(self, styles: Tensor, seed: int, *, run: int = 1, balanced: bool = False) -> None:
        labels = styles.numpy()
        self._members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        self._pictures = [
            Permutations(len(rows), (_word(seed), group + 1)) for group, rows in enumerate(self._members)
        ]
        self._run = run
        self._counts = [1 if balanced else max(1, round(len(rows) / run)) for rows in self._members]
        self._groups = np.repeat(np.arange(len(self._members)), self._counts)
        """The style of each run of a block."""
        self._within = np.concatenate([np.arange(count) for count in self._counts])
        """How many runs of its style come before it."""
        self._runs = Permutations(len(self._groups), (_word(seed), 0, RUN_STREAM))

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        runs, place = np.divmod(numbers, self._run)
        item, block = self._runs.at(runs), runs // len(self._groups)
        group = self._groups[item]
        rows = np.empty_like(numbers)
        for g, (members, sequence) in enumerate(zip(self._members, self._pictures, strict=True)):
            own = group == g
            before = block[own] * self._counts[g] + self._within[item[own]]
            rows[own] = members[sequence.at(before * self._run + place[own])]
        return rows


class Paired:
    """Rows 2 k and 2 k + 1 show one subject in two styles. Every subject of several styles comes once in an
    epoch, in two of them drawn by the seed and k."""

    def __init__(self, styles: Tensor, subjects: tuple[str, ...], seed: int) -> None:
        rows: dict[str, dict[int, int]] = {}
        for row, (style, subject) in enumerate(zip(styles.tolist(), subjects, strict=True)):
            if style >= 0:
                rows.setdefault(subject, {})[style] = row
        self._drawings = [list(drawn.values()) for drawn in rows.values() if len(drawn) > 1]
        if not self._drawings:
            raise DataError(
                "No subject is drawn in two styles: turn off the loader's paired, or give subjects the same "
                "file name in every style."
            )
        self._subjects = Permutations(len(self._drawings), (_word(seed),))
        self._seed = seed

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        pairs, sides = np.divmod(numbers, 2)
        draws = uniform_draws(self._seed ^ PAIR_STREAM, torch.from_numpy(pairs), 2).tolist()
        found = np.empty_like(numbers)
        for i, (subject, side, (u, v)) in enumerate(zip(self._subjects.at(pairs), sides, draws, strict=True)):
            drawn = self._drawings[subject]
            first = int(u * len(drawn))
            second = (first + 1 + int(v * (len(drawn) - 1))) % len(drawn)
            found[i] = drawn[second if side else first]
        return found


Order = Plain | Runs | Paired


def _word(seed: int) -> int:
    """numpy takes no negative seeds."""
    return seed & (2**64 - 1)
