"""The measure of disentanglement: what each code of a generator with encoders holds, and what swapping swaps.

Beside every figure stand chance, the same read off pixels and palette, and as control the untrained network.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Int64, UInt8
from torch import Tensor

from brushwork.data.pictures import Pictures
from brushwork.data.progress import Progress

from .errors import EvalError
from .features.extract import extract
from .generator_suite import with_metric
from .measures import Measures, MetricResult, Score
from .metrics.disentanglement import (
    ABOUT,
    FOLDS,
    PENALTIES,
    Codes,
    Retrieval,
    mean_by_style,
    nearer,
    palette_of,
    partners,
    places_of,
    products_of,
    style_read,
    subject_read,
)
from .pairs.figures import UNCHANGED
from .reference import Reference
from .sources import Stored
from .spaces import Labelled, Space
from .suite import held_out_scores, scores

MOST_TRAIN, MOST_TEST = 1800, 1200
"""Pictures that codes are taken of, at most."""

BATCH = 64

CHANCE, PIXELS, PALETTE = "chance", "raw pixels", "palette"

Read = Callable[[Tensor], tuple[list[Tensor], list[Tensor]]]
"""Pictures -> linear and quadratic readings of their codes."""


# What is measured
@dataclass(frozen=True, kw_only=True)
class Doors:
    """A generator's ways in, as functions of pictures (N, 3, R, R) uint8."""

    content: Callable[[Tensor], Sequence[Tensor]]
    """Content codes, float (N, C, H, W): the features, then details where there are any."""
    style: Callable[[Tensor], Tensor]
    """Style codes, float (N, D), read without a label."""
    swap: Callable[[Tensor, Tensor], Tensor]
    """Contents and as many style pictures -> the ones in the style of the others, uint8 (N, 3, R, R)."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """Labelled pictures of a split, the styles numbered as the generator does."""

    images: UInt8[Tensor, "n 3 h w"]
    styles: Int64[Tensor, "n"]
    subjects: tuple[str, ...]

    @classmethod
    def of(cls, pictures: Pictures, names: tuple[str, ...], most: int) -> "Side":
        """Pictures of the styles `names`, `most` at most: whole subjects, spread over the alphabet."""
        known = {pictures.style_names.index(name): n for n, name in enumerate(names)}
        labelled = [row for row, style in enumerate(pictures.styles.tolist()) if style in known]
        subjects = sorted({pictures.subjects[row] for row in labelled})
        count = min(len(subjects), max(2, len(subjects) * most // max(1, len(labelled))))
        kept = {subjects[n * len(subjects) // count] for n in range(count)}
        rows = [row for row in labelled if pictures.subjects[row] in kept]
        return cls(
            images=pictures.images[rows],
            styles=torch.tensor([known[int(pictures.styles[row])] for row in rows], dtype=torch.int64),
            subjects=tuple(pictures.subjects[row] for row in rows),
        )

    def codes(self, read: Read, bar: Progress) -> Codes:
        linear, quadratic = [], []
        for images in self.images.split(BATCH):
            readings, products = read(images)
            linear.append([reading.cpu() for reading in readings])
            quadratic.append([reading.cpu() for reading in products])
            bar.update(len(images))
        whole, products = (
            tuple(torch.cat(parts) for parts in zip(*found, strict=True)) for found in (linear, quadratic)
        )
        return Codes(readings=whole, products=products, styles=self.styles, subjects=self.subjects)


def readings_of(codes: Iterable[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Linear and quadratic readings of each of several maps."""
    codes = list(codes)
    return [places_of(maps) for maps in codes], [products_of(maps) for maps in codes]


# Scores
@dataclass(frozen=True, kw_only=True)
class CodeScores:
    """How much of style and subject is in one code."""

    style: Score
    products: Score | None
    """Style as products tell it, where they were read."""
    subject: Retrieval | None

    @classmethod
    def of(cls, train: Codes, test: Codes, count: int) -> "CodeScores":
        products = style_read(train.by_products(), test.by_products(), count) if train.products else None
        subject = subject_read(train, test, count)
        return cls(style=style_read(train, test, count), products=products, subject=subject)


@dataclass(frozen=True, kw_only=True)
class DoorScores:
    """All that one network scores."""

    content: CodeScores
    style: CodeScores
    swapped_style: Score
    swapped_content: Score
    real_content: Score | None
    """What the content code says of real drawings in place of the swapped pictures."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The pictures, and the swaps that are tried with them."""

    train: Side
    test: Side
    count: int
    space: Space
    bar: Progress

    def scores(self, doors: Doors) -> DoorScores:
        def content(images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            return readings_of(doors.content(images))

        def style(images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            return [doors.style(images).float()], []

        contents, drawn = self.train.codes(content, self.bar), self.test.codes(content, self.bar)
        styles, style_features = self.train.codes(style, self.bar), self.test.codes(style, self.bar)
        own, other = self.swaps()
        swapped = self.swapped(doors, own, other)
        goals, codes = swapped.styles, drawn.readings[0]
        read = swapped.codes(content, self.bar).readings[0]
        return DoorScores(
            content=CodeScores.of(contents, drawn, self.count),
            style=CodeScores.of(styles, style_features, self.count),
            swapped_style=self.recognised(swapped.images, goals),
            swapped_content=mean_by_style(nearer(read, codes[own], codes[other]), goals, self.count),
            real_content=self.real_content(codes, own, other),
        )

    def pixels(self, sides: Sequence[int]) -> CodeScores:
        """Of the pictures themselves at a code's resolutions."""

        def read(images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            sizes = (min(side, *images.shape[2:]) for side in sides)
            return readings_of(F.adaptive_avg_pool2d(images.float() / 255, size) for size in sizes)

        return CodeScores.of(self.train.codes(read, self.bar), self.test.codes(read, self.bar), self.count)

    def palette(self) -> CodeScores:
        def read(images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            return [palette_of(images)], []

        return CodeScores.of(self.train.codes(read, self.bar), self.test.codes(read, self.bar), self.count)

    def swaps(self) -> tuple[Tensor, Tensor]:
        """Rows of the contents, and of the pictures whose style they get."""
        other = partners(self.test.styles, self.test.subjects, self.count)
        own = (other >= 0).nonzero().squeeze(1)
        if len(own) == 0:
            raise EvalError("No held-out picture has another of another style and subject: pack more.")
        return own, other[own]

    def swapped(self, doors: Doors, own: Tensor, other: Tensor) -> Side:
        parts = []
        for a, b in zip(own.split(BATCH), other.split(BATCH), strict=True):
            parts.append(doors.swap(self.test.images[a], self.test.images[b]).cpu())
            self.bar.update(len(a))
        subjects = tuple(self.test.subjects[row] for row in own.tolist())
        return Side(images=torch.cat(parts), styles=self.test.styles[other], subjects=subjects)

    def recognised(self, images: Tensor, styles: Tensor) -> Score:
        """By the evaluator's probe."""
        features = extract([self.space.extractor], Stored(images=images, styles=styles))[0]
        return scores("accuracy", Labelled(features=features, styles=styles), self.space)["accuracy"]

    def real_content(self, codes: Tensor, own: Tensor, other: Tensor) -> Score | None:
        """As of swapped pictures, of the contents' subjects as they were really drawn in those styles."""
        styles, subjects = self.test.styles.tolist(), self.test.subjects
        place = {key: row for row, key in enumerate(zip(styles, subjects, strict=True))}
        found = [place.get((styles[b], subjects[a]), -1) for a, b in zip(own.tolist(), other.tolist(),
                                                                        strict=True)]  # fmt: skip
        real = torch.tensor(found)
        drawn = real >= 0
        if not drawn.any():
            return None
        a, b, real = own[drawn], other[drawn], real[drawn]
        return mean_by_style(nearer(codes[real], codes[a], codes[b]), self.test.styles[b], self.count)


# Figures
def with_disentanglement(
    measures: Measures,
    doors: Doors,
    control: Doors | None,
    *,
    train: Side,
    test: Side,
    reference: Reference,
    progress: bool = False,
) -> Measures:
    """Adds the figures of ABOUT, of `doors` and of the untrained network's, `control`.

    Probes learn from the training pictures and are asked about the held-out ones, `test`. Raises EvalError
    for fewer styles than two.
    """
    count = len(measures.style_names)
    if count < 2:
        raise EvalError(f"Disentanglement takes two styles or more, and there are {count}: leave it out.")
    networks, few, rest = 1 if control is None else 2, len(test.styles), len(train.styles)
    total = networks * (2 * rest + 4 * few) + 2 * (rest + few)
    with Progress(total=total, desc="codes", unit="img", leave=False, disable=not progress) as bar:
        trial = Trial(train=train, test=test, count=count, space=reference.spaces[0], bar=bar)
        found = trial.scores(doors)
        beside = None if control is None else trial.scores(control)
        sides = [maps.shape[-1] for maps in doors.content(test.images[:1])]
        figures = _figures(trial, found, beside, {PIXELS: trial.pixels(sides), PALETTE: trial.palette()})
    words = (
        f"codes of {len(train.styles)} training and {len(test.styles)} held-out pictures; ridge probe, "
        f"penalty of {', '.join(f'{penalty:g}' for penalty in PENALTIES)} and reading chosen on one training "
        f"subject of {FOLDS}; pixels at {', '.join(map(str, sides))} px; the control is the network before "
        "training"
    )
    return with_metric(measures, "disentanglement", words, figures=figures)


def _figures(
    trial: Trial, found: DoorScores, beside: DoorScores | None, plain: Mapping[str, CodeScores]
) -> dict[str, MetricResult]:
    evaluator, chance = trial.space.extractor.name, Score(value=1 / trial.count)
    own, other = trial.swaps()
    unchanged = trial.recognised(trial.test.images[own], trial.test.styles[other])
    figures: dict[str, MetricResult] = {}
    for name, mine, theirs in (
        ("content", found.content, beside and beside.content),
        ("style", found.style, beside and beside.style),
    ):
        code = f"{name} code"
        figures[f"style_in_{name}"] = MetricResult(
            about=ABOUT[f"style_in_{name}"], features=code, measured=mine.style,
            control=theirs and theirs.style, baselines=_beside(chance, plain, lambda one: one.style),
        )  # fmt: skip
        if mine.products is not None:
            figures[f"products_in_{name}"] = MetricResult(
                about=ABOUT[f"products_in_{name}"], features=code, measured=mine.products,
                control=theirs and theirs.products,
                baselines=_beside(chance, plain, lambda one: one.products),
            )  # fmt: skip
        if mine.subject is not None:  # else no subject is in two styles
            luck = Score(value=mine.subject.chance)
            figures[f"subject_in_{name}"] = MetricResult(
                about=ABOUT[f"subject_in_{name}"], features=code, measured=mine.subject.score,
                control=theirs and theirs.subject and theirs.subject.score,
                baselines=_beside(luck, plain, lambda one: one.subject and one.subject.score),
            )  # fmt: skip
    figures["swapped_style"] = MetricResult(
        about=ABOUT["swapped_style"], features=evaluator, measured=found.swapped_style,
        real=held_out_scores("accuracy", trial.space)["accuracy"], control=beside and beside.swapped_style,
        baselines={CHANCE: chance, UNCHANGED: unchanged},
    )  # fmt: skip
    figures["swapped_content"] = MetricResult(
        about=ABOUT["swapped_content"], features="content code", measured=found.swapped_content,
        real=found.real_content, control=beside and beside.swapped_content,
        control_real=beside and beside.real_content, baselines={CHANCE: Score(value=0.5)},
    )  # fmt: skip
    return figures


def _beside(
    chance: Score, plain: Mapping[str, CodeScores], pick: Callable[[CodeScores], Score | None]
) -> dict[str, Score]:
    picked = {name: pick(scored) for name, scored in plain.items()}
    return {CHANCE: chance} | {name: score for name, score in picked.items() if score is not None}
