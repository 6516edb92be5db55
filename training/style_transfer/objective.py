"""Losses of a style transfer and their gradient, at once or tile by tile in bounded memory.

Style losses are functions of sums over positions (`statistics`), and sums add up over tiles. So tiles take
two passes. The first sums the statistics, which gives the loss and its derivatives by the sums. The second
propagates these derivatives back to the pixels of each tile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from brushwork.models.errors import ModelError
from brushwork.models.feature_statistics import total_variation
from brushwork.models.pretrained.vgg import Vgg

from .config import StylizeConfig
from .statistics import FeatureStatistics, Image, feature_statistics, gram_error, wasserstein_error

Features = Mapping[str, Tensor]
"""Features (1, C, h, w) by layer."""
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
        rows = _positions(self.rows, self.padded_rows[0], stride)
        return features[..., rows, _positions(self.columns, self.padded_columns[0], stride)]

    def select(self, features: Tensor, stride: int) -> Tensor:
        """Return the tile's own positions of features of the whole image, as a view."""
        return features[..., _positions(self.rows, 0, stride), _positions(self.columns, 0, stride)]


def _positions(span: Span, origin: int, stride: int) -> slice:
    return slice((span[0] - origin) // stride, (span[1] - origin) // stride)


def split_into_tiles(height: int, width: int, *, stride: int, reach: int, side: int = 0) -> list[Tile]:
    """Cover an image with square tiles.

    Args:
        height, width: size of the image in pixels.
        stride: stride in pixels of the network's deepest features.
        reach: radius of their receptive field in pixels, by which tiles are padded.
        side: side of the tiles in pixels; 0: see MAX_SIDE.

    Raises:
        ModelError: `side` is no multiple of the stride.
    """
    if side == 0:
        side = TILE_SIDE if height * width > MAX_SIDE**2 else -(-max(height, width) // stride) * stride
    if side % stride:
        raise ModelError(f"tiles of {side} pixels do not fit the network; take a multiple of {stride}.")
    padding = -(-reach // stride) * stride
    return [
        Tile(rows=a, columns=b, padded_rows=_pad(a, padding, height), padded_columns=_pad(b, padding, width))
        for a in _spans(height, side)
        for b in _spans(width, side)
    ]


def _spans(length: int, side: int) -> list[Span]:
    return [(start, min(start + side, length)) for start in range(0, length, side)]


def _pad(span: Span, padding: int, length: int) -> Span:
    return max(0, span[0] - padding), min(length, span[1] + padding)


# Features
@dataclass(frozen=True, kw_only=True)
class FeatureExtractor:
    """A network with its style and content layers, its precision, and the side of its tiles."""

    network: Vgg
    style_layers: tuple[str, ...]
    content_layers: tuple[str, ...]
    bf16: bool = False
    tile: int = 0

    def __call__(self, image: Image) -> dict[str, Tensor]:
        """Return the features of all layers, in float32. Raises ModelError for an image that is too small."""
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.bf16):
            features = self.network(image.contiguous(memory_format=torch.channels_last))
        return {name: features[name].float() for name in {*self.style_layers, *self.content_layers}}

    def tiles(self, image: Image) -> list[Tile]:
        height, width = image.shape[2:]
        stride, reach = max(self.network.strides.values()), self.network.reach
        return split_into_tiles(height, width, stride=stride, reach=reach, side=self.tile)

    def tile_statistics(
        self, tile: Tile, features: Features, mask: Float[Tensor, "h w"] | None = None
    ) -> LayerStatistics:
        """Sum the features of a tile. A position weighs the mean of `mask`, of the whole image, over its
        pixels."""
        statistics: LayerStatistics = {}
        for name in self.style_layers:
            stride, weights = self.network.strides[name], None
            if mask is not None:
                means = F.avg_pool2d(tile.crop(mask[None, None]), stride)
                weights = tile.unpad(means, stride)[0, 0]
            statistics[name] = feature_statistics(tile.unpad(features[name], stride), weights)
        return statistics

    @torch.no_grad()
    def image_statistics(self, image: Image) -> LayerStatistics:
        tiles = self.tiles(image)
        return add_statistics([self.tile_statistics(tile, self(tile.crop(image))) for tile in tiles])

    @torch.no_grad()
    def content_features(self, image: Image) -> dict[str, Tensor]:
        tiles, whole = self.tiles(image), dict[str, Tensor]()
        if len(tiles) == 1:
            features = self(image)
            return {name: features[name] for name in self.content_layers}
        for tile in tiles:
            features = self(tile.crop(image))
            for name in self.content_layers:
                stride = self.network.strides[name]
                part = tile.unpad(features[name], stride)
                size = [length // stride for length in image.shape[2:]]
                target = whole.setdefault(name, part.new_zeros(1, part.shape[1], *size))
                tile.select(target, stride).copy_(part)
        return whole


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


@dataclass(frozen=True, kw_only=True)
class Objective:
    """An image (1, 3, H, W) with values 0 to 1 -> its losses and the gradient of the total loss."""

    extractor: FeatureExtractor
    config: StylizeConfig
    content: Features
    """Target of the content layers."""
    styles: tuple[StyleTarget, ...]
    """Each is weighted by its share of all masks' sum."""

    def __call__(self, image: Image) -> tuple[Losses, Image]:
        tiles = self.extractor.tiles(image)
        if len(tiles) > 1:
            return self._by_tiles(image, tiles)
        pixels = image.detach().requires_grad_()
        features = self.extractor(pixels)
        style = self.style_loss(self._statistics(tiles[0], features))
        losses, total = self._total(style, self.content_loss(tiles[0], features), self.tv_loss(pixels))
        return losses, torch.autograd.grad(total, pixels)[0]

    def _by_tiles(self, image: Image, tiles: Sequence[Tile]) -> tuple[Losses, Image]:
        with torch.no_grad():
            parts = [self._statistics(tile, self.extractor(tile.crop(image))) for tile in tiles]
            whole = [add_statistics([part[i] for part in parts]) for i in range(len(self.styles))]
        sums = [x.requires_grad_() for x in _sums(whole)]
        style = self.style_loss(whole)
        slopes = torch.autograd.grad(style, sums, materialize_grads=True)
        gradient, content = torch.zeros_like(image), torch.zeros((), device=image.device)
        for tile in tiles:
            pixels = tile.crop(image).detach().requires_grad_()
            features = self.extractor(pixels)
            # The gradient of this linear function of the tile's sums is that of the style loss.
            own = _sums(self._statistics(tile, features))
            linear = torch.stack([(x * slope).sum() for x, slope in zip(own, slopes, strict=True)]).sum()
            part = self.content_loss(tile, features)
            value = self.config.style_weight * linear + self.config.content_weight * part
            tile.crop(gradient).add_(torch.autograd.grad(value, pixels)[0])
            content += part.detach()
        pixels = image.detach().requires_grad_()
        losses, total = self._total(style.detach(), content, self.tv_loss(pixels))
        if total.requires_grad:
            gradient += torch.autograd.grad(total, pixels)[0]
        return losses, gradient

    def _statistics(self, tile: Tile, features: Features) -> list[LayerStatistics]:
        """Statistics of a tile in every region."""
        return [self.extractor.tile_statistics(tile, features, style.mask) for style in self.styles]

    def _total(self, style: Tensor, content: Tensor, tv: Tensor) -> tuple[Losses, Tensor]:
        config = self.config
        total = config.style_weight * style + config.content_weight * content + config.tv_weight * tv
        style, content, tv = style.detach(), content.detach(), tv.detach()
        losses = Losses(style=float(style), content=float(content), tv=float(tv), total=float(total.detach()))
        return losses, total

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

    def content_loss(self, tile: Tile, features: Features) -> Float[Tensor, ""]:
        """A tile's part of the mean over layers of |F - P|^2, divided by 2 (scaling gatys: Gatys et al. 2016,
        eq. 1), by the number of values (mean), or by |P|^2 (relative)."""
        errors = []
        for name in self.extractor.content_layers:
            stride, target = self.extractor.network.strides[name], self.content[name]
            squares = (tile.unpad(features[name], stride) - tile.select(target, stride)).square().sum()
            divisors = {"gatys": 2.0, "mean": target.numel(), "relative": target.square().sum()}
            errors.append(squares / divisors[self.config.scaling])
        return torch.stack(errors).mean()

    def tv_loss(self, image: Image) -> Float[Tensor, ""]:
        """Total variation; see `StylizeConfig.tv_weight`."""
        if not self.config.tv_weight:
            return torch.zeros((), device=image.device)
        if self.config.scaling == "relative":
            return total_variation(image)[0]
        across, down = image.diff(dim=3), image.diff(dim=2)
        return 255 * (across.abs().sum() + down.abs().sum())


def _sums(statistics: Sequence[LayerStatistics]) -> list[Tensor]:
    """All first and second sums, in a fixed order."""
    return [x for layers in statistics for one in layers.values() for x in (one.first, one.second)]
