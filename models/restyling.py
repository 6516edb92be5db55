"""Restyling: the content of an image, of any size, in the style of a label, of a blend of labels or of other
images. A result is a function of (generator, image, style code, seed)."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from .errors import ModelError
from .generator import Generator
from .layers import Normal
from .mapping import truncate
from .norm import SharedStatistics
from .sampling import (
    Seeds,
    Styles,
    check_seeds,
    device_of,
    multiplied_by_alpha,
    require_trained,
    seeded_normal,
    style_rows,
    to_uint8,
)
from .stage import fade_reals, layer_count
from .tiling import ContinuedEdges, Tile, Tiling, spread, tiled

Mode = Literal["tiled", "resized"]


# Pixels
def to_float(images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """0..255 to [-1, 1], colours multiplied by the transparency, if any; `to_uint8` is the exact inverse."""
    images = images.float() / 127.5 - 1
    return multiplied_by_alpha(images) if images.shape[1] == 4 else images


def resized(images: Float[Tensor, "n c h w"], size: tuple[int, int]) -> Float[Tensor, "n c h2 w2"]:
    """Bicubic with antialiasing; images of that size are returned as they are."""
    if images.shape[2:] == size:
        return images
    return F.interpolate(images, size, mode="bicubic", antialias=True, align_corners=False)


def fitted(images: Float[Tensor, "n c h w"], size: tuple[int, int]) -> Float[Tensor, "n c h2 w2"]:
    """The largest centred part of the aspect of `size`, resized to it."""
    height, width = images.shape[2:]
    scale = min(height / size[0], width / size[1])
    h, w = (min(most, max(1, round(side * scale))) for most, side in zip((height, width), size, strict=True))
    top, left = (height - h) // 2, (width - w) // 2
    return resized(images[:, :, top : top + h, left : left + w], size)


def working_size(height: int, width: int, size: tuple[int, int], mode: Mode) -> tuple[int, int]:
    """Height and width at which a network for images of `size` restyles an image: the largest that fits into
    `size`, except that `tiled` does not reduce larger images."""
    scale = min(size[0] / height, size[1] / width)
    if scale == 1 or (scale < 1 and mode == "tiled"):
        return height, width
    return max(1, round(height * scale)), max(1, round(width * scale))


def require_channels(generator: Generator, images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
    """Returns the images. Raises ModelError unless they have the generator's channels."""
    given, wanted = images.shape[1], generator.config.channels
    if given != wanted:
        raise ModelError(f"images of {given} channels for a generator of {wanted}: convert them to "
                         f"{'RGBA' if wanted == 4 else 'RGB'}.")  # fmt: skip
    return images


# Codes
def _encoder_input(generator: Generator, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n c r s"]:
    """The largest centred parts of images, at the trained stage."""
    contents = to_float(require_channels(generator, images).to(device_of(generator)))
    return fade_reals(fitted(contents, generator.trained_size), generator.trained_stage.alpha)


def _labels(generator: Generator, styles: Tensor | None, count: int) -> Float[Tensor, "n s"]:
    """A row of style weights for each image, all zero by default."""
    unknown = generator.synthesis.start.new_zeros(count, len(generator.style_names))
    return unknown if styles is None else styles.to(unknown).expand_as(unknown)


@torch.no_grad()
def reference_style_code(
    generator: Generator, images: UInt8[Tensor, "k c h w"], styles: Float[Tensor, "s"] | None = None
) -> Float[Tensor, "1 d"]:
    """Returns the style code of k images of one style, from the mean of their style features. `styles` are
    the weights of their style; None or all zero: unknown."""
    encoder = generator.encoders.style
    features = encoder.style_features(_encoder_input(generator, images), generator.trained_stage)
    return encoder.head(features.mean(dim=0, keepdim=True), _labels(generator, styles, 1))


@torch.no_grad()
def own_style_codes(
    generator: Generator, images: UInt8[Tensor, "n c h w"], styles: Float[Tensor, "n s"] | None = None
) -> Float[Tensor, "n d"]:
    """Returns the style code of each image. `styles` are the weights of each image's style; None or all zero:
    unknown."""
    labels = _labels(generator, styles, len(images))
    return generator.encoders.style(_encoder_input(generator, images), labels, generator.trained_stage)


def content_style_codes(
    generator: Generator, images: UInt8[Tensor, "n c h w"], styles: Float[Tensor, "n s"], psi: float = 1.0
) -> Float[Tensor, "n l d"]:
    """Returns the style code of each image under the label of its target style, truncated by `psi`."""
    if psi != 1:
        require_trained(generator, styles.to(generator.mapping.average), psi)
    w = own_style_codes(generator, images, styles)
    return truncate(w, generator.mapping.average_of(styles.to(w)), psi=psi, layers=generator.layers)


def content_layer(generator: Generator) -> int:
    """The first style layer with an effect on a restyled image: content features enter before it."""
    return layer_count(generator.config.content_resolution) - 1


def codes_of_style_features(
    generator: Generator, style_code: Float[Tensor, "1 d"], codes: Float[Tensor, "n l d"]
) -> Float[Tensor, "n l d"]:
    """Returns codes of new images in the style of others: `style_code` (of `reference_style_code`) from
    `content_layer` on, and `codes` (of `style_codes`) below it."""
    layer = content_layer(generator)
    above = repeat(style_code, "1 d -> n l d", n=len(codes), l=generator.layers - layer)
    return torch.cat([codes[:, :layer], above], dim=1)


# Noise
class NoiseFields:
    """Noise maps of whole images, cut into tiles, which have the same noise where they overlap. An image of
    one tile has the noise of `seeded_normal`."""

    def __init__(self, seeds: Int64[Tensor, "n"], tiling: Tiling, device: torch.device) -> None:
        self.normal, self.tiling, self.device = seeded_normal(seeds), tiling, device
        self.fields: list[Tensor] = []
        """(N, 1, H, W) for each layer with noise, in the order of a forward pass."""

    def at(self, tiles: Sequence[Tile]) -> Normal:
        """Returns the source of noise for one forward pass over `tiles`."""
        layer = 0

        def normal(shape: tuple[int, ...]) -> Tensor:
            nonlocal layer
            size, layer = (shape[-2], shape[-1]), layer + 1
            if layer > len(self.fields):
                sides = zip(self.tiling.extended, size, self.tiling.size, strict=True)
                height, width = (length * side // whole for length, side, whole in sides)
                self.fields.append(self.normal((1, height, width)))
            field = self.fields[layer - 1]
            return torch.stack([field[self.tiling.index(tile, size)] for tile in tiles]).to(self.device)

        return normal


# Images
def restyle(
    generator: Generator,
    images: UInt8[Tensor, "n c h w"],
    style: Styles | UInt8[Tensor, "_c _h _w"] | UInt8[Tensor, "_k _c _h _w"] | Float[Tensor, "n l d"],
    seeds: Seeds | None = None,
    *,
    psi: float = 1.0,
    strength: float = 1.0,
    mode: Mode = "tiled",
    batch: int = 64,
) -> UInt8[Tensor, "n c h w"]:
    """Restyles images, each at its own size.

        restyle(generator, images, "noto")  # uint8 (N, 3, H, W) -> uint8 (N, 3, H, W)

    Args:
        generator: from `load_generator`, trained with encoders.
        images: the contents, of any size.
        style: a style's name, a blend ("noto=0.5+openmoji=0.5") or style weights, one row for all images or a
            row per image; or an image of the target style (3, h, w), or several (k, 3, h, w); or style codes
            w (n, l, d) of `style_codes` or `content_style_codes`.
        seeds: of the noise, one per image; by default 0.
        psi: truncation of the style codes of names and weights.
        strength: from 0, the image itself, to 1, wholly restyled. Values between move the code along the
            straight line in W from the image's own style to the target style, and add the share
            1 - strength of the error with which the network reconstructs the image.
        mode: for images above the trained resolution. `tiled` generates them at their size, in overlapping
            tiles; `resized` reduces them, and enlarges the result.
        batch: tiles generated at once.

    Raises ModelError, in one sentence, for a generator without encoders and for arguments that do not fit.
    """
    count = len(images)
    seeds = torch.zeros(count, dtype=torch.int64) if seeds is None else check_seeds(seeds)
    if len(seeds) != count:
        raise ModelError(f"{len(seeds)} seeds do not fit {count} images: give one for each.")
    if isinstance(style, Tensor) and style.dtype == torch.uint8:
        code = reference_style_code(generator, style[None] if style.ndim == 3 else style)
        codes = repeat(code, "1 d -> n l d", n=count, l=generator.layers)
    elif isinstance(style, Tensor) and style.ndim == 3:
        codes = style
    else:
        codes = content_style_codes(generator, images, style_rows(generator, style, count), psi)
    matrix = restyle_matrix(generator, images, codes[None], seeds, strength=strength, mode=mode, batch=batch)
    return matrix[0]


@torch.no_grad()
def restyle_matrix(
    generator: Generator,
    images: UInt8[Tensor, "n c h w"],
    codes: Float[Tensor, "k n l d"],
    seeds: Int64[Tensor, "n"],
    *,
    strength: float = 1.0,
    own: Float[Tensor, "n d"] | None = None,
    mode: Mode = "tiled",
    batch: int = 64,
) -> UInt8[Tensor, "k n c h w"]:
    """Restyles every image in k styles, given by style codes for each style and image. `own` are the style
    codes of the images, by default `own_style_codes`; the rest is as in `restyle`."""
    if not 0 <= strength <= 1:
        raise ModelError(f"strength {strength:g}: choose from 0 (the image itself) to 1 (wholly restyled).")
    contents, size = to_float(require_channels(generator, images)), (images.shape[2], images.shape[3])
    small = resized(contents, working_size(*size, generator.trained_size, mode))
    if strength < 1:
        own = own_style_codes(generator, images) if own is None else own
        start = repeat(own.to(codes), "n d -> 1 n l d", l=generator.layers)
        codes = torch.cat([start, torch.lerp(start, codes, strength)])
    parts = _synthesise(generator, small, codes, seeds, batch)
    results = torch.stack([resized(part, size) for part in parts])
    if strength < 1:
        reconstructed, results = results[0], results[1:]
        results = results + (1 - strength) * (contents - reconstructed)
    return to_uint8(results.flatten(0, 1)).unflatten(0, (len(results), len(images)))


def _synthesise(
    generator: Generator, images: Tensor, codes: Tensor, seeds: Tensor, batch: int
) -> Float[Tensor, "k n c h w"]:
    """Generates images of every code and the content of `images`, clipped to [-1, 1], on the CPU."""
    tiling = Tiling(height=images.shape[2], width=images.shape[3], size=generator.trained_size)
    if len(tiling.tiles(1)) == 1:
        return _synthesise_tiles(generator, images, codes, seeds, tiling, batch)
    each = zip(images.split(1), codes.split(1, dim=1), seeds.split(1), strict=True)
    return torch.cat([_synthesise_tiles(generator, *one, tiling, batch) for one in each], dim=1)


def _synthesise_tiles(
    generator: Generator, images: Tensor, codes: Tensor, seeds: Tensor, tiling: Tiling, batch: int
) -> Float[Tensor, "k n c h w"]:
    """Generates images tile by tile. Several tiles of an image share statistics and have continued edges."""
    stage, device = generator.trained_stage, device_of(generator)
    encoder, codes = generator.encoders.content, codes.to(device)
    noise, shared = NoiseFields(seeds, tiling, device), len(tiling.tiles(1)) > 1
    of_content = SharedStatistics() if shared else None
    of_codes = [SharedStatistics() if shared else None for _ in codes]

    def process(pixels: Tensor, tiles: Sequence[Tile]) -> Tensor:
        rows = [tile.image for tile in tiles]
        with ContinuedEdges() if shared else nullcontext():
            x = fade_reals(pixels.to(device), stage.alpha)
            content = encoder(x, stage, statistics=of_content)
            results = [
                generator.synthesis(w[rows], stage, noise.at(tiles), content, statistics)
                for w, statistics in zip(codes, of_codes, strict=True)
            ]
        return torch.cat(results, dim=1).clamp(-1, 1).cpu()

    if shared:  # the first pass sets the statistics
        some = spread(tiling.tiles(1))
        process(tiling.cut(tiling.extend(images), some), some)
    canvas = tiled(images, process, size=generator.trained_size, batch=batch)
    return rearrange(canvas, "n (k c) h w -> k n c h w", k=len(codes))
