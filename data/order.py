"""The endless shuffled order of the rows of a split, as a pure function of the image number."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .errors import DataError
from .splitmix import uniform

RUN_STREAM, PAIR_STREAM = 0x5_0B10C, 0x5_9A12
"""Keep the random numbers of the order of styles and of the choice of pairs apart."""


class Permutations:
    """The endless sequence of shuffled epochs over `count` items. Caches two, as a batch may span them."""

    def __init__(self, count: int, seed: int, *stream: int) -> None:
        self.count = count
        self._key = (seed & (2**64 - 1), *stream)  # numpy takes no negative seeds
        self._epochs: OrderedDict[int, np.ndarray] = OrderedDict()

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Returns the items at these places of the sequence, int64 (B,)."""
        epochs, within = np.divmod(numbers, self.count)
        items = np.empty_like(numbers)
        for epoch in np.unique(epochs):
            chosen = epochs == epoch
            items[chosen] = self._epoch(int(epoch))[within[chosen]]
        return items

    def _epoch(self, epoch: int) -> np.ndarray:
        if epoch not in self._epochs:
            self._epochs[epoch] = np.random.default_rng([*self._key, epoch]).permutation(self.count)
            if len(self._epochs) > 2:
                self._epochs.popitem(last=False)
        return self._epochs[epoch]


class Runs:
    """Runs of `run` neighbours of one style; each style has shuffled epochs of its own.

    The styles of the runs are shuffled in blocks. A block holds every style once (`balanced`), or as often as
    its images fill a run, and at least once. Unlabelled images count as a style.
    """

    def __init__(self, styles: Tensor, seed: int, *, run: int = 1, balanced: bool = False) -> None:
        labels = styles.numpy()
        self._rows_of_style = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        self._pictures = [
            Permutations(len(rows), seed, style + 1) for style, rows in enumerate(self._rows_of_style)
        ]
        self._run = run
        self._counts = [1 if balanced else max(1, round(len(rows) / run)) for rows in self._rows_of_style]
        """Runs of each style in a block."""
        self._styles = np.repeat(np.arange(len(self._counts)), self._counts)
        """The style of each run of a block, before shuffling."""
        self._before = np.concatenate([np.arange(count) for count in self._counts])
        """The number of runs of the same style before it."""
        self._runs = Permutations(len(self._styles), seed, 0, RUN_STREAM)

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        runs, place = np.divmod(numbers, self._run)
        items, blocks = self._runs.rows(runs), runs // len(self._styles)
        rows = np.empty_like(numbers)
        for style, (style_rows, images) in enumerate(zip(self._rows_of_style, self._pictures, strict=True)):
            own = self._styles[items] == style
            before = blocks[own] * self._counts[style] + self._before[items[own]]
            rows[own] = style_rows[images.rows(before * self._run + place[own])]
        return rows


class Paired:
    """Pairs of neighbours, 2 k and 2 k + 1, of one subject in two styles.

    Each epoch shows every subject with several styles once, in two styles chosen by the seed and k.
    """

    def __init__(self, styles: Tensor, subjects: Sequence[str], seed: int) -> None:
        rows: dict[str, dict[int, int]] = {}
        for row, (style, subject) in enumerate(zip(styles.tolist(), subjects, strict=True)):
            if style >= 0:
                rows.setdefault(subject, {})[style] = row
        self._rows_of_subject = [list(own.values()) for own in rows.values() if len(own) > 1]
        if not self._rows_of_subject:
            raise DataError("No subject has two styles: turn off the loader's paired.")
        self._subjects = Permutations(len(self._rows_of_subject), seed)
        self._seed = seed

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        pairs, sides = np.divmod(numbers, 2)
        random = uniform(self._seed ^ PAIR_STREAM, torch.from_numpy(pairs), 2).tolist()
        rows = np.empty_like(numbers)
        subjects = self._subjects.rows(pairs)
        for i, (subject, side, (u, v)) in enumerate(zip(subjects, sides, random, strict=True)):
            choices = self._rows_of_subject[subject]
            first = int(u * len(choices))
            second = (first + 1 + int(v * (len(choices) - 1))) % len(choices)
            rows[i] = choices[second if side else first]
        return rows


Order = Permutations | Runs | Paired
