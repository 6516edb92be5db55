"""The state of a run: everything that changes during training."""

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from brushwork.models.discriminator import Discriminator
from brushwork.models.encoders import StyleClassifier
from brushwork.models.generator import Generator
from brushwork.models.pretrained.frozen import FrozenNetwork, as_notes, from_notes
from brushwork.models.stage import Stage

from .config import OptimizerConfig, TrainConfig
from .prepare.transfer import Source, freeze
from .rng import derived_seed
from .run.checkpoint import State
from .step import Networks

BETA2 = 0.99
"""Decay of Adam's second moment; the first has none, as in every StyleGAN."""

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class Optimizers:
    """One Adam for each network."""

    generator: torch.optim.Optimizer
    discriminator: torch.optim.Optimizer


def build_networks(config: TrainConfig, style_names: tuple[str, ...], device: torch.device) -> Networks:
    """Both networks, initialised from the run's seed; the global random state does not change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(config.seed, "weights"))
        generator = Generator(config.generator, style_names)
        discriminator = Discriminator(
            config.discriminator, resolution=config.generator.resolution, styles=len(style_names),
            base=config.generator.base, inputs=config.generator.channels,
        )  # fmt: skip
    # Channels-last convolutions are twice as fast on a processor and feed tensor cores on a GPU.
    for network in (generator, discriminator):
        network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Networks(generator=generator, discriminator=discriminator)


def build_optimizers(nets: Networks, config: OptimizerConfig) -> Optimizers:
    """Optimizers without history."""

    def adam(network: nn.Module, lr: float) -> torch.optim.Optimizer:
        return torch.optim.Adam(network.parameters(), lr=lr, betas=(0.0, BETA2), fused=True)

    return Optimizers(
        generator=adam(nets.generator, config.generator_lr),
        discriminator=adam(nets.discriminator, config.discriminator_lr),
    )


@contextlib.contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Context in which gradients pass through the network without being collected for its weights."""
    before = [parameter.requires_grad for parameter in network.parameters()]
    network.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, required in zip(network.parameters(), before, strict=True):
            parameter.requires_grad_(required)


def averaged_copy(module: Module) -> Module:
    """A frozen copy for `update_average`."""
    return copy.deepcopy(module).eval().requires_grad_(False)


@torch.no_grad()
def update_average(average: nn.Module, module: nn.Module, decay: float) -> None:
    """average <- decay * average + (1 - decay) * module, for parameters; buffers are copied."""
    get_ema_multi_avg_fn(decay)(list(average.parameters()), list(module.parameters()), None)
    for ours, theirs in zip(average.buffers(), module.buffers(), strict=True):
        ours.copy_(theirs)


@dataclass(kw_only=True)
class TrainingState:
    """The networks, their average, their optimizers and the clock."""

    nets: Networks
    average: Generator
    optimizers: Optimizers
    nimg: int = 0
    """Images seen; the clock of all schedules."""
    position: float = 0.0
    """Position in the schedule (`plan.RunSchedule`)."""
    scale: float = 1.0
    """Images per position of the schedule."""
    planned_images: int = 0
    """Length of the run for which `scale` was chosen, in images."""
    collapsed_lines: int = 0
    """Number of status lines in a row with a collapsed style."""
    augment_p: float = 0.0
    """Probability of each adaptive change of what the discriminator sees (ADA)."""
    overfitting: float | None = None
    """The last measurement of `run.overfitting`, which that probability follows; None before the first."""
    looked_through: tuple[FrozenNetwork, ...] = ()
    """Frozen networks that this run and those it started from looked through."""
    seconds: float = 0.0
    """Training time over all sessions; only the time limit depends on it."""

    @classmethod
    def fresh(
        cls, config: TrainConfig, style_names: tuple[str, ...], device: torch.device, *,
        source: Source | None = None,
    ) -> "TrainingState":  # fmt: skip
        """The state before the first step, with the weights of `source` if given."""
        nets = build_networks(config, style_names, device)
        average = averaged_copy(nets.generator)
        if source is not None:
            source.copy_into(nets, average)
            if config.optimizer.frozen_blocks:
                source.require_trained_blocks(config.generator.resolution)
        freeze(nets.discriminator, config.optimizer.frozen_blocks)
        return cls(nets=nets, average=average, optimizers=build_optimizers(nets, config.optimizer))

    def reset_optimizers(self, config: OptimizerConfig) -> None:
        """Resets Adam's moments, as StyleGAN does when a resolution starts."""
        self.optimizers = build_optimizers(self.nets, config)

    def init_from(self, classifier: StyleClassifier) -> None:
        """Initialises the trunk of the style encoder, if there is one, from the classifier."""
        for generator in (self.nets.generator, self.average):
            if generator.style_encoder is not None:
                generator.style_encoder.init_from(classifier, classifier.gains)

    def is_finite(self) -> bool:
        """Whether every weight is a finite number."""
        weights = (*self.nets.generator.parameters(), *self.nets.discriminator.parameters())
        return bool(torch.stack([weight.isfinite().all() for weight in weights]).all())

    def state_dict(self) -> State:
        """The whole state by name."""
        return {
            "nimg": self.nimg,
            "position": self.position,
            "scale": self.scale,
            "planned_images": self.planned_images,
            "stage": [self.average.trained_stage.resolution, self.average.trained_stage.alpha],
            "seconds": self.seconds,
            "augment_p": self.augment_p,
            "overfitting": self.overfitting,
            "collapsed_lines": self.collapsed_lines,
            "looked_through": as_notes(self.looked_through),
            "generator": self.nets.generator.state_dict(),
            "discriminator": self.nets.discriminator.state_dict(),
            "average": self.average.state_dict(),
            "generator_optimizer": self.optimizers.generator.state_dict(),
            "discriminator_optimizer": self.optimizers.discriminator.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Restores the state. Raises KeyError, TypeError, ValueError or RuntimeError if it does not fit."""
        self.nimg, self.seconds = int(state["nimg"]), float(state["seconds"])
        self.position, self.scale = float(state["position"]), float(state["scale"])
        self.planned_images = int(state["planned_images"])
        self.collapsed_lines = int(state.get("collapsed_lines", 0))
        self.augment_p = float(state.get("augment_p", 0.0))
        self.overfitting = state.get("overfitting")
        if "looked_through" in state:
            self.looked_through = from_notes(state["looked_through"])
        resolution, alpha = state["stage"]
        self.average.trained_stage = Stage(resolution, alpha)
        self.nets.generator.load_state_dict(state["generator"])
        self.nets.discriminator.load_state_dict(state["discriminator"])
        self.average.load_state_dict(state["average"])
        self.optimizers.generator.load_state_dict(state["generator_optimizer"])
        self.optimizers.discriminator.load_state_dict(state["discriminator_optimizer"])
