"""Real pictures in one feature space, and what is derived from them once: all that a metric reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from .features.extract import Extractor, Standardiser
from .measures import Score
from .metrics.frechet import Gaussian, gaussian_of
from .metrics.manifold import radii
from .metrics.similarity import prototypes
from .metrics.style import LinearProbe


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Features of pictures and the style of each."""

    features: Float32[Tensor, "n d"]
    styles: Int64[Tensor, "n"]

    def of(self, style: int) -> Float32[Tensor, "k d"]:
        return self.features[self.styles == style]


@dataclass(frozen=True, kw_only=True)
class Space:
    """One extractor's features of the real pictures, and the same of its random-weight control.

    `raw_train` and `raw_test` are as the extractor gave them; everything else is in the space's own scale
    (standardised on the training pictures where the extractor wants it) and made when first asked for.
    """

    extractor: Extractor
    raw_train: Labelled
    raw_test: Labelled
    styles: int
    """Number of style names; 0: labels are unknown, and all pictures stand under style 0."""
    control: "Space | None" = None
    held_out_scores: dict[str, dict[str, Score]] = field(default_factory=dict)
    """What held-out real pictures score, by metric: filled when first asked for."""

    @cached_property
    def scale(self) -> Standardiser:
        features = self.raw_train.features
        wanted = self.extractor.standardised
        return Standardiser.fit(features) if wanted else Standardiser.none(features.shape[1])

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
        # Its penalty is one for all columns, so it reads standardised features whatever the space's scale.
        standard = Standardiser.fit(self.train.features)
        fitted = LinearProbe.fit(standard(self.train.features), self.train.styles, self.styles)
        return fitted.before(standard)

    @cached_property
    def prototypes(self) -> Float32[Tensor, "s d"]:
        return prototypes(self.train.features - self.centre, self.train.styles, self.styles)

    @cached_property
    def centre(self) -> Float32[Tensor, "d"]:
        """Where the directions of cosines start from: the middle of the training pictures."""
        return self.train.features.mean(0)

    @cached_property
    def train_radii(self) -> Float[Tensor, "n"]:
        return radii(self.train.features)

    def scaled(self, pictures: Labelled) -> Labelled:
        return Labelled(features=self.scale(pictures.features), styles=pictures.styles)

    def dealt_out(self, per_style: int) -> Labelled:
        """So many training pictures of each style, again from the first where there are fewer; of any where
        there are none."""
        own = self.raw_train
        parts = [(own.styles == style).nonzero().squeeze(1) for style in range(max(1, self.styles))]
        every, turn = torch.arange(len(own.styles)), torch.arange(per_style)
        rows = [part[turn % len(part)] if len(part) else every[turn % len(every)] for part in parts]
        styles = torch.arange(len(parts)).repeat_interleave(per_style)
        return Labelled(features=own.features[torch.cat(rows)], styles=styles)

    def narrowed(self, order: Sequence[int]) -> "Space":
        """The space of these styles alone, renumbered in this order."""

        def narrow(pictures: Labelled) -> Labelled:
            keep = torch.isin(pictures.styles, torch.tensor(order))
            renamed = torch.tensor([order.index(int(style)) for style in pictures.styles[keep]])
            return Labelled(features=pictures.features[keep], styles=renamed.long())

        return replace(
            self, raw_train=narrow(self.raw_train), raw_test=narrow(self.raw_test), styles=len(order),
            control=self.control and self.control.narrowed(order), held_out_scores={},
        )  # fmt: skip

    def unlabelled(self) -> "Space":
        """The space of the same pictures without their styles."""

        def bare(pictures: Labelled) -> Labelled:
            return Labelled(features=pictures.features, styles=torch.zeros_like(pictures.styles))

        return replace(
            self, raw_train=bare(self.raw_train), raw_test=bare(self.raw_test), styles=0,
            control=self.control and self.control.unlabelled(), held_out_scores={},
        )  # fmt: skip
