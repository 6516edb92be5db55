"""What the real pictures say, once: features, standardisation, probe, figures of held-out ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from ..data.pictures import load_pictures
from .errors import EvalError
from .features import EfficientNetLite0, Extractor, Standardiser, cached_features, content_hash, user_cache
from .frechet import Gaussian, gaussian_of
from .measures import Figures, Labelled, figures_of
from .style import LinearProbe


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
    size: tuple[int, int]
    """Height and width of the real pictures."""
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
        return replace(self, style_names=tuple(names), evaluator=narrow[0], control=narrow[1])


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
    if not names:
        raise EvalError("The reference has no styles to measure: pack pictures in one folder a style.")
    require_two_each(train_styles, names, "training pictures")
    require_two_each(test_styles, names, "held-out pictures")

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
        size=(train_images.shape[2], train_images.shape[3]),
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


def require_two_each(styles: Tensor, names: tuple[str, ...], what: str) -> None:
    """Raises EvalError for a style of which there are fewer than 2 pictures: they have no covariance."""
    counts = torch.bincount(styles[styles >= 0], minlength=len(names)).tolist()
    for name, count in zip(names, counts, strict=True):
        if count < 2:
            raise EvalError(f"Style {name!r} has {count} {what} and needs 2: add some or leave it out.")
