"""What a training step gets besides a batch: the networks, and the settings of this one step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from brushwork.data.loader import Batch
from brushwork.models.classifier import StyleClassifier
from brushwork.models.discriminator import Discriminator
from brushwork.models.generator import Generator
from brushwork.models.stage import Stage, fade_reals

from .adversarial import Scoring
from .restyle.config import RestyleConfig
from .rng import BatchRNG

FeatureMaps = Callable[[Tensor, Stage], list[Tensor]]
"""Images in [-1, 1] at a stage -> feature maps, from fine to coarse."""


@dataclass(frozen=True, kw_only=True)
class Networks:
    """The two networks that are trained."""

    generator: Generator
    discriminator: Discriminator


@dataclass(frozen=True, kw_only=True)
class FrozenNetworks:
    """Networks that loss terms use and that are not trained; None where no term needs them."""

    classifier: StyleClassifier | None = None
    perception: FeatureMaps | None = None


@dataclass(frozen=True, kw_only=True)
class StepContext:
    """The settings of one step on one part of a batch."""

    scoring: Scoring
    """How the discriminator sees images: stage, loss, augmentation, penalty weight, random numbers."""
    label_weight: float = 1.0
    """Factor of the style labels, below 1 during transitional training."""
    grad_scale: float = 1.0
    """Factor of all gradients: 1 / the number of parts of the batch."""
    restyle: RestyleConfig = field(default_factory=RestyleConfig)
    term_weights: Mapping[str, float] = field(default_factory=dict)
    """Weight of each loss term of `restyle` in this step."""
    frozen_networks: FrozenNetworks = field(default_factory=FrozenNetworks)

    @property
    def stage(self) -> Stage:
        return self.scoring.stage

    @property
    def rng(self) -> BatchRNG:
        return self.scoring.rng

    def real_images(self, batch: Batch) -> Tensor:
        """The batch's images (N, 3, R, R), as blurred as the generator's while a resolution fades in."""
        return fade_reals(batch.images, self.stage.alpha)

    def styles(self, batch: Batch) -> Tensor:
        """The batch's style weights (N, S), times the label weight."""
        return batch.styles * self.label_weight
