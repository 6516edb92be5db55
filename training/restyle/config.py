"""The share of each objective in the steps of a run, and the weights of loss terms."""

from dataclasses import field
from typing import Literal, get_args

import tyro

from brushwork.models.options import Kimg, Share, Weight, options

from ..errors import TrainingError
from ..rng import derived_seed

Regime = Literal["sampling", "restyling", "autoencoding", "contrast"]
REGIMES: tuple[Regime, ...] = get_args(Regime)


@options
class Term:
    """Weight of a loss term; in a JSON configuration it can rise from 0."""

    weight: Weight = 0.0
    """Factor of the term; 0 leaves it out."""
    rise_kimg: tyro.conf.Suppress[Kimg] = 0.0
    """Thousands of images over which the weight grows linearly from 0; 0: full weight at once."""

    def at(self, nimg: int) -> float:
        """The weight after `nimg` images."""
        return self.weight * (min(1.0, nimg / (1000 * self.rise_kimg)) if self.rise_kimg else 1.0)


@options
class RestyleConfig:
    """How often each objective is trained, and the terms of its loss. All objectives but sampling need
    `generator.encoders`."""

    sampling: Weight = 1.0
    """Share of steps that generate from latent codes, as a StyleGAN; shares are relative to each other."""
    restyling: Weight = 0.0
    """Share of steps that generate images of the batch in each other's style."""
    autoencoding: Weight = 0.0
    """Share of steps that reconstruct images from their own style and content."""
    contrast: Weight = 0.0
    """Share of steps that train the style encoder alone: two crops of one image have the same style."""
    exemplar_prob: Share = 0.3
    """Share of restyled images whose style code is encoded from an image of the target style."""
    self_style_prob: Share = 0.4
    """Share of restyled images whose style code is encoded from the image itself under the target label, so
    that its palette is kept. The remaining codes are mapped from latent codes."""
    label_dropout: Share = 0.5
    """Share of style images that are encoded without their label, as a user's are, so that the encoder
    learns to see the style."""
    adversarial: Term = field(default_factory=lambda: Term(weight=1.0))
    """The adversarial loss of restyled images."""
    style: Term = field(default_factory=lambda: Term(weight=1.0))
    """|E(G(x, w)) - w|: the style code can be read from the image (StarGAN v2, arXiv:1912.01865)."""
    cycle: Term = field(default_factory=lambda: Term(weight=1.0))
    """|G(C(G(x, w)), E(x)) - x|: restyled back, the image is the original."""
    content: Term = field(default_factory=lambda: Term(weight=1.0))
    """Squared difference of the content codes of a restyled image and its original."""
    perceptual: Term = field(default_factory=Term)
    """Distance of the style classifier's normalised feature maps of a restyled image and its original."""
    classifier: Term = field(default_factory=Term)
    """Cross entropy of the style classifier with the target style."""
    paired: Term = field(default_factory=Term)
    """|G(x, w) - y|, y the same subject really drawn in the target style; needs `loader.paired`."""
    reconstruct: Term = field(default_factory=lambda: Term(weight=10.0))
    """|G(C(x), E(x)) - x| of autoencoded images."""
    kl: Term = field(default_factory=lambda: Term(weight=0.01))
    """Divergence of the content code from its prior (with `generator.content_vae_channels`)."""
    info_nce: Term = field(default_factory=lambda: Term(weight=1.0))
    """Cross entropy of matching the two crops of an image by their style codes."""

    def __post_init__(self) -> None:
        if self.exemplar_prob + self.self_style_prob > 1:
            raise TrainingError(
                f"restyle.exemplar_prob {self.exemplar_prob} and self_style_prob {self.self_style_prob} "
                "exceed 1 together."
            )
        if sum(getattr(self, name) for name in REGIMES) == 0:
            raise TrainingError(
                f"restyle.{', '.join(REGIMES)} are all 0; set one above 0, or nothing is trained."
            )

    @property
    def needs_encoders(self) -> bool:
        return self.restyling + self.autoencoding + self.contrast > 0

    @property
    def needs_classifier(self) -> bool:
        """Whether a term that counts uses the classifier."""
        return self.uses("perceptual") or self.uses("classifier")

    def uses(self, name: str) -> bool:
        """Whether a term counts, in a regime that is trained."""
        trained = {
            "reconstruct": self.autoencoding, "info_nce": self.contrast,
            "kl": self.restyling + self.autoencoding,
        }.get(name, self.restyling)  # fmt: skip
        return trained > 0 and getattr(self, name).weight > 0

    def shares(self) -> dict[Regime, float]:
        """Each trained regime's share of the steps."""
        total = sum(getattr(self, name) for name in REGIMES)
        return {name: getattr(self, name) / total for name in REGIMES if getattr(self, name)}

    def regime_at(self, nimg: int, seed: int) -> Regime:
        """The regime of the step at `nimg`: drawn by the shares, the same in every process."""
        shares, place = self.shares(), derived_seed(seed, nimg, "regime") / 2**63
        for name, share in shares.items():
            if place < share:
                return name
            place -= share
        return next(reversed(shares))  # what rounding left over

    def weights_at(self, nimg: int) -> dict[str, float]:
        """Each term's weight."""
        return {name: getattr(self, name).at(nimg) for name in TERMS}


TERMS: tuple[str, ...] = tuple(
    name for name, one in RestyleConfig.__dataclass_fields__.items() if one.type in (Term, "Term")
)
"""Every term that has a weight, in the order of the log."""
