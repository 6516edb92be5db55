"""Changes of a preset that experiments compare."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from brushwork.data.dataset import load_dataset
from brushwork.models.norm import EPS
from brushwork.training.augment import AugmentConfig
from brushwork.training.auto.choose import KINDS, REQUEST, choose
from brushwork.training.auto.facts import Collection, Machine
from brushwork.training.config import TrainConfig
from brushwork.training.prepare.transfer import Source
from brushwork.training.restyle.config import Term
from brushwork.training.schedules import GrowingConfig, phases

Variant = Callable[[TrainConfig], TrainConfig]


def changed(part: str, **changes: Any) -> Variant:
    """Replaces fields of one part of the configuration."""
    return lambda config: replace(config, **{part: replace(getattr(config, part), **changes)})


def one_resolution(config: TrainConfig) -> TrainConfig:
    """Without growing."""
    return replace(config, growing=GrowingConfig(start_resolution=config.generator.resolution))


def diffaugment(config: TrainConfig) -> TrainConfig:
    """Colour, shifts by an eighth, and a cutout of half the side (Zhao 2020)."""
    return replace(config, augment=AugmentConfig(colour=1.0, translation=0.125, cutout=0.5))


def ada(kimg: float) -> Variant:
    """The kinds of `train auto`; 500 is the published speed, and 100 that of transfers."""
    return lambda config: replace(config, augment=AugmentConfig(ada=KINDS, ada_kimg=kimg))


def auto(config: TrainConfig) -> TrainConfig:
    """What `train auto` chooses for one core, at a speed that is the same on every machine."""
    side = config.generator.resolution
    request = replace(
        REQUEST, data=config.data, start_from=config.start_from, max_minutes=config.max_minutes,
        generator=replace(REQUEST.generator, resolution=side),
    )  # fmt: skip
    return choose(
        request, Collection.of(config.data, load_dataset(config.data, "train")),
        Machine(gpu=False, name="one core"), Source.load(config.start_from) if config.start_from else None,
        overridden=lambda recipe: recipe,
        rates_of=lambda recipe: {phase.resolution: 0.01 for phase in phases(recipe.growing, side)},
    ).config  # fmt: skip


def supervised(config: TrainConfig) -> TrainConfig:
    """With pairs of one subject in two styles: an upper bound."""
    restyle = replace(config.restyle, paired=Term(weight=10.0), self_style_prob=0.7)
    return replace(config, restyle=restyle, loader=replace(config.loader, paired=True))


def without(term: str) -> Variant:
    """Without a loss term of restyling."""
    return changed("restyle", **{term: Term(weight=0.0)})


VARIANTS: Mapping[str, Variant] = {
    "default": lambda config: config,
    # What each part of the preset does
    "logistic": changed("loss", gan_loss="logistic", r2=False),
    "average-deviation": changed("discriminator", minibatch_std="average"),
    "small-epsilon": changed("generator", adain_eps=EPS),
    "alternating": changed("loss", update_order="alternating"),
    "one-resolution": one_resolution,
    "modulated": changed("generator", modulation="modulated"),
    # Small collections
    "diffaugment": diffaugment,
    "ada": ada(500.0),
    "auto": auto,
    "transfer": lambda config: config,
    "transfer-frozen": changed("optimizer", frozen_blocks=2),
    "transfer-ada": ada(100.0),
    "transfer-auto": auto,
    # Restyling
    "no-classifier": without("classifier"),
    "no-cycle": without("cycle"),
    "no-adversarial": without("adversarial"),
    "no-details": changed("generator", content_details=False),
    "no-autoencoding": changed("restyle", autoencoding=0.0),
    "paired": supervised,
    # Few labels
    "one-label-in-ten": changed("labels", share=0.1),
    "guessed-labels": changed("labels", share=0.1, pseudo=0.8),
}
"""Changes of a preset, by the name on the command line. Transfers start from a run on another collection."""
TRANSFERS = tuple(name for name in VARIANTS if name.startswith("transfer"))
SOURCES: Mapping[str, str] = {"emoji": "solar", "toy": "toy"}
"""The collection that a transfer starts from; emoji for all others."""
