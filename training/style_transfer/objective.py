"""Losses of a style transfer and their gradient, at once or tile by tile in bounded memory.

Style losses are functions of sums over positions (`statistics`), and sums add up over tiles. The features of
a tile are computed a second time for its gradient, so that those of one tile are in memory at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from brushwork.models.feature_statistics import total_variation
from brushwork.models.pretrained.vgg import Vgg

from .config import StylizeConfig
from .statistics import FeatureStatistics, Image, feature_statistics, gram_error, wasserstein_error

LayerStatistics = dict[str, FeatureStatistics]
"""Statistics by style layer."""
Span = tuple[int, int]

MAX_SIDE, TILE_SIDE = 768, 512
"""Images of up to MAX_SIDE^2 pixels are one tile by default; larger ones have tiles of TILE_SIDE^2."""


# Tiles
@dataclass(frozen=True, kw_only=True)
class Tile:
    """A rectangle of an image, and the padded rectangle that the network must see for it."""

    rows: Span
    columns: Span
    padded_rows: Span
    padded_columns: Span

    def crop(self, image: Tensor) -> Tensor:
        """Return the padded rectangle of an image (..., H, W), as a view."""
        return image[..., slice(*self.padded_rows), slice(*self.padded_columns)]

    def unpad(self, features: Tensor, stride: int) -> Tensor:
        """Return the tile's own positions of features of the padded rectangle."""
        rows, columns = (
            slice((own[0] - padded[0]) // stride, (own[1] - padded[0]) // stride)
            for own, padded in ((self.rows, self.padded_rows), (self.columns, self.padded_columns))
        )
        return features[..., rows, columns]


def split_into_tiles(height: int, width: int, *, stride: int, reach: int, side: int = 0) -> list[Tile]:
    """Cover an image with square tiles.

    Args:
        height, width: size of the image in pixels.
        stride: stride in pixels of the network's deepest features.
        reach: radius of their receptive field in pixels, by which tiles are padded.
        side: side of the tiles in pixels, a multiple of the stride; 0: see MAX_SIDE.
    """
    if side == 0:
        side = TILE_SIDE if height * width > MAX_SIDE**2 else -(-max(height, width) // stride) * stride
    padding = -(-reach // stride) * stride

    def spans(length: int) -> list[tuple[Span, Span]]:
        ends = [(start, min(start + side, length)) for start in range(0, length, side)]
        return [((a, b), (max(0, a - padding), min(length, b + padding))) for a, b in ends]

    return [
        Tile(rows=rows, columns=columns, padded_rows=padded_rows, padded_columns=padded_columns)
        for rows, padded_rows in spans(height)
        for columns, padded_columns in spans(width)
    ]


# Features
@dataclass(frozen=True, kw_only=True)
class FeatureExtractor:
    """A network with its style and content layers, its precision, and the side of its tiles."""

    network: Vgg
    style_layers: tuple[str, ...]
    content_layers: tuple[str, ...]
    bf16: bool = False
    tile: int = 0

    def __call__(self, image: Image, tile: Tile) -> dict[str, Tensor]:
        """Return the features (1, C, h, w) of a tile by layer, in float32.

        Raises:
            ModelError: the image is too small for the network.
        """
        pixels = tile.crop(image).contiguous(memory_format=torch.channels_last)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.bf16):
            features = self.network(pixels)
        return {
            name: tile.unpad(features[name].float(), self.network.strides[name])
            for name in {*self.style_layers, *self.content_layers}
        }

    def tiles(self, image: Image) -> list[Tile]:
        height, width = image.shape[2:]
        stride, reach = max(self.network.strides.values()), self.network.reach
        return split_into_tiles(height, width, stride=stride, reach=reach, side=self.tile)

    @torch.no_grad()
    def image_statistics(self, image: Image) -> LayerStatistics:
        return add_statistics([self.statistics(self(image, tile), tile) for tile in self.tiles(image)])

    def statistics(
        self, features: dict[str, Tensor], tile: Tile, mask: Float[Tensor, "h w"] | None = None
    ) -> LayerStatistics:
        """Sum the features of a tile. A position weighs the mean of `mask`, of the whole image, over its
        pixels."""
        statistics: LayerStatistics = {}
        for name in self.style_layers:
            stride, weights = self.network.strides[name], None
            if mask is not None:
                weights = tile.unpad(F.avg_pool2d(tile.crop(mask[None]), stride), stride)[0]
            statistics[name] = feature_statistics(features[name], weights)
        return statistics


def add_statistics(parts: Sequence[LayerStatistics]) -> LayerStatistics:
    return {name: sum((part[name] for part in parts[1:]), parts[0][name]) for name in parts[0]}


# The objective
@dataclass(frozen=True, kw_only=True)
class StyleTarget:
    """The statistics that a region of the image should have."""

    statistics: LayerStatistics
    mask: Float[Tensor, "h w"] | None = None
    """The region: 0 to 1 at every pixel; None: everywhere."""


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Unweighted losses, and their weighted sum."""

    style: float
    content: float
    tv: float
    total: float


class Objective:
    """An image (1, 3, H, W) with values 0 to 1 -> its losses and the gradient of the total loss.

    Several `styles` are weighted by the areas of their masks.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        config: StylizeConfig,
        content: Image,
        styles: Sequence[StyleTarget],
    ) -> None:
        self.extractor, self.config, self.styles = extractor, config, styles
        self.tiles = extractor.tiles(content)
        self.content = [self._content_targets(content, tile) for tile in self.tiles]
        self.divisors = {name: self._content_divisor(name) for name in extractor.content_layers}

    @torch.no_grad()
    def _content_targets(self, content: Image, tile: Tile) -> dict[str, Tensor]:
        features = self.extractor(content, tile)
        return {name: features[name].clone() for name in self.extractor.content_layers}

    def _content_divisor(self, name: str) -> float:
        if self.config.scaling == "gatys":
            return 2.0
        targets = [part[name] for part in self.content]
        if self.config.scaling == "mean":
            return float(sum(target.numel() for target in targets))
        return float(sum(target.square().sum() for target in targets))

    def __call__(self, image: Image) -> tuple[Losses, Image]:
        config, pixels = self.config, image.detach().requires_grad_()
        if len(self.tiles) == 1:
            parts = [self._part(pixels, 0)]
        else:
            parts = [
                checkpoint(self._part, pixels, index, use_reentrant=False, preserve_rng_state=False)
                for index in range(len(self.tiles))
            ]
        style = self.style_loss(
            [add_statistics([own[i] for own, _ in parts]) for i in range(len(self.styles))]
        )
        content, tv = torch.stack([part for _, part in parts]).sum(), self.tv_loss(pixels)
        total = config.style_weight * style + config.content_weight * content + config.tv_weight * tv
        (gradient,) = torch.autograd.grad(total, pixels)
        values = [float(loss.detach()) for loss in (style, content, tv, total)]
        return Losses(style=values[0], content=values[1], tv=values[2], total=values[3]), gradient

    def _part(self, pixels: Image, index: int) -> tuple[list[LayerStatistics], Tensor]:
        """Return a tile's statistics in every region, and its part of the content loss."""
        tile, extractor = self.tiles[index], self.extractor
        features = extractor(pixels, tile)
        own = [extractor.statistics(features, tile, style.mask) for style in self.styles]
        return own, self.content_loss(features, self.content[index])

    def style_loss(self, statistics: Sequence[LayerStatistics]) -> Float[Tensor, ""]:
        """Mean over layers, and over regions by their shares, of the distances to the targets."""
        error = gram_error if self.config.style_loss == "gram" else wasserstein_error
        areas = [1.0 if style.mask is None else float(style.mask.sum()) for style in self.styles]
        errors = [
            error(own[name], target, self.config.scaling) * (area / sum(areas))
            for style, area, own in zip(self.styles, areas, statistics, strict=True)
            for name, target in style.statistics.items()
        ]
        return torch.stack(errors).sum() / len(self.extractor.style_layers)

    def content_loss(self, features: dict[str, Tensor], targets: dict[str, Tensor]) -> Float[Tensor, ""]:
        """A tile's part of the mean over layers of |F - P|^2, divided by 2 (scaling gatys: Gatys et al. 2016,
        eq. 1), by the number of values (mean), or by |P|^2 (relative)."""
        errors = [
            (features[name] - target).square().sum() / self.divisors[name] for name, target in targets.items()
        ]
        return torch.stack(errors).mean()

    def tv_loss(self, image: Image) -> Float[Tensor, ""]:
        """Total variation; see `StylizeConfig.tv_weight`."""
        if not self.config.tv_weight:
            return torch.zeros((), device=image.device)
        if self.config.scaling == "relative":
            return total_variation(image)[0]
        across, down = image.diff(dim=3), image.diff(dim=2)
        return 255 * (across.abs().sum() + down.abs().sum())
