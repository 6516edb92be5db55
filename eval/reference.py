"""Features of the real images in every feature space, and what the metrics derive from them once."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from brushwork.data.dataset import ImageDataset, describe, load_dataset
from brushwork.data.split import AnySplit

from .errors import EvalError
from .features.extract import PLAIN, Extraction, Extractor, Standardiser, extract, user_cache
from .metrics.frechet import Gaussian, gaussian_of
from .metrics.neighbours import radii
from .metrics.style import LinearProbe, prototypes
from .results import Score
from .sources import Stored, opaque


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Features of images and the style of each."""

    features: Float32[Tensor, "n d"]
    styles: Int64[Tensor, "n"]

    def of(self, style: int) -> Float32[Tensor, "k d"]:
        return self.features[self.styles == style]

    def restricted_to(self, order: Sequence[int]) -> "Labelled":
        """Returns the images of the styles `order`, renumbered by their place in it; without an order, all
        images as of style 0."""
        if not order:
            return Labelled(features=self.features, styles=torch.zeros_like(self.styles))
        keep = torch.isin(self.styles, torch.tensor(order))
        styles = torch.tensor([order.index(style) for style in self.styles[keep].tolist()])
        return Labelled(features=self.features[keep], styles=styles.long())


@dataclass(frozen=True, kw_only=True)
class Space:
    """Features of the real images by one extractor, and the space of its control.

    `raw_train` and `raw_test` are the extractor's features. All derived values are in the scale of the space:
    standardised on the training images if the extractor asks for it. They are computed on first use.
    """

    extractor: Extractor
    raw_train: Labelled
    raw_test: Labelled
    styles: int
    """Number of styles. 0: labels are unknown, and all images have style 0."""
    control: "Space | None" = None
    held_out_scores: dict[str, dict[str, Score]] = field(default_factory=dict)
    """Scores of the held-out real images by metric, filled on first use."""

    @cached_property
    def scale(self) -> Standardiser:
        features = self.raw_train.features
        if self.extractor.standardised:
            return Standardiser.fit(features)
        return Standardiser(mean=torch.zeros(features.shape[1]), scale=torch.ones(features.shape[1]))

    @cached_property
    def train(self) -> Labelled:
        return self.scaled(self.raw_train)

    @cached_property
    def test(self) -> Labelled:
        return self.scaled(self.raw_test)

    @cached_property
    def gaussian(self) -> Gaussian:
        return gaussian_of(self.train.features)

    @cached_property
    def probe(self) -> LinearProbe:
        # The penalty suits standardised features, whatever the scale of the space.
        standard = Standardiser.fit(self.train.features)
        fitted = LinearProbe.fit(standard(self.train.features), self.train.styles, self.styles)
        return fitted.before(standard)

    @cached_property
    def prototypes(self) -> Float32[Tensor, "s d"]:
        return prototypes(self.train.features - self.centre, self.train.styles, self.styles)

    @cached_property
    def centre(self) -> Float32[Tensor, "d"]:
        """Mean of the training images, the origin for cosines."""
        return self.train.features.mean(0)

    @cached_property
    def train_radii(self) -> Float[Tensor, "n"]:
        return radii(self.train.features)

    def scaled(self, images: Labelled) -> Labelled:
        return Labelled(features=self.scale(images.features), styles=images.styles)

    def rehearsal(self, per_style: int) -> Labelled:
        """Returns `per_style` training images of each style, repeated where there are fewer. A style without
        training images gets those of any style."""
        own = self.raw_train
        parts = [(own.styles == style).nonzero().squeeze(1) for style in range(max(1, self.styles))]
        every, numbers = torch.arange(len(own.styles)), torch.arange(per_style)
        rows = [part[numbers % len(part)] if len(part) else every[numbers % len(every)] for part in parts]
        styles = torch.arange(len(parts)).repeat_interleave(per_style)
        return Labelled(features=own.features[torch.cat(rows)], styles=styles)

    def restricted_to(self, order: Sequence[int]) -> "Space":
        """Returns the space of the styles `order`, renumbered; without styles if it is empty."""
        return replace(
            self, raw_train=self.raw_train.restricted_to(order), raw_test=self.raw_test.restricted_to(order),
            control=self.control and self.control.restricted_to(order), styles=len(order), held_out_scores={},
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The real images that others are compared with, in one space per extractor."""

    style_names: tuple[str, ...]
    fingerprint: str
    size: tuple[int, int]
    """Height and width of the real images."""
    spaces: tuple[Space, ...]

    @property
    def all_spaces(self) -> list[Space]:
        """All spaces, each followed by its control."""
        return [each for space in self.spaces for each in (space, space.control) if each]

    def restricted_to(self, names: Sequence[str]) -> "Reference":
        """Returns the reference of the styles `names`, in this order, for a generator that knows fewer
        styles. No names: all images, without their styles.

        Raises EvalError for unknown names, unless the reference has no styles.
        """
        if not self.style_names or tuple(names) == self.style_names:
            return self
        unknown = [name for name in names if name not in self.style_names]
        if unknown:
            raise EvalError(
                f"The reference has no style {', '.join(map(repr, unknown))}: it has "
                f"{', '.join(self.style_names)}; measure against the data set that was trained on, and name "
                "folders of images as it does."
            )
        order = [self.style_names.index(name) for name in names]
        spaces = tuple(space.restricted_to(order) for space in self.spaces)
        return replace(self, style_names=tuple(names), spaces=spaces)


def build_reference(
    train: Stored,
    test: Stored,
    style_names: Sequence[str],
    fingerprint: str,
    extractors: Sequence[Extractor],
    *,
    control: bool = True,
    how: Extraction = PLAIN,
) -> Reference:
    """Extracts the features of the real images.

    Images with style -1 (unlabelled) are left out, unless there are no style names. `test` may be empty; then
    no metric has a ceiling. With `control`, each extractor's random-weight control gets a space, too.

    Raises EvalError if there is no training image.
    """
    names = tuple(style_names)
    everyone = [*extractors, *(extractor.control() for extractor in extractors if control)]

    def features(source: Stored, label: str) -> list[Labelled]:
        kept = source.styles >= 0 if names else torch.ones_like(source.styles, dtype=torch.bool)
        styles = source.styles[kept] if names else torch.zeros_like(source.styles)
        parts = [torch.empty(0, extractor.dim) for extractor in everyone]
        if len(source.styles):
            parts = extract(everyone, source, how, label)
        return [Labelled(features=part[kept], styles=styles) for part in parts]

    sides = zip(everyone, features(train, "real images"), features(test, "held-out images"), strict=True)
    spaces = [
        Space(extractor=extractor, raw_train=of_train, raw_test=of_test, styles=len(names))
        for extractor, of_train, of_test in sides
    ]
    if len(spaces[0].raw_train.styles) == 0:
        raise EvalError("There are 0 training images to measure against: pack more, or with labels.")
    controls = spaces[len(extractors) :] if control else [None] * len(extractors)
    spaces = [replace(space, control=beside) for space, beside in zip(spaces, controls, strict=False)]
    height, width = train.images.shape[2:]
    return Reference(style_names=names, fingerprint=fingerprint, size=(height, width), spaces=tuple(spaces))


def load_images(dataset: Path, split: AnySplit) -> ImageDataset:
    """Decodes a split of a packed data set, images with transparency on white. Raises as `load_dataset`."""
    images = load_dataset(dataset, split)
    return replace(images, images=opaque(images.images))


def load_reference(
    dataset: Path,
    extractors: Sequence[Extractor],
    *,
    control: bool = True,
    how: Extraction | None = None,
) -> Reference:
    """Builds the reference of a packed data set, by default with the user's cache of features. Raises
    EvalError as `build_reference` does, and DataError for a data set that cannot be read."""
    train = load_images(dataset, "train")
    held_out = describe(dataset).counts["test"] > 0
    test = load_images(dataset, "test") if held_out else train.subset(torch.arange(0))
    return build_reference(
        Stored(images=train.images, styles=train.styles), Stored(images=test.images, styles=test.styles),
        train.style_names, train.fingerprint, extractors, control=control,
        how=how or Extraction(cache=user_cache()),
    )  # fmt: skip
