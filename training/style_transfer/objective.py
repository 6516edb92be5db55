"""What a picture is to become, its loss and gradient: at once, or tile by tile in bounded memory.

Styles are compared by sums over places (`models.moments`), which add up over tiles. So there are two passes:
one for the sums, after which the loss is known with its derivative by every sum; and one that carries these
derivatives back to the pixels, each tile for itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from brushwork.models.feature_statistics import total_variation

from .backbones import Perceiver
from .config import StyleLoss, StylizeConfig
from .statistics import FeatureStatistics, Scaling, gram_error, mean_std_error, moments, wasserstein_error
from .tiles import Tile, tiles_of

Picture = Float[Tensor, "1 3 h w"]
Maps = Mapping[str, Tensor]
Sums = dict[str, FeatureStatistics]
"""Of every style layer."""

STYLE_ERRORS: dict[StyleLoss, Callable[[FeatureStatistics, FeatureStatistics, Scaling], Tensor]] = {
    "gram": gram_error, "mean-std": mean_std_error, "wasserstein": wasserstein_error,
}  # fmt: skip


# Goals
@dataclass(frozen=True, kw_only=True)
class Region:
    """Where in the picture which style is to be."""

    goals: Sums
    mask: Float[Tensor, "h w"] | None = None
    """From 0 to 1 at every pixel; None: everywhere."""


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Errors, unweighted, and their weighted sum."""

    style: float
    content: float
    tv: float
    total: float


@dataclass(frozen=True, kw_only=True)
class Eye:
    """The network, what is looked at in its maps, and in which precision."""

    network: Perceiver
    style_layers: tuple[str, ...]
    content_layers: tuple[str, ...]
    bf16: bool = False

    def maps(self, image: Picture) -> dict[str, Tensor]:
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.bf16):
            seen = self.network(image.contiguous(memory_format=torch.channels_last))
        return {name: seen[name].float() for name in {*self.style_layers, *self.content_layers}}

    def tiles(self, image: Picture, side: int) -> list[Tile]:
        height, width = image.shape[2:]
        stride = max(self.network.strides.values())
        return tiles_of(height, width, stride=stride, reach=self.network.reach, side=side)

    def sums(self, tile: Tile, maps: Maps, mask: Float[Tensor, "h w"] | None = None) -> Sums:
        """Of a tile's maps, every place weighing what the mask, of the whole picture, is there on average."""
        found: Sums = {}
        for name in self.style_layers:
            stride = self.network.strides[name]
            weights = None
            if mask is not None:
                # Where a network rounds sizes up, its last places stand for fewer pixels.
                up = maps[name].shape[2] * stride > tile.seen_rows[1] - tile.seen_rows[0]
                means = F.avg_pool2d(tile.seen(mask[None, None]), stride, ceil_mode=up)
                weights = tile.within(means, stride)[0, 0]
            found[name] = moments(tile.within(maps[name], stride), weights)
        return found

    @torch.no_grad()
    def style_sums(self, image: Picture, tile: int = 0) -> Sums:
        """Of a style picture. Raises ModelError for one too small for the network."""
        return added([self.sums(one, self.maps(one.seen(image))) for one in self.tiles(image, tile)])

    @torch.no_grad()
    def content_maps(self, image: Picture, tile: int = 0) -> dict[str, Tensor]:
        """Of the whole picture, put together from its tiles."""
        tiles = self.tiles(image, tile)
        if len(tiles) == 1:
            maps = self.maps(image)
            return {name: maps[name] for name in self.content_layers}
        found: dict[str, Tensor] = {}
        for one in tiles:
            maps = self.maps(one.seen(image))
            for name in self.content_layers:
                stride = self.network.strides[name]
                part = one.within(maps[name], stride)
                size = [length // stride for length in image.shape[2:]]
                whole = found.setdefault(name, part.new_zeros(1, part.shape[1], *size))
                one.of_whole(whole, stride).copy_(part)
        return found


def added(parts: Sequence[Sums]) -> Sums:
    return {name: sum((part[name] for part in parts[1:]), parts[0][name]) for name in parts[0]}


# The objective
@dataclass(frozen=True, kw_only=True)
class Objective:
    """A picture (1, 3, H, W) of values 0 to 1 -> its losses and the gradient of their weighted sum."""

    eye: Eye
    config: StylizeConfig
    contents: Maps
    """Of the content layers."""
    regions: tuple[Region, ...]
    """Each counts by its share of the pixels that are in any."""

    def __call__(self, image: Picture) -> tuple[Losses, Picture]:
        tiles = self.eye.tiles(image, self.config.tile)
        if len(tiles) == 1:
            return self._at_once(image, tiles[0])
        return self._by_tiles(image, tiles)

    def _at_once(self, image: Picture, tile: Tile) -> tuple[Losses, Picture]:
        pixels = image.detach().requires_grad_()
        maps = self.eye.maps(pixels)
        style = self.style_error([self.eye.sums(tile, maps, region.mask) for region in self.regions])
        content, tv = self.content_error(tile, maps), self.roughness(pixels)
        losses, total = self._weighed(style, content, tv)
        (gradient,) = torch.autograd.grad(total, pixels)
        return losses, gradient

    def _by_tiles(self, image: Picture, tiles: Sequence[Tile]) -> tuple[Losses, Picture]:
        with torch.no_grad():
            parts = []
            for tile in tiles:
                maps = self.eye.maps(tile.seen(image))
                parts.append([self.eye.sums(tile, maps, region.mask) for region in self.regions])
            whole = [added([part[i] for part in parts]) for i in range(len(self.regions))]
        leaves = [_leaves(sums) for sums in whole]
        style = self.style_error(leaves)
        slopes = _slopes(style, leaves)
        gradient, content = torch.zeros_like(image), torch.zeros((), device=image.device)
        for tile in tiles:
            pixels = tile.seen(image).detach().requires_grad_()
            maps = self.eye.maps(pixels)
            change = _change([self.eye.sums(tile, maps, region.mask) for region in self.regions], slopes)
            part = self.content_error(tile, maps)
            value = self.config.style_weight * change + self.config.content_weight * part
            tile.seen(gradient).add_(torch.autograd.grad(value, pixels)[0])
            content += part.detach()
        pixels = image.detach().requires_grad_()
        losses, total = self._weighed(style.detach(), content, self.roughness(pixels))
        if total.requires_grad:
            gradient += torch.autograd.grad(total, pixels)[0]
        return losses, gradient

    def _weighed(self, style: Tensor, content: Tensor, tv: Tensor) -> tuple[Losses, Tensor]:
        config = self.config
        total = config.style_weight * style + config.content_weight * content + config.tv_weight * tv
        return _read(style, content, tv, total), total

    # Its parts
    def style_error(self, drawn: Sequence[Sums]) -> Float[Tensor, ""]:
        """The mean over layers, and over regions by their shares, of the distances from the goals."""
        error = STYLE_ERRORS[self.config.style_loss]
        areas = [1.0 if one.mask is None else float(one.mask.sum()) for one in self.regions]
        found = []
        for region, area, sums in zip(self.regions, areas, drawn, strict=True):
            for name, goal in region.goals.items():
                found.append(error(sums[name], goal, self.config.scaling) * (area / sum(areas)))
        return torch.stack(found).sum() / len(self.eye.style_layers)

    def content_error(self, tile: Tile, maps: Maps) -> Float[Tensor, ""]:
        """A tile's part of the mean over layers of |F - P|^2, over 2 (scaling gatys: Gatys et al. 2016, eq.
        1), over the number of values (mean), or relative to |P|^2."""
        found = []
        for name in self.eye.content_layers:
            stride, goal = self.eye.network.strides[name], self.contents[name]
            squares = (tile.within(maps[name], stride) - tile.of_whole(goal, stride)).square().sum()
            own = {"gatys": 2.0, "mean": goal.numel(), "relative": goal.square().sum()}[self.config.scaling]
            found.append(squares / own)
        return torch.stack(found).mean()

    def roughness(self, image: Picture) -> Float[Tensor, ""]:
        if not self.config.tv_weight:
            return torch.zeros((), device=image.device)
        if self.config.scaling == "relative":
            return total_variation(image)[0]
        across, down = image.diff(dim=3), image.diff(dim=2)
        return 255 * (across.abs().sum() + down.abs().sum())


def _read(style: Tensor, content: Tensor, tv: Tensor, total: Tensor) -> Losses:
    values = [float(value.detach()) for value in (style, content, tv, total)]
    return Losses(style=values[0], content=values[1], tv=values[2], total=values[3])


# Derivatives by sums
def _leaves(sums: Sums) -> Sums:
    """The same sums, to be differentiated by."""
    return {
        name: FeatureStatistics(
            first=one.first.detach().requires_grad_(), second=one.second.detach().requires_grad_(),
            weight=one.weight,
        )
        for name, one in sums.items()
    }  # fmt: skip


def _slopes(error: Tensor, leaves: Sequence[Sums]) -> list[dict[str, tuple[Tensor, Tensor]]]:
    """Derivatives of `error` by the first and the second sums."""
    flat = [value for sums in leaves for one in sums.values() for value in (one.first, one.second)]
    found = iter(torch.autograd.grad(error, flat, materialize_grads=True))
    return [{name: (next(found), next(found)) for name in sums} for sums in leaves]


def _change(parts: Sequence[Sums], slopes: Sequence[dict[str, tuple[Tensor, Tensor]]]) -> Tensor:
    """Whose gradient is that of the error: a tile's sums times the derivatives by them."""
    found = []
    for sums, slope in zip(parts, slopes, strict=True):
        for name, one in sums.items():
            first, second = slope[name]
            found += [(one.first * first).sum(), (one.second * second).sum()]
    return torch.stack(found).sum()
