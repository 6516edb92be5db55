"""Disentanglement: what each code of a generator with encoders holds, and what swapping the codes changes.

Every value has baselines: chance, the same probes on raw pixels, and on the palette. The control is the
network before training.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
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
from .reference import Labelled, Space
from .results import Measurement, MetricInfo, MetricResult, Score, share
from .sources import Stored
from .suite import held_out_scores, scores, with_metric

MOST_TRAIN, MOST_TEST = 1800, 1200
"""Images of each split whose codes are taken, at most."""

BATCH = 64

CHANCE, PIXELS, PALETTE = "chance", "raw pixels", "palette"

DISENTANGLEMENT_INFO: dict[str, MetricInfo] = {
    "style_in_content": share(
        "style read off the content code", "Share whose style a linear probe finds, over the styles.", "less"
    ),
    "products_in_content": share(
        "style read off products of the content code",
        "The same from quadratic functions of the code.",
        "less",
    ),
    "subject_in_content": share(
        "subject read off the content code", "How often the nearest code in another style has the subject."
    ),
    "style_in_style": share(
        "style read off the style code", "Share whose style a linear probe finds; encoded without a label."
    ),
    "subject_in_style": share(
        "subject read off the style code",
        "How often the nearest code in another style has the subject.",
        "less",
    ),
    "swapped_style": share(
        "style of the swapped picture", "Share whose style image's style the evaluator's probe recognises."
    ),
    "swapped_content": share(
        "content of the swapped picture",
        "How often its content code is nearer to its content's than its style's.",
    ),
}

Codings = tuple[list[Tensor], list[Tensor]]
"""Linear and quadratic readings of the codes of a batch, each (n, _d)."""

Coder = Callable[[Tensor], Codings]
"""Codes of images (n, 3, h, w) uint8."""


@dataclass(frozen=True, kw_only=True)
class EncoderPaths:
    """The encoders of a generator, and its synthesis from their codes, as functions of images, uint8."""

    content: Callable[[Tensor], Sequence[Tensor]]
    """Content codes, float (N, C, H, W): the features, then details if there are any."""
    style: Callable[[Tensor], Tensor]
    """Style codes, float (N, D), encoded without a label."""
    swap: Callable[[Tensor, Tensor], Tensor]
    """(content images, style images) -> the contents in those styles, uint8 (N, 3, R, R)."""


def chosen_images(pictures: Pictures, names: tuple[str, ...], most: int) -> Pictures:
    """Returns the images of the styles `names`, renumbered by their place in it, and about `most` of them:
    whole subjects, spread over the alphabet."""
    known = {pictures.style_names.index(name): n for n, name in enumerate(names)}
    labelled = [row for row, style in enumerate(pictures.styles.tolist()) if style in known]
    subjects = sorted({pictures.subjects[row] for row in labelled})
    count = min(len(subjects), max(2, len(subjects) * most // max(1, len(labelled))))
    kept = {subjects[n * len(subjects) // count] for n in range(count)}
    rows = torch.tensor([row for row in labelled if pictures.subjects[row] in kept], dtype=torch.int64)
    chosen = pictures.subset(rows)
    styles = torch.tensor([known[style] for style in chosen.styles.tolist()], dtype=torch.int64)
    return replace(chosen, styles=styles, style_names=names)


def content_codings(codes: Iterable[Tensor]) -> Codings:
    codes = list(codes)
    return [pooled_places(maps) for maps in codes], [channel_products(maps) for maps in codes]


# Readings
@dataclass(frozen=True, kw_only=True)
class Probes:
    """Reads codes and swaps of the held-out images `test`, with probes fitted on the images `train`."""

    train: Pictures
    test: Pictures
    space: Space
    """The features by which the style of a swapped image is recognised."""

    @property
    def styles(self) -> int:
        return len(self.test.style_names)

    def codes(self, pictures: Pictures, coder: Coder) -> Codes:
        linear: list[list[Tensor]] = []
        products: list[list[Tensor]] = []
        parts = pictures.images.split(BATCH)
        for images in Progress(parts, desc="codes", unit="batch", leave=False):
            for batches, readings in zip((linear, products), coder(images), strict=True):
                batches.append([reading.cpu() for reading in readings])
        return Codes(
            readings=tuple(map(torch.cat, zip(*linear, strict=True))),
            products=tuple(map(torch.cat, zip(*products, strict=True))),
            styles=pictures.styles, subjects=pictures.subjects,
        )  # fmt: skip

    def read(self, train: Codes, test: Codes) -> dict[str, Reading]:
        """Returns what the codes tell: style, products (the style, from products), subject."""
        chance = 1 / self.styles
        found = {"style": Reading(score=read_style(train, test, self.styles), chance=chance)}
        if train.products:
            products = read_style(train.by_products(), test.by_products(), self.styles)
            found["products"] = Reading(score=products, chance=chance)
        subject = read_subject(train, test, self.styles)
        return found if subject is None else found | {"subject": subject}

    def read_images(self, coder: Coder) -> dict[str, Reading]:
        return self.read(self.codes(self.train, coder), self.codes(self.test, coder))

    def read_network(self, paths: EncoderPaths) -> dict[str, Reading]:
        """Returns all readings by figure, and `real_content`: that of real images in place of the swapped."""

        def coder(images: Tensor) -> Codings:
            return content_codings(paths.content(images))

        test = self.codes(self.test, coder)
        by_code = {
            "content": self.read(self.codes(self.train, coder), test),
            "style": self.read_images(lambda images: ([paths.style(images).float()], [])),
        }
        found = {f"{kind}_in_{code}": one for code, kinds in by_code.items() for kind, one in kinds.items()}
        own, other = self.swaps()
        swapped, codes = self.swapped(paths, own, other), test.readings[0]
        recognised = self.recognised(swapped.images, swapped.styles)
        found["swapped_style"] = Reading(score=recognised, chance=1 / self.styles)
        read = self.codes(swapped, coder).readings[0]
        kept = mean_score(nearer(read, codes[own], codes[other]), swapped.styles, self.styles)
        found["swapped_content"] = Reading(score=kept, chance=0.5)
        real = self.real_rows(own, other)
        own, other, real = (rows[real >= 0] for rows in (own, other, real))
        if len(real):
            kept = mean_score(nearer(codes[real], codes[own], codes[other]), test.styles[other], self.styles)
            found["real_content"] = Reading(score=kept, chance=0.5)
        return found

    # Swaps
    def swaps(self) -> tuple[Tensor, Tensor]:
        """Returns the rows of content images and of their style images. Raises EvalError for none."""
        other = partners(self.test.styles, self.test.subjects, self.styles)
        own = (other >= 0).nonzero().squeeze(1)
        if len(own) == 0:
            raise EvalError("No held-out picture has another of another style and subject: pack more.")
        return own, other[own]

    def swapped(self, paths: EncoderPaths, own: Tensor, other: Tensor) -> Pictures:
        """Returns the images `own` in the styles of the images `other`."""
        contents, styles = self.test.subset(own), self.test.subset(other)
        sides = zip(contents.images.split(BATCH), styles.images.split(BATCH), strict=True)
        images = torch.cat([paths.swap(content, style).cpu() for content, style in sides])
        return replace(contents, images=images, styles=styles.styles)

    def real_rows(self, own: Tensor, other: Tensor) -> Tensor:
        """Returns the row of the real image with the subject of `own` in the style of `other`, or -1."""
        styles, subjects = self.test.styles.tolist(), self.test.subjects
        rows = {key: row for row, key in enumerate(zip(styles, subjects, strict=True))}
        swaps = zip(own.tolist(), other.tolist(), strict=True)
        return torch.tensor([rows.get((styles[b], subjects[a]), -1) for a, b in swaps])

    def recognised(self, images: Tensor, styles: Tensor) -> Score:
        """Returns the style accuracy by the evaluator's probe."""
        features = extract([self.space.extractor], Stored(images=images, styles=styles))[0]
        return scores("accuracy", Labelled(features=features, styles=styles), self.space)["accuracy"]


# Results
def with_disentanglement(
    measurement: Measurement,
    networks: tuple[EncoderPaths, EncoderPaths | None],
    space: Space,
    *,
    train: Pictures,
    test: Pictures,
) -> Measurement:
    """Adds the metrics of DISENTANGLEMENT_INFO. `networks` are the trained one and the untrained control.

    Probes are fitted on the training images and applied to the held-out images `test`. Raises EvalError for
    fewer than two styles.
    """
    count = len(measurement.style_names)
    if count < 2:
        raise EvalError(f"Disentanglement takes two styles or more, and there are {count}: leave it out.")
    paths, control = networks
    sides = [maps.shape[-1] for maps in paths.content(test.images[:1])]

    def pixels(images: Tensor) -> Codings:
        sizes = (min(side, *images.shape[2:]) for side in sides)
        return content_codings(F.adaptive_avg_pool2d(images.float() / 255, size) for size in sizes)

    probes = Probes(train=train, test=test, space=space)
    plain = {
        PIXELS: probes.read_images(pixels),
        PALETTE: probes.read_images(lambda images: ([palette(images)], [])),
    }
    untrained = {} if control is None else probes.read_network(control)
    results = _results(probes, probes.read_network(paths), untrained, plain)
    protocol = (
        f"codes of {len(train)} training and {len(test)} held-out pictures; ridge probe, "
        f"penalty of {', '.join(f'{penalty:g}' for penalty in PENALTIES)} and reading chosen on one training "
        f"subject of {FOLDS}; pixels at {', '.join(map(str, sides))} px; the control is the network before "
        "training"
    )
    return with_metric(measurement, "disentanglement", protocol, results)


def _results(
    probes: Probes,
    measured: Mapping[str, Reading],
    control: Mapping[str, Reading],
    plain: Mapping[str, Mapping[str, Reading]],
) -> dict[str, MetricResult]:
    """Returns the figures. `plain` are readings of the images themselves, by name and kind."""

    def score(readings: Mapping[str, Reading], name: str) -> Score | None:
        return readings[name].score if name in readings else None

    results: dict[str, MetricResult] = {}
    for name, about in DISENTANGLEMENT_INFO.items():
        if name not in measured:
            continue
        kind, _, code = name.partition("_in_")
        baselines = {baseline: found[kind].score for baseline, found in plain.items() if kind in found}
        results[name] = MetricResult(
            about=about, features=f"{code or 'content'} code", measured=measured[name].score,
            control=score(control, name),
            baselines={CHANCE: Score(value=measured[name].chance), **baselines},
        )  # fmt: skip
    own, other = probes.swaps()
    unchanged = probes.recognised(probes.test.images[own], probes.test.styles[other])
    style = results["swapped_style"]
    results["swapped_style"] = replace(
        style, real=held_out_scores("accuracy", probes.space)["accuracy"],
        features=probes.space.extractor.name, baselines={**style.baselines, UNCHANGED: unchanged},
    )  # fmt: skip
    results["swapped_content"] = replace(
        results["swapped_content"], real=score(measured, "real_content"),
        control_real=score(control, "real_content"),
    )  # fmt: skip
    return results
