"""The measure: how near generated pictures are to the real ones, and whether they carry their style.

A `Reference` holds what the real pictures say once; `evaluate` draws samples and compares. The same figures
are taken of samples and of held-out real pictures, with the evaluator's features and with those of its
random-weight control, so that every number stands beside its ceiling and its control.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Int64, UInt8
from torch import Tensor
from tqdm import tqdm

from ..data.pictures import load_pictures
from .errors import EvalError
from .features import (
    EfficientNetLite0,
    Extractor,
    Standardiser,
    cached_features,
    content_hash,
    extract,
    user_cache,
)
from .frechet import Gaussian, gaussian_of
from .measures import Figures, Labelled, Measures, figures_of
from .style import PENALTY, LinearProbe

Sampler = Callable[[Tensor, Tensor], Tensor]
"""styles (N, S) float32 weights, seeds (N,) int64 -> pictures (N, 3, R, R) uint8; same seed, same picture."""


# Reference
@dataclass(frozen=True, kw_only=True)
class Space:
    """Real pictures in one feature space: raw features, and what is derived from them once."""

    extractor: Extractor
    train: Labelled
    test: Labelled
    standardise: Standardiser
    real: Labelled
    gaussian: Gaussian
    probe: LinearProbe
    held_out: Figures


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The real pictures, ready to compare with: one space of the evaluator, one of its control."""

    style_names: tuple[str, ...]
    fingerprint: str
    evaluator: Space
    control: Space | None

    def restricted_to(self, names: Sequence[str]) -> "Reference":
        """The reference of these styles alone, in this order: for a generator that knows fewer styles."""
        if tuple(names) == self.style_names:
            return self
        unknown = [name for name in names if name not in self.style_names]
        if unknown:
            raise EvalError(
                f"The reference has no style {', '.join(map(repr, unknown))}: it has "
                f"{', '.join(self.style_names)}; measure against the data set that was trained on."
            )
        order = [self.style_names.index(name) for name in names]
        narrow = [space and _narrowed(space, order, tuple(names)) for space in (self.evaluator, self.control)]
        assert narrow[0] is not None
        return Reference(
            style_names=tuple(names), fingerprint=self.fingerprint, evaluator=narrow[0], control=narrow[1]
        )


def default_extractors(
    device: str | torch.device = "cpu", *, control: bool = True
) -> tuple[Extractor, Extractor | None]:
    """The offline evaluator and, if asked for, its random-weight control."""
    return EfficientNetLite0(device), EfficientNetLite0(device, pretrained=False) if control else None


def build_reference(
    train_images: UInt8[Tensor, "n 3 h w"],
    train_styles: Int64[Tensor, "n"],
    test_images: UInt8[Tensor, "m 3 h w"],
    test_styles: Int64[Tensor, "m"],
    style_names: Sequence[str],
    fingerprint: str,
    *,
    extractors: tuple[Extractor, Extractor | None],
    cache_dir: Path | None = None,
    progress: bool = False,
) -> Reference:
    """Takes the real pictures' figures. Pictures with style -1 (unlabelled) are left out.

    `extractors` are the evaluator and its control (None: no control). Features are cached in `cache_dir` by
    the content of the pictures and the protocol. Raises EvalError for a style with fewer than 2 pictures in
    either split.
    """
    names = tuple(style_names)
    _require_two_each(train_styles, names, "training pictures")
    _require_two_each(test_styles, names, "held-out pictures")

    def space(extractor: Extractor) -> Space:
        def labelled(images: Tensor, styles: Tensor, split: str) -> Labelled:
            label = f"{extractor.name}, {split}" if progress else None
            key = content_hash(images)
            features = cached_features(extractor, images, cache_dir, key, progress=label)
            return Labelled(features=features[styles >= 0], styles=styles[styles >= 0])

        train = labelled(train_images, train_styles, "real training pictures")
        return _space(extractor, train, labelled(test_images, test_styles, "held-out pictures"), names)

    evaluator, control = extractors
    return Reference(
        style_names=names,
        fingerprint=fingerprint,
        evaluator=space(evaluator),
        control=None if control is None else space(control),
    )


def load_reference(
    dataset: Path, *, device: str | torch.device = "cpu", control: bool = True, progress: bool = False
) -> Reference:
    """The reference of a packed data set, with the default extractors and the user's feature cache.

    Raises EvalError as build_reference does, and DataError for a data set that cannot be read.
    """
    train, test = load_pictures(dataset, "train"), load_pictures(dataset, "test")
    return build_reference(
        train.images, train.styles, test.images, test.styles, train.style_names, train.fingerprint,
        extractors=default_extractors(device, control=control), cache_dir=user_cache(), progress=progress,
    )  # fmt: skip


def _space(extractor: Extractor, train: Labelled, test: Labelled, names: tuple[str, ...]) -> Space:
    standardise = Standardiser.fit(train.features)
    fitted = Labelled(features=standardise(train.features), styles=train.styles)
    held_out = Labelled(features=standardise(test.features), styles=test.styles)
    real = Labelled(
        features=torch.cat([fitted.features, held_out.features]),
        styles=torch.cat([train.styles, test.styles]),
    )
    gaussian = gaussian_of(real.features)
    probe = LinearProbe.fit(fitted.features, fitted.styles, len(names))
    return Space(
        extractor=extractor, train=train, test=test, standardise=standardise, real=real, gaussian=gaussian,
        probe=probe, held_out=figures_of(held_out, real, gaussian, probe, len(names)),
    )  # fmt: skip


def _narrowed(space: Space, order: list[int], names: tuple[str, ...]) -> Space:
    def narrow(pictures: Labelled) -> Labelled:
        keep = torch.isin(pictures.styles, torch.tensor(order))
        renamed = torch.tensor([order.index(int(style)) for style in pictures.styles[keep]])
        return Labelled(features=pictures.features[keep], styles=renamed)

    return _space(space.extractor, narrow(space.train), narrow(space.test), names)


# Measuring
@dataclass(frozen=True, kw_only=True)
class Batch:
    """Pictures and the style that each claims to have."""

    images: Tensor
    styles: Int64[Tensor, "n"]


def evaluate(
    sampler: Sampler,
    reference: Reference,
    *,
    per_style: int = 200,
    batch: int = 64,
    seed: int = 0,
    control: bool = True,
    progress: bool = False,
    label: str = "",
    conditions: Mapping[str, str | float] = MappingProxyType({}),
) -> Measures:
    """Measures `per_style` samples of each style of the reference, in its order.

    Sample i has seed `seed + i` in every style, so styles differ by style alone. `label` says what was
    measured; `conditions` are choices inside the sampler that change the numbers (truncation) and become part
    of the protocol. Raises EvalError for `per_style` below 2 and for samples that are not uint8 (N, 3, R, R).
    """
    if per_style < 2 or batch < 1:
        raise EvalError(f"Cannot measure {per_style} samples a style in batches of {batch}: take 2 or more.")
    drawn = _samples(sampler, len(reference.style_names), per_style, batch, seed)
    total = len(reference.style_names) * -(-per_style // batch)
    how = {"source": "sampler", "seed": seed, **conditions}
    measures = _measured(drawn, total, reference, how, control=control, progress=progress)
    return replace(measures, label=label)


def evaluate_images(
    images: UInt8[Tensor, "n 3 h w"],
    styles: Int64[Tensor, "n"],
    reference: Reference,
    *,
    control: bool = True,
    progress: bool = False,
    label: str = "",
) -> Measures:
    """Measures pictures that exist already, `styles` being the style that each claims to have.

    Raises EvalError for a style of the reference with fewer than 2 of them, and for one without a style.
    """
    if (styles < 0).any():
        raise EvalError(
            f"{int((styles < 0).sum())} images to measure have no style: give each the one it claims."
        )
    _require_two_each(styles, reference.style_names, "images to measure")
    batches = [Batch(images=i, styles=s) for i, s in zip(images.split(128), styles.split(128), strict=True)]
    how = {"source": "images", "seed": None}
    total = len(batches)
    measures = _measured(iter(batches), total, reference, how, control=control, progress=progress)
    return replace(measures, label=label)


def _samples(sampler: Sampler, count: int, per_style: int, batch: int, seed: int) -> Iterator[Batch]:
    for style in range(count):
        for seeds in torch.arange(seed, seed + per_style).split(batch):
            styles = torch.full_like(seeds, style)
            images = sampler(F.one_hot(styles, count).float(), seeds)
            if len(images) != len(seeds):
                raise EvalError(
                    f"The sampler gave {len(images)} images for {len(seeds)} seeds: give one for each."
                )
            yield Batch(images=images, styles=styles)


def _measured(
    batches: Iterator[Batch],
    total: int,
    reference: Reference,
    how: dict[str, Any],
    *,
    control: bool,
    progress: bool,
) -> Measures:
    spaces = [reference.evaluator] + ([reference.control] if control and reference.control else [])
    parts: list[list[Tensor]] = [[] for _ in spaces]
    labels = []
    for batch in tqdm(batches, desc="measuring", total=total, disable=not progress, leave=False):
        labels.append(batch.styles)
        for space, features in zip(spaces, parts, strict=True):
            features.append(space.standardise(extract(space.extractor, [batch.images])))
    styles = torch.cat(labels)
    count = len(reference.style_names)
    figures = [
        figures_of(Labelled(features=torch.cat(f), styles=styles), s.real, s.gaussian, s.probe, count)
        for s, f in zip(spaces, parts, strict=True)
    ]
    return Measures(
        style_names=reference.style_names,
        samples=figures[0],
        real=reference.evaluator.held_out,
        control_samples=figures[1] if len(spaces) > 1 else None,
        control_real=spaces[1].held_out if len(spaces) > 1 else None,
        protocol=_protocol(reference, spaces, torch.bincount(styles, minlength=count).tolist()) | how,
    )


def _protocol(reference: Reference, spaces: list[Space], images: list[int]) -> dict[str, Any]:
    return {
        "features": spaces[0].extractor.protocol,
        "control": spaces[1].extractor.protocol if len(spaces) > 1 else None,
        "standardisation": "by mean and standard deviation of the real training features",
        "distance": "squared Frechet distance, covariance ddof 1, float64",
        "against": "all real pictures (train + test); the real row is test, which they contain",
        "probe": f"ridge on one-hot styles with intercept, lambda {PENALTY:g}, fitted on real train",
        "accuracy": "mean over the styles",
        "styles": list(reference.style_names),
        "images_per_style": images,
        "real_train_images": len(spaces[0].train.styles),
        "real_test_images": len(spaces[0].test.styles),
        "real_fingerprint": reference.fingerprint,
        "torch": torch.__version__,
    }


def _require_two_each(styles: Tensor, names: tuple[str, ...], what: str) -> None:
    counts = torch.bincount(styles[styles >= 0], minlength=len(names)).tolist()
    for name, count in zip(names, counts, strict=True):
        if count < 2:
            raise EvalError(f"Style {name!r} has {count} {what} and needs 2: add some or leave it out.")
