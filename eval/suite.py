"""The measure: how near generated pictures are to the real ones, and whether they carry their style.

A `Reference` holds what the real pictures say once; `evaluate` draws samples and compares. The same figures
are taken of samples and of held-out real pictures, with the evaluator's features and with those of its
random-weight control, so that every number stands beside its ceiling and its control.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Int64, UInt8
from torch import Tensor
from tqdm import tqdm

from .errors import EvalError
from .features import extract
from .measures import Labelled, Measures, figures_of
from .reference import Reference, Space, build_reference, default_extractors, load_reference, require_two_each
from .style import PENALTY

__all__ = [
    "Batch",
    "Measures",
    "Reference",
    "Sampler",
    "build_reference",
    "default_extractors",
    "evaluate",
    "evaluate_images",
    "load_reference",
]

Sampler = Callable[[Tensor, Tensor], Tensor]
"""styles (N, S) float32 weights, seeds (N,) int64 -> pictures (N, 3, R, R) uint8; same seed, same picture."""


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
    require_two_each(styles, reference.style_names, "images to measure")
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
    for batch in tqdm(
        batches, desc="measuring", total=total, disable=None if progress else True, leave=False
    ):
        labels.append(batch.styles)
        for space, features in zip(spaces, parts, strict=True):
            features.append(space.standardise(extract(space.extractor, [batch.images])))
        _require_size(batch.images, reference.size)
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
        "real_size": list(reference.size),
        "images_per_style": images,
        "real_train_images": len(spaces[0].train.styles),
        "real_test_images": len(spaces[0].test.styles),
        "real_fingerprint": reference.fingerprint,
        "torch": torch.__version__,
    }


def _require_size(images: Tensor, size: tuple[int, int]) -> None:
    """Larger pictures are sharper than all the real ones, and would be marked down for it.

    Smaller ones may pass: they come from a generator that is still growing, and lack what they lack.
    """
    if images.shape[2] > size[0] or images.shape[3] > size[1]:
        raise EvalError(
            f"Images of {images.shape[3]}x{images.shape[2]} pixels cannot be measured against real ones of "
            f"{size[1]}x{size[0]}: pack the data set at their resolution."
        )
