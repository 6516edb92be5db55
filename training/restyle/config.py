"""What a run trains beside its adversary: the regimes, and each term's weight and schedule."""

from dataclasses import field
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval

from brushwork.models.options import Kimg, Share, Weight, options

from ..errors import TrainingError
from ..rng import derived_seed

Regime = Literal["sampling", "restyling", "autoencoding", "contrast"]
REGIMES: tuple[Regime, ...] = ("sampling", "restyling", "autoencoding", "contrast")


@options
class Term:
    """How much a term of the loss counts, and when."""

    weight: Weight = 0.0
    """Its factor; 0 leaves it out."""
    rise_kimg: Kimg = 0.0
    """Grows from nothing over so many thousand images; 0: is there at once."""
    fall_kimg: Kimg = 0.0
    """Falls to nothing at so many thousand images; 0: stays."""

    def at(self, nimg: int) -> float:
        """The weight after `nimg` images: at most two straight lines."""
        risen = min(1.0, nimg / (1000 * self.rise_kimg)) if self.rise_kimg else 1.0
        left = max(0.0, 1 - nimg / (1000 * self.fall_kimg)) if self.fall_kimg else 1.0
        return self.weight * risen * left


@options
class PerceptionConfig:
    """The network whose feature maps are compared."""

    network: Literal["classifier", "vgg16", "vgg19", "hed-vgg16"] = "classifier"
    """The style classifier that is trained here on the data set, a VGG with ImageNet weights, or one that was
    taught edges (`brushwork fetch hed-vgg16`)."""
    weights: Path | None = None
    """File of the VGG's weights; None: the cache, or, but for hed-vgg16, a download."""
    taps: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1")
    """Layers of the VGG that are compared; the classifier's maps are those of all its resolutions."""


@options
class RestyleConfig:
    """How often each thing is trained, and the terms of the loss. All but sampling needs
    `generator.encoders`."""

    sampling: Weight = 1.0
    """Share of the steps that draw from latent codes, as a StyleGAN does; shares count against each other."""
    restyling: Weight = 0.0
    """Share of the steps that redraw pictures in the style of others."""
    autoencoding: Weight = 0.0
    """Share of the steps that rebuild pictures from their own style and content."""
    contrast: Weight = 0.0
    """Share of the steps that teach the style encoder alone: two crops of a picture share a style."""
    by_picture: Share = 0.3
    """Part of the restyled pictures whose code is read off a picture of the new style."""
    by_self: Share = 0.4
    """Part of them whose code is read off the picture itself, under the new style's name: its own palette as
    that style would have it. What is left of 1 is drawn from a latent code."""
    hide_label: Share = 0.5
    """Part of the style pictures that are read without their style's name, as those of a user are: so that
    the style is seen, not believed."""
    pixels: Literal["l1", "l2"] = "l1"
    """How pixels are compared: absolute or squared differences."""
    contrast_group: Annotated[int, Interval(ge=2, le=65536)] = 8
    """Pictures of a batch among which a crop has to find its other half."""
    temperature: Annotated[float, Interval(ge=0.001, le=1000)] = 0.2
    """Sharpness of that search."""
    perception: PerceptionConfig = field(default_factory=PerceptionConfig)
    """Through whose eyes perceptual terms compare pictures."""
    adversarial: Term = field(default_factory=lambda: Term(weight=1.0))
    """The discriminator's judgement of restyled pictures."""
    style: Term = field(default_factory=lambda: Term(weight=1.0))
    """|E(G(x, w)) - w|: the style that went in can be read off (StarGAN v2, arXiv:1912.01865)."""
    diversity: Term = field(default_factory=Term)
    """-|G(x, w1) - G(x, w2)|: another latent code is another picture."""
    cycle: Term = field(default_factory=lambda: Term(weight=1.0))
    """|G(C(G(x, w)), E(x)) - x|: restyled back, the picture is itself again."""
    content: Term = field(default_factory=lambda: Term(weight=1.0))
    """Squared difference between the content codes of a restyled picture and its original."""
    leak: Term = field(default_factory=Term)
    """How surely a critic, trained along with the discriminator, tells the style of the content code."""
    perceptual: Term = field(default_factory=Term)
    """Difference of direction between the feature maps of a restyled picture and its original."""
    classifier: Term = field(default_factory=Term)
    """Cross entropy of the style classifier's answer with the style asked for."""
    gram: Term = field(default_factory=Term)
    """Distance of the Gram matrices of a restyled picture and the picture whose style it follows."""
    mean_std: Term = field(default_factory=Term)
    """Distance of their feature maps' means and deviations."""
    paired: Term = field(default_factory=Term)
    """|G(x, w) - the real drawing|: supervision by redrawn pictures; needs `loader.paired`."""
    rebuild: Term = field(default_factory=lambda: Term(weight=10.0))
    """|G(C(x), E(x)) - x| where pictures are rebuilt."""
    rebuild_perceptual: Term = field(default_factory=Term)
    """Difference of direction between the feature maps of a rebuilt picture and its original."""
    divergence: Term = field(default_factory=lambda: Term(weight=0.01))
    """Divergence of the content code from its prior (with `generator.content_latent`)."""
    crops: Term = field(default_factory=lambda: Term(weight=1.0))
    """Cross entropy of finding a crop's other half by its style code."""

    def __post_init__(self) -> None:
        if self.by_picture + self.by_self > 1:
            raise TrainingError(
                f"restyle.by_picture {self.by_picture} and by_self {self.by_self} exceed 1 together."
            )
        if sum(getattr(self, name) for name in REGIMES) == 0:
            raise TrainingError(
                f"restyle.{', '.join(REGIMES)} are all 0; one must be above, or nothing is trained."
            )

    @property
    def needs_encoders(self) -> bool:
        return self.restyling + self.autoencoding + self.contrast > 0

    @property
    def needs_classifier(self) -> bool:
        """Whether any term that counts asks the classifier."""
        return self.uses("classifier") or (self.perception.network == "classifier" and self.needs_perception)

    @property
    def needs_perception(self) -> bool:
        """Whether any term that counts compares feature maps."""
        return any(self.uses(name) for name in ("perceptual", "gram", "mean_std", "rebuild_perceptual"))

    def uses(self, name: str) -> bool:
        """Whether a term counts, in a regime that is trained."""
        trained = {
            "rebuild": self.autoencoding, "rebuild_perceptual": self.autoencoding, "crops": self.contrast,
            "divergence": self.restyling + self.autoencoding,
        }.get(name, self.restyling)  # fmt: skip
        return trained > 0 and getattr(self, name).weight > 0

    def shares(self) -> dict[Regime, float]:
        """Of all steps, those of each regime that is trained."""
        total = sum(getattr(self, name) for name in REGIMES)
        return {name: getattr(self, name) / total for name in REGIMES if getattr(self, name)}

    def regime_at(self, nimg: int, seed: int) -> Regime:
        """What the step at `nimg` trains: drawn by the shares, the same in every process."""
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
