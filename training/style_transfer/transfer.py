"""Neural style transfer: optimise the pixels of an image so that its features are those of the content and
their statistics those of the style (Gatys et al. 2016, "Image style transfer using convolutional neural
networks", CVPR).

`stylize` returns the result. `Stylizer` gives every evaluation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from brushwork.models.pretrained.hed import hed_vgg16
from brushwork.models.pretrained.vgg import Vgg

from ..errors import TrainingError
from ..speed import choose_precision
from .config import FEATURE_SCALE, Backbone, StylizeConfig
from .objective import FeatureExtractor, Losses, Objective, StyleTarget
from .optimizers import Adam, Lbfgs, PixelOptimizer
from .statistics import Image, blend, with_luma_of

Pixels = UInt8[Tensor, "3 _h _w"]

NOISE_MEAN, NOISE_STD = 0.5, 0.1
"""Mean and standard deviation of the initial noise, for values 0 to 1."""
ADAM_LR = 0.02
"""Learning rate of Adam, for values 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class TransferInputs:
    """The images of one style transfer: uint8 sRGB pixels."""

    content: Pixels
    styles: Sequence[Pixels]
    weights: Sequence[float] = ()
    """Weights of the styles, divided by their sum. Default: equal weights."""
    masks: Sequence[UInt8[Tensor, "_h _w"]] = ()
    """Regions of the styles, of the content's size: from 0, outside, to 255, inside. One mask may serve the
    blend of all styles."""

    def __post_init__(self) -> None:
        styles, weights = len(self.styles), len(self.weights)
        if not styles:
            raise TrainingError("no style image was given: give one or several.")
        if weights not in (0, styles):
            raise TrainingError(f"{weights} weights were given for {styles} styles: give one for each.")
        if weights and (min(self.weights) < 0 or sum(self.weights) <= 0):
            raise TrainingError(
                f"style weights {tuple(self.weights)}: none may be below 0, one must be more."
            )
        if len(self.masks) not in (0, 1, styles):
            raise TrainingError(f"{len(self.masks)} masks for {styles} styles: give one, or one for each.")
        for mask in self.masks:
            if mask.shape != self.content.shape[1:]:
                sizes = [f"{shape[1]}x{shape[0]}" for shape in (mask.shape, self.content.shape[1:])]
                raise TrainingError(f"a mask is {sizes[0]} and the content {sizes[1]}: give one of its size.")
            if not mask.any():
                raise TrainingError("a mask is black throughout: make white what is to be stylised.")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One evaluation of the loss."""

    number: int
    """Counted from 1 over all sizes."""
    side: int
    """Longer side in pixels of the evaluated image."""
    losses: Losses


def stylize(
    content: Pixels, styles: Sequence[Pixels], config: StylizeConfig, *,
    network: Vgg | None = None, device: str = "cpu",
) -> Pixels:  # fmt: skip
    """Return the content in the blended style of other images, at its own size or the configured one.

    Raises:
        ModelError: weights are missing, or an image is too small for the network.
        TrainingError: settings do not fit, or the loss is not finite.
    """
    inputs = TransferInputs(content=content, styles=styles)
    stylizer = Stylizer(inputs, config, network=network, device=device)
    for _ in stylizer:
        pass
    return stylizer.result()


class Stylizer:
    """A style transfer as an iterator of `Step`s. `result()` returns the image at any time."""

    def __init__(
        self, inputs: TransferInputs, config: StylizeConfig, *, network: Vgg | None = None,
        device: str = "cpu",
    ) -> None:  # fmt: skip
        self.inputs, self.config, self.device = inputs, config, torch.device(device)
        layers = (*config.style_layers, *config.content_layers)
        self.extractor = FeatureExtractor(
            network=network or find_backbone(config.backbone, layers, config.weights, device=device),
            style_layers=config.style_layers, content_layers=config.content_layers, tile=config.tile,
            bf16=choose_precision(config.precision, self.device) == "bf16",
        )  # fmt: skip
        self.sides = config.sides(config.size or max(inputs.content.shape[1:]))
        self.coarse = config.coarse_evaluations or config.evaluations
        self.total = (len(self.sides) - 1) * self.coarse + config.evaluations
        self.number = 0
        self._set_level(0)
        self.image = self._initial_image()
        self.optimizer = self._new_optimizer()

    def __iter__(self) -> Iterator[Step]:
        while self.number < self.total:
            yield self.advance()

    def advance(self) -> Step:
        """Evaluate the loss once and update the image.

        Raises:
            TrainingError: the loss is not finite. `result()` is then the best image so far.
        """
        if self.level < len(self.sides) - 1 and self.number == (self.level + 1) * self.coarse:
            self._next_size()
        losses, gradient = self.objective(self.image)
        self.image = self._clamp(self.optimizer(self.image, losses.total, gradient))
        self.number += 1
        return Step(number=self.number, side=self.sides[self.level], losses=losses)

    # Sizes
    def _set_level(self, level: int) -> None:
        """Load the content and the objective of a size."""
        self.level = level
        self.content = self._load(self.inputs.content, self.sides[level])
        self.objective = self._new_objective()

    def _next_size(self) -> None:
        """Add the change made at the smaller size to the content at the next one."""
        change = self.best_image() - self.content
        self._set_level(self.level + 1)
        height, width = self.content.shape[2:]
        change = F.interpolate(change, (height, width), mode="bicubic", align_corners=False)
        self.image = self._clamp(self.content + change)
        if isinstance(self.optimizer, Adam) and self.level < len(self.sides) - 1:
            self.optimizer.resize(height, width)
        else:  # the curvature at one size says little about another
            self.optimizer = self._new_optimizer()

    def _clamp(self, image: Image) -> Image:
        return image.clamp(0, 1) if self.config.clamp else image

    def _initial_image(self) -> Image:
        if self.config.start == "content":
            return self.content.clone()
        generator = torch.Generator().manual_seed(self.config.seed)
        noise = NOISE_MEAN + NOISE_STD * torch.randn(self.content.shape, generator=generator)
        return noise.clamp(0, 1).to(self.device)

    def _new_optimizer(self) -> PixelOptimizer:
        if self.config.optimizer == "adam-lbfgs" and self.level < len(self.sides) - 1:
            return Adam(lr=ADAM_LR)
        return Lbfgs(history=self.config.history)

    def _new_objective(self) -> Objective:
        content = self.content
        side = round(max(content.shape[2:]) * self.config.style_scale)
        statistics = [
            self.extractor.image_statistics(self._load(style, side)) for style in self.inputs.styles
        ]
        masks = [resize(mask[None, None].to(self.device) / 255, content.shape[2:])[0, 0]
                 for mask in self.inputs.masks]  # fmt: skip
        if len(masks) > 1:
            styles = [StyleTarget(statistics=x, mask=mask) for x, mask in zip(statistics, masks, strict=True)]
        else:
            weights = self.inputs.weights or [1.0] * len(statistics)
            mixed = {name: blend([one[name] for one in statistics], weights) for name in statistics[0]}
            styles = [StyleTarget(statistics=mixed, mask=masks[0] if masks else None)]
        return Objective(self.extractor, self.config, content, styles)

    def _load(self, pixels: Pixels, side: int) -> Image:
        return resize_longer_side(to_float(pixels, self.device), side)

    # Results
    def best_image(self) -> Image:
        """The image (1, 3, H, W) of the lowest loss at the current size, before any post-processing."""
        return self.image if self.optimizer.best is None else self.optimizer.best

    def result(self) -> Pixels:
        """The best image at the current size, with colours and masks applied."""
        content, image = self.content, self.best_image().clamp(0, 1)
        if self.config.colours == "luma":
            image = with_luma_of(content, image)
        if self.inputs.masks:
            masks = torch.stack([mask.to(self.device) for mask in self.inputs.masks])
            share = resize(masks.amax(dim=0)[None, None] / 255, content.shape[2:])
            # Exact at both ends: a share of 0 is the content, a share of 1 the image, bit for bit.
            image = torch.where(share >= 1, image, content + share * (image - content))
        return (image[0] * 255).round().clamp(0, 255).to(torch.uint8).cpu()


# Backbones
def find_backbone(
    backbone: Backbone, layers: Sequence[str], weights: Path | None = None, *, device: str = "cpu"
) -> Vgg:
    """Load a backbone up to the deepest of `layers`, frozen.

    Raises:
        ModelError: a layer does not exist, or the weights are missing.
        TrainingError: the backbone takes no weights.
    """
    if backbone == "random":
        if weights is not None:
            raise TrainingError(f"{weights} was given, but {backbone} takes no weights: leave --weights out.")
        network = Vgg.random("vgg19", layers)
    elif backbone == "hed-vgg16":
        network = hed_vgg16(layers, weights).with_inputs_divided(FEATURE_SCALE)
    else:
        network = Vgg.from_weights(backbone, layers, weights)
    return to_device(network, device)


def to_device(network: Vgg, device: str) -> Vgg:
    """Move a network to a device, in channels-last format, in which convolutions are faster."""
    return network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


# Images
def as_tensor(pixels: np.ndarray) -> Tensor:
    """uint8 (H, W, 3) -> (3, H, W)."""
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def as_array(pixels: Tensor) -> np.ndarray:
    """uint8 (3, H, W) -> (H, W, 3)."""
    return pixels.permute(1, 2, 0).contiguous().numpy()


def to_float(pixels: Pixels, device: torch.device) -> Image:
    """uint8 (3, H, W) -> float32 (1, 3, H, W) with values 0 to 1."""
    return pixels.to(device)[None].float() / 255


def resize_longer_side(image: Image, side: int) -> Float[Tensor, "1 3 h2 w2"]:
    """Resize an image so that its longer side has `side` pixels."""
    height, width = image.shape[2:]
    scale = side / max(height, width)
    return resize(image, (max(1, round(height * scale)), max(1, round(width * scale))))


def resize(image: Float[Tensor, "1 c h w"], size: Sequence[int]) -> Float[Tensor, "1 c h2 w2"]:
    """Resize with antialiased bicubic interpolation, clamped to 0..1. An image of that size is returned as it
    is."""
    if tuple(image.shape[2:]) == tuple(size):
        return image
    resized = F.interpolate(image, tuple(size), mode="bicubic", align_corners=False, antialias=True)
    return resized.clamp(0, 1)
