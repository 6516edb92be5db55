"""Building the pair of networks and their optimizers from a configuration, the same in every process."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from brushwork.models.discriminator import Discriminator
from brushwork.models.generator import Generator
from brushwork.models.modulation import StyledEpilogue
from brushwork.models.normalisation import InstanceNorm

from .compiling import compile_networks
from .config import OptimizerConfig, TrainConfig
from .draws import derived_seed
from .steps import Networks


@dataclass(frozen=True, kw_only=True)
class Optimizers:
    """One Adam for each player."""

    generator: torch.optim.Optimizer
    discriminator: torch.optim.Optimizer


def build_networks(config: TrainConfig, style_names: tuple[str, ...], device: torch.device) -> Networks:
    """Both networks, their weights drawn from the run's seed; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(config.seed, "weights"))
        generator = Generator(config.generator, style_names)
        discriminator = Discriminator(
            config.discriminator, resolution=config.generator.resolution, styles=len(style_names),
            content_widths=config.generator.content_widths if config.restyle.uses("leak") else {},
        )  # fmt: skip

    for module in generator.modules():
        if isinstance(module, StyledEpilogue | InstanceNorm):
            module.fused = config.speed.fused

    # Channels-last convolutions are twice as fast on a processor and feed tensor cores on a GPU.
    def place(module: nn.Module) -> None:
        module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    place(generator)
    place(discriminator)
    nets = Networks(generator=generator, discriminator=discriminator)
    compile_networks(nets, config.speed)
    return nets


def build_optimizers(nets: Networks, config: OptimizerConfig) -> Optimizers:
    """Fresh optimizers, without a history."""

    def adam(network: nn.Module, lr: float) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            network.parameters(), lr=lr, betas=(0.0, config.beta2), eps=config.eps, fused=True
        )

    return Optimizers(
        generator=adam(nets.generator, config.generator_lr),
        discriminator=adam(nets.discriminator, config.discriminator_lr),
    )


def set_rates(optimizers: Optimizers, config: OptimizerConfig, factor: float) -> None:
    """Has the next steps take `factor` times the configured learning rates."""
    for optimizer, lr in (
        (optimizers.generator, config.generator_lr),
        (optimizers.discriminator, config.discriminator_lr),
    ):
        for group in optimizer.param_groups:
            group["lr"] = lr * factor


@contextlib.contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """While it lasts, gradients pass through the network but are not collected for its weights."""
    before = [parameter.requires_grad for parameter in network.parameters()]
    network.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, required in zip(network.parameters(), before, strict=True):
            parameter.requires_grad_(required)
