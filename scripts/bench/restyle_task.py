"""What the benchmark `restyle` sets: held-out pictures, each to be redrawn in a style that its subject was
really drawn in, too."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from brushwork.data.pictures import Pictures
from brushwork.eval.errors import EvalError
from brushwork.eval.features.cache import content_hash
from brushwork.eval.pairs.read import PairSet

LEAST = 2
"""Pairs of a target style, below which it has no distribution."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """Row i: a picture, the style to redraw it in, and what a method may look at or is judged by."""

    contents: UInt8[Tensor, "n 3 r r"]
    origins: Int64[Tensor, "n"]
    """The style that each is in."""
    targets: Int64[Tensor, "n"]
    """The style that each is to be redrawn in."""
    references: UInt8[Tensor, "n 3 r r"]
    """A training picture of the target style, of another subject: what methods follow that know no names."""
    truths: UInt8[Tensor, "n 3 r r"]
    """The same subject as it was really drawn in the target style: no method sees it."""
    subjects: tuple[str, ...]
    train: Pictures
    """What there was to learn from."""

    def __len__(self) -> int:
        return len(self.subjects)

    @property
    def style_names(self) -> tuple[str, ...]:
        return self.train.style_names

    @property
    def target_names(self) -> tuple[str, ...]:
        return tuple(self.style_names[style] for style in self.targets.tolist())

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides what a method draws."""
        parts = [self.train.fingerprint, content_hash(self.contents), content_hash(self.references)]
        return hashlib.sha256(json.dumps([*parts, self.targets.tolist()]).encode()).hexdigest()

    def pairs(self, outputs: UInt8[Tensor, "n 3 r r"]) -> PairSet:
        """A method's outputs beside the contents, to be measured."""
        return PairSet(
            outputs=outputs, contents=self.contents, styles=self.target_names, subjects=self.subjects,
            sources=tuple(map(str, range(len(self)))),
        )  # fmt: skip


def choose_task(test: Pictures, train: Pictures, count: int, *, seed: int = 0) -> Task:
    """`count` pairs of the held-out pictures, evenly spread over contents' styles, target styles and
    subjects; the first n of a larger task are the task of n.

    Raises EvalError for fewer than two pairs of each style, and where the held-out subjects were not drawn in
    so many other styles.
    """
    styles = len(test.style_names)
    if count < LEAST * styles:
        raise EvalError(
            f"{count} pairs are too few for {styles} styles: take {LEAST * styles} or more (--pairs)."
        )
    places = _places(test)
    chosen = list(_spread(places, styles, count, seed))
    if len(chosen) < count:
        raise EvalError(
            f"The held-out pictures allow {len(chosen)} pairs of one subject in two styles, and {count} were "
            "asked for: lower --pairs, or take a data set whose styles share subjects."
        )
    at = [places[origin, subject] for origin, _, subject in chosen]
    truth = [places[target, subject] for _, target, subject in chosen]
    targets = torch.tensor([target for _, target, _ in chosen])
    return Task(
        contents=test.take(torch.tensor(at)).cpu(),
        origins=torch.tensor([origin for origin, _, _ in chosen]),
        targets=targets,
        references=train.take(_references(train, targets, seed)).cpu(),
        truths=test.take(torch.tensor(truth)).cpu(),
        subjects=tuple(subject for _, _, subject in chosen),
        train=train,
    )


def _places(pictures: Pictures) -> dict[tuple[int, str], int]:
    """Row of each (style, subject)."""
    labelled = zip(pictures.styles.tolist(), pictures.subjects, strict=True)
    return {key: row for row, key in enumerate(labelled) if key[0] >= 0}


def _spread(
    places: Mapping[tuple[int, str], int], styles: int, count: int, seed: int
) -> Iterator[tuple[int, int, str]]:
    """(origin, target, subject): style pairs in turn, so that every style comes once in each round, and of a
    pair's subjects the one that was least used."""
    subjects = sorted({subject for _, subject in places})
    order = [subjects[i] for i in np.random.default_rng([seed, 0]).permutation(len(subjects))]
    turns = [(origin, (origin + step) % styles) for step in range(1, styles) for origin in range(styles)]
    left = {
        (a, b): [subject for subject in order if (a, subject) in places and (b, subject) in places]
        for a, b in turns
    }
    used = dict.fromkeys(subjects, 0)
    while count and any(left.values()):
        for pair in turns:
            if not left[pair] or not count:
                continue
            subject = min(left[pair], key=used.__getitem__)
            left[pair].remove(subject)
            used[subject] += 1
            count -= 1
            yield (*pair, subject)


def _references(train: Pictures, targets: Tensor, seed: int) -> Tensor:
    """For each row a training picture of its target style. Raises EvalError for a style that has none."""
    rows = {style: (train.styles == style).nonzero().squeeze(1) for style in set(targets.tolist())}
    for style, found in rows.items():
        if not len(found):
            raise EvalError(
                f"Style {train.style_names[style]!r} has 0 training pictures to follow: add some."
            )
    return torch.stack([
        rows[style][np.random.default_rng([seed, 1, row]).integers(len(rows[style]))]
        for row, style in enumerate(targets.tolist())
    ])  # fmt: skip
