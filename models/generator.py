"""The generator: mapping, synthesis and encoders, and the configuration to build them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Interval
from einops import repeat
from jaxtyping import Float
from torch import Tensor, nn

from .encoders import ContentEncoder, StyleEncoder
from .errors import ModelError
from .layers import NoiseInjection, Normal
from .mapping import MappingNetwork
from .modulation import Modulation
from .norm import EPS
from .options import Resolution, Width, options
from .stage import SMALLEST, Base, Stage, channels, layer_count, size_at
from .synthesis import Synthesis

Quarters = Annotated[int, Interval(ge=4, le=16)]
"""A side of images, in quarters of the resolution."""


@options
class GeneratorConfig:
    """The generator's shape; stored in every snapshot."""

    resolution: Resolution = 32
    """The shorter side of the images in pixels, a power of two from 8 up."""
    base_height: Quarters = SMALLEST
    """Rows of the learned start; the shorter side has 4. A run takes it from its data set."""
    base_width: Quarters = SMALLEST
    """Columns of the learned start: 6 for images of 3:2. A run takes it from its data set."""
    channels: Literal[3, 4] = 3
    """3 for RGB, 4 with transparency. A run takes it from its data set."""
    z_dim: Width = 512
    """Length of the latent code z."""
    w_dim: Width = 512
    """Length of the style code w, and width of the mapping network."""
    mapping_layers: Annotated[int, Interval(ge=1, le=64)] = 8
    """Depth of the mapping network."""
    mapping_lr: Annotated[float, Interval(ge=1e-6, le=100)] = 0.01
    """Learning-rate multiplier of the mapping network."""
    channel_base: Annotated[int, Interval(ge=1, le=2**24)] = 8192
    """Channels at resolution R are channel_base / R, ..."""
    channel_max: Width = 512
    """... but at most this many."""
    modulation: Modulation = "adain"
    """Style injection: adain (StyleGAN) or modulated (StyleGAN2's weight demodulation)."""
    adain_eps: Annotated[float, Interval(ge=1e-12, le=1e6)] = EPS
    """Added by AdaIN to the variance of a channel. With 1 a weak channel stays weak; StyleGAN's tiny value
    scales it up to full strength."""
    encoders: bool = False
    """Add a style encoder and a content encoder, for restyling."""
    content_resolution: Resolution = 8
    """Resolution of the content features. Higher values keep more of the content image; lower ones leave more
    to the style."""
    content_blocks: Annotated[int, Interval(ge=0, le=64)] = 2
    """Residual blocks of the content encoder at that resolution."""
    content_details: bool = False
    """Add content features at every finer resolution, too, which keeps fine lines of small images."""
    content_vae_channels: Annotated[int, Interval(ge=0, le=65536)] = 0
    """Channels of the content encoder's variational bottleneck; 0: no bottleneck."""

    def __post_init__(self) -> None:
        if min(self.base) != SMALLEST:
            raise ModelError(
                f"base_height is {self.base_height} and base_width {self.base_width}: set the lesser to 4."
            )
        if self.content_resolution > self.resolution:
            found = f"content_resolution is {self.content_resolution}"
            raise ModelError(f"{found}, above resolution {self.resolution}.")
        if self.content_details and self.content_vae_channels:
            raise ModelError("content_details bypasses the bottleneck of content_vae_channels: choose one.")

    @property
    def base(self) -> Base:
        """Rows and columns of the learned start."""
        return self.base_height, self.base_width

    @property
    def widths(self) -> dict[int, int]:
        """Channels at every resolution."""
        return channels(self.resolution, base=self.channel_base, most=self.channel_max)


@dataclass(frozen=True)
class Encoders:
    """The networks that take images."""

    style: StyleEncoder
    content: ContentEncoder


class Generator(nn.Module):
    """z (N, Z) and soft style weights (N, S) -> images (N, C, H, W), about [-1, 1]; colours of images with
    transparency are multiplied by it.

    `mapping` gives style codes, `synthesis` images. With `config.encoders`, `style_encoder` is a second
    source of style codes, and `content_encoder` one of start features.
    """

    def __init__(self, config: GeneratorConfig, style_names: tuple[str, ...]) -> None:
        super().__init__()
        self.config, self.style_names = config, style_names
        self.mapping = MappingNetwork(
            styles=len(style_names), z_dim=config.z_dim, w_dim=config.w_dim,
            layers=config.mapping_layers, lr_multiplier=config.mapping_lr,
        )  # fmt: skip
        self.synthesis = Synthesis(
            config.widths, w_dim=config.w_dim, modulation=config.modulation, adain_eps=config.adain_eps,
            base=config.base, outputs=config.channels,
        )  # fmt: skip
        self.style_encoder: StyleEncoder | None = None
        self.content_encoder: ContentEncoder | None = None
        if config.encoders:
            widths, entry = config.widths, config.content_resolution
            self.style_encoder = StyleEncoder(
                widths, styles=len(style_names), w_dim=config.w_dim, inputs=config.channels
            )
            self.content_encoder = ContentEncoder(
                {r: c for r, c in widths.items() if r >= entry}, blocks=config.content_blocks,
                latent=config.content_vae_channels, details=config.content_details, inputs=config.channels,
            )  # fmt: skip
        self.trained_stage = Stage(config.resolution)
        """The stage that the weights were trained to, the default of generated images."""

    @property
    def layers(self) -> int:
        """Style-injection layers of the whole network."""
        return layer_count(self.config.resolution)

    @property
    def trained_size(self) -> tuple[int, int]:
        """Height and width of the images at the trained stage."""
        return size_at(self.trained_stage.resolution, self.config.base)

    @property
    def encoders(self) -> Encoders:
        """Both encoders. Raises ModelError for a generator that was made without them."""
        if self.style_encoder is None or self.content_encoder is None:
            raise ModelError("this generator has no encoders: train one with --generator.encoders.")
        return Encoders(style=self.style_encoder, content=self.content_encoder)

    @torch.no_grad()
    def scale_noise(self, share: float) -> "Generator":
        """Scales every noise map, in place: less noise, less grain. 0 leaves only what the code decides."""
        for module in self.modules():
            if isinstance(module, NoiseInjection):
                module.strength.mul_(share)
        return self

    def forward(
        self,
        z: Float[Tensor, "n z"],
        styles: Float[Tensor, "n s"],
        stage: Stage | None = None,
        normal: Normal | None = None,
    ) -> Float[Tensor, "n c h w"]:
        w = repeat(self.mapping(z, styles), "n d -> n l d", l=self.layers)
        return self.synthesis(w, stage or self.trained_stage, normal)


@contextmanager
def at_stage(generator: Generator, stage: Stage) -> Iterator[None]:
    """Context manager that sets the generator's `trained_stage` and restores it at the end."""
    before, generator.trained_stage = generator.trained_stage, stage
    try:
        yield
    finally:
        generator.trained_stage = before
