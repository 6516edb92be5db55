"""What the real pictures say, once: their features in each space that is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from brushwork.data.pictures import describe, load_pictures

from .errors import EvalError
from .features.cache import FeatureCache, user_cache
from .features.extract import Extractor, extract
from .features.extractors import build_extractor
from .processes import Processes
from .sources import Stored
from .spaces import Labelled, Space


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The real pictures, ready to compare with, in one space an extractor."""

    style_names: tuple[str, ...]
    fingerprint: str
    size: tuple[int, int]
    """Height and width of the real pictures."""
    spaces: tuple[Space, ...]

    @property
    def all_spaces(self) -> list[Space]:
        """Each with its control behind it."""
        return [beside for space in self.spaces for beside in (space, space.control) if beside]

    def restricted_to(self, names: Sequence[str]) -> "Reference":
        """The reference of these styles alone, in this order: for a generator that knows fewer styles. For
        one that knows none, that of all pictures without their styles.

        Raises EvalError for names that it has not, unless it has none.
        """
        if not self.style_names or tuple(names) == self.style_names:
            return self
        if not names:
            return replace(self, style_names=(), spaces=tuple(space.unlabelled() for space in self.spaces))
        unknown = [name for name in names if name not in self.style_names]
        if unknown:
            raise EvalError(
                f"The reference has no style {', '.join(map(repr, unknown))}: it has "
                f"{', '.join(self.style_names)}; measure against the data set that was trained on, and name "
                "folders of pictures as it does."
            )
        order = [self.style_names.index(name) for name in names]
        return replace(
            self, style_names=tuple(names), spaces=tuple(space.narrowed(order) for space in self.spaces)
        )


def build_reference(
    train: Stored,
    test: Stored,
    style_names: Sequence[str],
    fingerprint: str,
    extractors: Sequence[Extractor],
    *,
    control: bool = True,
    cache: FeatureCache | None = None,
    processes: Processes | None = None,
    progress: bool = False,
) -> Reference:
    """Takes the real pictures' features. Pictures with style -1 (unlabelled) are left out, unless there are
    no styles. `test` may be empty: then no figure has its ceiling.

    With `control`, each extractor's random-weight control gets a space beside it. Raises EvalError without a
    training picture.
    """
    names = tuple(style_names)
    controls = [extractor.control() for extractor in extractors] if control else []
    everyone = [*extractors, *controls]

    def features(source: Stored, words: str) -> list[Tensor]:
        if len(source.styles) == 0:
            return [torch.empty(0, extractor.dim) for extractor in everyone]
        label = words if progress else None
        return extract(everyone, source, cache=cache, processes=processes, progress=label)

    seen = zip(everyone, features(train, "real pictures"), features(test, "held-out pictures"), strict=True)
    spaces = [
        Space(
            extractor=extractor, raw_train=_labelled(in_train, train.styles, names),
            raw_test=_labelled(in_test, test.styles, names), styles=len(names),
        )
        for extractor, in_train, in_test in seen
    ]  # fmt: skip
    if len(spaces[0].raw_train.styles) == 0:
        raise EvalError("There are 0 training pictures to measure against: pack more, or with labels.")
    count = len(extractors)
    if control:
        pairs = zip(spaces[:count], spaces[count:], strict=True)
        spaces = [replace(space, control=beside) for space, beside in pairs]
    height, width = train.images.shape[2:]
    return Reference(style_names=names, fingerprint=fingerprint, size=(height, width), spaces=tuple(spaces))


def load_reference(
    dataset: Path,
    extractors: Sequence[Extractor] | None = None,
    *,
    device: str | torch.device = "cpu",
    control: bool = True,
    cache: FeatureCache | None = None,
    processes: Processes | None = None,
    progress: bool = False,
) -> Reference:
    """The reference of a packed data set, with the user's feature cache; else for the offline evaluator.

    Raises EvalError as build_reference does, and DataError for a data set that cannot be read.
    """
    train = load_pictures(dataset, "train")
    held_out = describe(dataset).counts["test"] > 0
    test = load_pictures(dataset, "test") if held_out else train.subset(torch.arange(0))
    return build_reference(
        Stored(images=train.images, styles=train.styles), Stored(images=test.images, styles=test.styles),
        train.style_names, train.fingerprint, extractors or [build_extractor("efficientnet-lite0", device)],
        control=control, cache=cache or FeatureCache(user_cache()), processes=processes, progress=progress,
    )  # fmt: skip


def _labelled(features: Tensor, styles: Tensor, names: tuple[str, ...]) -> Labelled:
    if not names:
        return Labelled(features=features, styles=torch.zeros_like(styles))
    return Labelled(features=features[styles >= 0], styles=styles[styles >= 0])
