"""Disentanglement: what each code of a generator with encoders holds, and what swapping the codes changes.

Every value has baselines: chance, the same probes on raw pixels, and on the palette. The control is the
network before training.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Int64, UInt8
from torch import Tensor

from brushwork.data.dataset import Pictures
from brushwork.data.progress import Progress

from .errors import EvalError
from .features.extract import extract
from .metrics.disentanglement import (
    FOLDS,
    PENALTIES,
    Codes,
    Reading,
    channel_products,
    nearer,
    palette,
    partners,
    pooled_places,
    read_style,
    read_subject,
)
from .metrics.style import mean_score
from .pairs.figures import UNCHANGED
from .reference import Labelled, Reference, Space
from .results import Measurement, MetricInfo, MetricResult, Score
from .sources import Stored
from .suite import held_out_scores, scores, with_metric

MOST_TRAIN, MOST_TEST = 1800, 1200
"""Images of each split whose codes are taken, at most."""

BATCH = 64

CHANCE, PIXELS, PALETTE = "chance", "raw pixels", "palette"

DISENTANGLEMENT_INFO: dict[str, MetricInfo] = {
    "style_in_content": MetricInfo(
        title="style read off the content code", better="less", kind="share",
        note="Share of held-out images whose style a linear probe recognises from the content code alone, "
        "averaged over the styles. A code without style is at chance.",
    ),
    "products_in_content": MetricInfo(
        title="style read off products of the content code", better="less", kind="share",
        note="The same from channel means, deviations and inner products over all places. They are quadratic "
        "in the code and may hold a style that no linear function finds.",
    ),
    "subject_in_content": MetricInfo(
        title="subject read off the content code", better="more", kind="share",
        note="How often the nearest content code in another style is of the same subject.",
    ),
    "style_in_style": MetricInfo(
        title="style read off the style code", better="more", kind="share",
        note="Share of held-out images whose style a linear probe recognises from the style code, which is "
        "encoded without a label.",
    ),
    "subject_in_style": MetricInfo(
        title="subject read off the style code", better="less", kind="share",
        note="How often the nearest style code in another style is of the same subject. A code without "
        "subject is at chance.",
    ),
    "swapped_style": MetricInfo(
        title="style of the swapped picture", better="more", kind="share",
        note="Share of images generated from the content of one image and the style of another in which the "
        "evaluator's probe recognises the other's style. The ceiling is real images of that style.",
    ),
    "swapped_content": MetricInfo(
        title="content of the swapped picture", better="more", kind="share",
        note="How often the content code of such an image is nearer to that of its content image than to "
        "that of its style image. The ceiling is the real image of the subject in that style.",
    ),
}  # fmt: skip

Readings = tuple[list[Tensor], list[Tensor]]
"""Linear and quadratic readings of the codes of a batch, each (n, _d)."""


@dataclass(frozen=True, kw_only=True)
class EncoderPaths:
    """The encoders of a generator, and its synthesis from their codes, as functions of images (N, 3, R, R)
    uint8."""

    content: Callable[[Tensor], Sequence[Tensor]]
    """Content codes, float (N, C, H, W): the features, then details if there are any."""
    style: Callable[[Tensor], Tensor]
    """Style codes, float (N, D), encoded without a label."""
    swap: Callable[[Tensor, Tensor], Tensor]
    """(content images, style images) -> the contents in those styles, uint8 (N, 3, R, R)."""


@dataclass(frozen=True, kw_only=True)
class LabelledImages:
    """Images of a split with styles numbered as in the generator, and their subjects."""

    images: UInt8[Tensor, "n 3 h w"]
    styles: Int64[Tensor, "n"]
    subjects: tuple[str, ...]

    @classmethod
    def of(cls, pictures: Pictures, names: tuple[str, ...], most: int) -> "LabelledImages":
        """Images of the styles `names`, about `most` of them: whole subjects, spread over the alphabet."""
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

    def codes(self, read: Callable[[Tensor], Readings], bar: Progress) -> Codes:
        batches: list[Readings] = []
        for images in self.images.split(BATCH):
            linear, products = read(images)
            batches.append(([x.cpu() for x in linear], [x.cpu() for x in products]))
            bar.update(len(images))
        linear, products = (
            tuple(torch.cat(parts) for parts in zip(*kind, strict=True))
            for kind in zip(*batches, strict=True)
        )
        return Codes(readings=linear, products=products, styles=self.styles, subjects=self.subjects)


def _readings(codes: Iterable[Tensor]) -> Readings:
    codes = list(codes)
    return [pooled_places(maps) for maps in codes], [channel_products(maps) for maps in codes]


# Scores
CodeScores = dict[str, Reading]
"""Readings of one code by what is read: style, products (style from products), subject."""


@dataclass(frozen=True, kw_only=True)
class NetworkScores:
    """All scores of one network."""

    codes: Mapping[str, CodeScores]
    """Those of the content code and of the style code."""
    swapped_style: Score
    swapped_content: Score
    real_content: Score | None
    """The same as `swapped_content` for real images of the subject in the other style."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The images, and the rows of the swaps that are tried with them."""

    train: LabelledImages
    test: LabelledImages
    count: int
    """Number of styles."""
    space: Space
    bar: Progress

    def code_scores(self, train: Codes, test: Codes) -> CodeScores:
        chance = 1 / self.count
        found = {"style": Reading(score=read_style(train, test, self.count), chance=chance)}
        if train.products:
            products = read_style(train.by_products(), test.by_products(), self.count)
            found["products"] = Reading(score=products, chance=chance)
        subject = read_subject(train, test, self.count)
        return found if subject is None else found | {"subject": subject}

    def both_splits(self, read: Callable[[Tensor], Readings]) -> CodeScores:
        return self.code_scores(self.train.codes(read, self.bar), self.test.codes(read, self.bar))

    def scores(self, paths: EncoderPaths) -> NetworkScores:
        def content(images: Tensor) -> Readings:
            return _readings(paths.content(images))

        test = self.test.codes(content, self.bar)
        by_content = self.code_scores(self.train.codes(content, self.bar), test)
        by_style = self.both_splits(lambda images: ([paths.style(images).float()], []))
        own, other = self.swaps()
        swapped, codes = self.swapped(paths, own, other), test.readings[0]
        read = swapped.codes(content, self.bar).readings[0]
        return NetworkScores(
            codes={"content": by_content, "style": by_style},
            swapped_style=self.recognised(swapped.images, swapped.styles),
            swapped_content=mean_score(nearer(read, codes[own], codes[other]), swapped.styles, self.count),
            real_content=self.real_content(codes, own, other),
        )

    def pixels(self, sides: Sequence[int]) -> CodeScores:
        """Scores of the images themselves, at the resolutions of the content codes."""

        def read(images: Tensor) -> Readings:
            sizes = (min(side, *images.shape[2:]) for side in sides)
            return _readings(F.adaptive_avg_pool2d(images.float() / 255, size) for size in sizes)

        return self.both_splits(read)

    def palette(self) -> CodeScores:
        return self.both_splits(lambda images: ([palette(images)], []))

    def swaps(self) -> tuple[Tensor, Tensor]:
        """Rows of the content images and of their style images. Raises EvalError if there are none."""
        other = partners(self.test.styles, self.test.subjects, self.count)
        own = (other >= 0).nonzero().squeeze(1)
        if len(own) == 0:
            raise EvalError("No held-out picture has another of another style and subject: pack more.")
        return own, other[own]

    def swapped(self, paths: EncoderPaths, own: Tensor, other: Tensor) -> LabelledImages:
        parts = []
        for a, b in zip(own.split(BATCH), other.split(BATCH), strict=True):
            parts.append(paths.swap(self.test.images[a], self.test.images[b]).cpu())
            self.bar.update(len(a))
        subjects = tuple(self.test.subjects[row] for row in own.tolist())
        return LabelledImages(images=torch.cat(parts), styles=self.test.styles[other], subjects=subjects)

    def recognised(self, images: Tensor, styles: Tensor) -> Score:
        """Style accuracy by the evaluator's probe."""
        features = extract([self.space.extractor], Stored(images=images, styles=styles))[0]
        return scores("accuracy", Labelled(features=features, styles=styles), self.space)["accuracy"]

    def real_content(self, codes: Tensor, own: Tensor, other: Tensor) -> Score | None:
        """Share of real images of subject `own` in the style of `other` whose code is nearer to `own`'s."""
        styles, subjects = self.test.styles.tolist(), self.test.subjects
        rows = {key: row for row, key in enumerate(zip(styles, subjects, strict=True))}
        swaps = zip(own.tolist(), other.tolist(), strict=True)
        real = torch.tensor([rows.get((styles[b], subjects[a]), -1) for a, b in swaps])
        exists = real >= 0
        if not exists.any():
            return None
        a, b, real = own[exists], other[exists], real[exists]
        return mean_score(nearer(codes[real], codes[a], codes[b]), self.test.styles[b], self.count)


# Results
def with_disentanglement(
    measurement: Measurement,
    paths: EncoderPaths,
    control: EncoderPaths | None,
    *,
    train: LabelledImages,
    test: LabelledImages,
    reference: Reference,
    progress: bool = False,
) -> Measurement:
    """Adds the metrics of DISENTANGLEMENT_INFO, for `paths` and for the untrained network's, `control`.

    Probes are fitted on the training images and applied to the held-out images `test`. Raises EvalError for
    fewer than two styles.
    """
    count = len(measurement.style_names)
    if count < 2:
        raise EvalError(f"Disentanglement takes two styles or more, and there are {count}: leave it out.")
    networks, few, rest = 1 if control is None else 2, len(test.styles), len(train.styles)
    total = networks * (2 * rest + 4 * few) + 2 * (rest + few)
    with Progress(total=total, desc="codes", unit="img", leave=False, disable=not progress) as bar:
        trial = Trial(train=train, test=test, count=count, space=reference.spaces[0], bar=bar)
        measured = trial.scores(paths)
        untrained = None if control is None else trial.scores(control)
        sides = [maps.shape[-1] for maps in paths.content(test.images[:1])]
        results = _results(
            trial, measured, untrained, {PIXELS: trial.pixels(sides), PALETTE: trial.palette()}
        )
    protocol = (
        f"codes of {len(train.styles)} training and {len(test.styles)} held-out pictures; ridge probe, "
        f"penalty of {', '.join(f'{penalty:g}' for penalty in PENALTIES)} and reading chosen on one training "
        f"subject of {FOLDS}; pixels at {', '.join(map(str, sides))} px; the control is the network before "
        "training"
    )
    return with_metric(measurement, "disentanglement", protocol, results)


def _results(
    trial: Trial, measured: NetworkScores, control: NetworkScores | None, plain: Mapping[str, CodeScores]
) -> dict[str, MetricResult]:
    results: dict[str, MetricResult] = {}
    for code, readings in measured.codes.items():
        for kind, reading in readings.items():
            untrained = control and control.codes[code].get(kind)
            baselines = {name: found[kind].score for name, found in plain.items() if kind in found}
            results[f"{kind}_in_{code}"] = MetricResult(
                about=DISENTANGLEMENT_INFO[f"{kind}_in_{code}"], features=f"{code} code",
                measured=reading.score, control=untrained and untrained.score,
                baselines={CHANCE: Score(value=reading.chance), **baselines},
            )  # fmt: skip
    own, other = trial.swaps()
    unchanged = trial.recognised(trial.test.images[own], trial.test.styles[other])
    results["swapped_style"] = MetricResult(
        about=DISENTANGLEMENT_INFO["swapped_style"], features=trial.space.extractor.name,
        measured=measured.swapped_style, real=held_out_scores("accuracy", trial.space)["accuracy"],
        control=control and control.swapped_style,
        baselines={CHANCE: Score(value=1 / trial.count), UNCHANGED: unchanged},
    )  # fmt: skip
    results["swapped_content"] = MetricResult(
        about=DISENTANGLEMENT_INFO["swapped_content"], features="content code",
        measured=measured.swapped_content, real=measured.real_content,
        control=control and control.swapped_content, control_real=control and control.real_content,
        baselines={CHANCE: Score(value=0.5)},
    )  # fmt: skip
    return results
