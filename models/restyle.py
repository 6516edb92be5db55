"""Redrawing: what a picture shows, in the style of a label, of a blend of labels or of other pictures.

A result is a function of (generator, picture, style code, seed) alone. Pictures of any size and shape come
back as they were; the network draws squares of the size that it was trained at.
"""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from .arguments import require_drawn
from .errors import ModelError
from .generator import Generator
from .layers import Normal
from .mapping import truncate
from .sampling import seeded_normal, style_codes, to_uint8
from .stage import fade_reals
from .tiling import ContinuedEdges, Place, SharedStatistics, Tiling, evenly, tiled

Mode = Literal["tiled", "resized"]


# Pixels
def to_float(images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """0..255 to [-1, 1]: `to_uint8` undoes it exactly."""
    return images.float() / 127.5 - 1


def resized(images: Float[Tensor, "n 3 h w"], size: tuple[int, int]) -> Float[Tensor, "n 3 h2 w2"]:
    """Bicubic, with a support that grows with the reduction; unchanged where the size is right already."""
    if images.shape[2:] == size:
        return images
    return F.interpolate(images, size, mode="bicubic", antialias=True, align_corners=False)


def squared(images: Float[Tensor, "n 3 h w"], side: int) -> Float[Tensor, "n 3 side side"]:
    """The largest centred square, at `side` pixels."""
    height, width = images.shape[2:]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    return resized(images[:, :, top : top + short, left : left + short], (side, side))


def working_size(height: int, width: int, side: int, mode: Mode) -> tuple[int, int]:
    """The height and width that a picture is redrawn at by a network of `side` pixels.

    The longer side becomes `side` if it is shorter, and if it is longer and the mode is `resized`; `tiled`
    leaves a longer one as it is.
    """
    longest = max(height, width)
    if longest == side or (longest > side and mode == "tiled"):
        return height, width
    return max(1, round(height * side / longest)), max(1, round(width * side / longest))


# Codes
@torch.no_grad()
def codes_like(
    generator: Generator, images: UInt8[Tensor, "k 3 r r"], styles: Float[Tensor, "s"]
) -> Float[Tensor, "1 d"]:
    """One style code, read off k pictures of one style at the trained resolution.

    `styles` are the weights of the styles that the pictures are known to be of; all zero: of none.
    """
    stage, device = generator.trained_stage, generator.synthesis.start.device
    x = fade_reals(to_float(images.to(device)), stage.alpha)
    return generator.encoders.style.mean_code(x, styles.to(device), stage)


@torch.no_grad()
def own_style_codes(
    generator: Generator, contents: UInt8[Tensor, "n 3 h w"], styles: Float[Tensor, "n s"] | None = None
) -> Float[Tensor, "n d"]:
    """The style that each picture has already, read off its largest square at the trained resolution.

    `styles` are as for `codes_like`, a row a picture; None: of none.
    """
    stage, device = generator.trained_stage, generator.synthesis.start.device
    if styles is None:
        styles = torch.zeros(len(contents), len(generator.style_names))
    x = fade_reals(squared(to_float(contents.to(device)), stage.resolution), stage.alpha)
    return generator.encoders.style(x, styles.to(device), stage)


def content_style_codes(
    generator: Generator, contents: UInt8[Tensor, "n 3 h w"], styles: Float[Tensor, "n s"], psi: float = 1.0
) -> Float[Tensor, "n l d"]:
    """Each picture's own looks as the style `styles` would have them: its palette is kept where the style
    encoder keeps it. A `psi` below 1 pulls the codes towards the average of the style."""
    if psi != 1:
        require_drawn(generator, styles.to(generator.mapping.average), psi)
    w = own_style_codes(generator, contents, styles)
    centre = generator.mapping.average_of(styles.to(w))
    return truncate(w, centre, psi=psi, layers=generator.layers)


@torch.no_grad()
def content_codes(
    generator: Generator, images: UInt8[Tensor, "n 3 h w"]
) -> list[Float[Tensor, "n _c _h _w"]]:
    """What each picture shows, of its largest square at the trained resolution: the start features of the
    synthesis, then the details from coarse to fine, where there are any."""
    stage, device = generator.trained_stage, generator.synthesis.start.device
    x = fade_reals(squared(to_float(images.to(device)), stage.resolution), stage.alpha)
    content = generator.encoders.content(x, stage)
    return [content.features, *(content.details[r] for r in sorted(content.details))]


def content_layer(generator: Generator) -> int:
    """The first style layer that a picture's content passes: those below decide, in its place, what is
    shown."""
    return 2 * int(math.log2(generator.config.content_resolution // 4)) + 1


def codes_of_style_features(
    generator: Generator,
    style_features: Float[Tensor, "1 d"],
    styles: Float[Tensor, "n s"],
    seeds: Int64[Tensor, "n"],
    *,
    psi: float = 1.0,
    cutoff: int | None = None,
    layer: int | None = None,
) -> Float[Tensor, "n l d"]:
    """Codes of new pictures that look like others: `looks` (see `codes_like`) from `layer` on, by default
    from `content_layer`; below it each seed's own code in its style, truncated as `style_codes` says.

    Raises ModelError for a `layer` that there is not.
    """
    layer = content_layer(generator) if layer is None else layer
    if not 0 <= layer < generator.layers:
        raise ModelError(
            f"layer {layer} cannot be the first of the picture's: choose 0 to {generator.layers - 1}."
        )
    below = style_codes(generator, seeds, styles, psi=psi, cutoff=cutoff)[:, :layer]
    above = repeat(style_features, "1 d -> n l d", n=len(below), l=generator.layers - layer)
    return torch.cat([below, above], dim=1)


# Noise
class NoiseFields:
    """Noise maps of whole pictures, from which those of squares are cut: where squares overlap, they have the
    same noise. A picture that is one square has the noise of `seeded_normal`."""

    def __init__(self, seeds: Int64[Tensor, "n"], tiling: Tiling, device: torch.device) -> None:
        self.draw, self.tiling, self.device = seeded_normal(seeds), tiling, device
        self.fields: list[Tensor] = []
        """(N, 1, H, W) for each layer that asked, in the order of a pass."""

    def at(self, places: Sequence[Place]) -> Normal:
        """A source of noise for one pass over the squares at `places`."""
        passed = 0

        def normal(shape: tuple[int, ...]) -> Tensor:
            nonlocal passed
            side, passed = shape[-1], passed + 1
            if passed > len(self.fields):
                self.fields.append(
                    self.draw((1, *(self.scaled(length, side) for length in self.tiling.extended)))
                )
            field = self.fields[passed - 1]
            corners = ((p.picture, self.scaled(p.top, side), self.scaled(p.left, side)) for p in places)
            cut = [field[n, :, top : top + side, left : left + side] for n, top, left in corners]
            return torch.stack(cut).to(self.device)

        return normal

    def scaled(self, length: int, side: int) -> int:
        """A length in pixels, a multiple of half a square, at a layer whose squares measure `side`."""
        return length * side // self.tiling.side


# Pictures
def restyle(
    generator: Generator,
    contents: UInt8[Tensor, "n 3 h w"],
    codes: Float[Tensor, "n l d"],
    seeds: Int64[Tensor, "n"],
    *,
    strength: float = 1.0,
    own: Float[Tensor, "n d"] | None = None,
    mode: Mode = "tiled",
    batch: int = 64,
) -> UInt8[Tensor, "n 3 h w"]:
    """Every picture in one style, of its own code; otherwise as `restyle_matrix`."""
    rows = codes[None]
    found = restyle_matrix(
        generator, contents, rows, seeds, strength=strength, own=own, mode=mode, batch=batch
    )
    return found[0]


@torch.no_grad()
def restyle_matrix(
    generator: Generator,
    contents: UInt8[Tensor, "n 3 h w"],
    codes: Float[Tensor, "k n l d"],
    seeds: Int64[Tensor, "n"],
    *,
    strength: float = 1.0,
    own: Float[Tensor, "n d"] | None = None,
    mode: Mode = "tiled",
    batch: int = 64,
) -> UInt8[Tensor, "k n 3 h w"]:
    """Every picture in k styles, at its own size, with the noise of its seed.

    Args:
        codes: w for each style, picture and layer: `sampling.style_codes` of labels, `codes_like` of
            pictures.
        strength: 1 is wholly redrawn, 0 the picture itself, exactly. In between, the code is so far on the
            straight way in W from the picture's own style to the other one. And since from its own style the
            network only rebuilds the picture, more or less well, the share 1 - strength of what it misses
            there is added.
        own: the style codes that the pictures have already, for a strength below 1; None reads them off.
        mode: what becomes of pictures above the trained resolution. `tiled` draws them at their size, in
            overlapping squares with shared statistics; `resized` reduces them to it, and enlarges the result.
            Smaller pictures are enlarged to it and the result reduced. What is not square is extended by
            reflection and cut back.
        batch: squares drawn at once.

    Raises ModelError for a generator without encoders, and for a strength or mode that there is not.
    """
    check_strength(strength)
    if mode not in get_args(Mode):
        raise ModelError(f"the mode {mode!r} is unknown: choose tiled or resized.")
    images, size = to_float(contents), (contents.shape[2], contents.shape[3])
    small = resized(images, working_size(*size, generator.trained_stage.resolution, mode))
    if strength < 1:
        own = own_style_codes(generator, contents) if own is None else own
        start = repeat(own.to(codes), "n d -> 1 n l d", l=generator.layers)
        codes = torch.cat([start, torch.lerp(start, codes, strength)])
    drawn = torch.stack([resized(part, size) for part in _drawn(generator, small, codes, seeds, batch)])
    if strength < 1:
        rebuilt, drawn = drawn[0], drawn[1:]
        drawn = drawn + (1 - strength) * (images - rebuilt)
    return to_uint8(drawn.flatten(0, 1)).unflatten(0, (len(drawn), len(contents)))


def check_strength(strength: float) -> None:
    """Raises ModelError for a strength outside 0 to 1."""
    if not 0 <= strength <= 1:
        raise ModelError(f"strength {strength:g}: choose from 0 (the picture itself) to 1 (wholly redrawn).")


def _drawn(
    generator: Generator, images: Tensor, codes: Tensor, seeds: Tensor, batch: int
) -> Float[Tensor, "k n 3 h w"]:
    """The synthesis of every code from the pictures' content, cut to [-1, 1], on the CPU."""
    tiling = Tiling(height=images.shape[2], width=images.shape[3], side=generator.trained_stage.resolution)
    if len(tiling.places(1)) == 1:
        return _drawn_alike(generator, images, codes, seeds, tiling, batch, None)
    parts = []
    for n in range(len(images)):
        one = images[n : n + 1], codes[:, n : n + 1], seeds[n : n + 1]
        parts.append(_drawn_alike(generator, *one, tiling, batch, SharedStatistics()))
    return torch.cat(parts, dim=1)


def _drawn_alike(
    generator: Generator, images: Tensor, codes: Tensor, seeds: Tensor, tiling: Tiling, batch: int,
    statistics: SharedStatistics | None,
) -> Float[Tensor, "k n 3 h w"]:  # fmt: skip
    """Square by square. Those of one picture share their statistics and go on beyond their edges; a picture
    that is one square is drawn as in training."""
    stage, device = generator.trained_stage, generator.synthesis.start.device
    encoder, codes = generator.encoders.content, codes.to(device)
    noise = NoiseFields(seeds, tiling, device)

    def draw(squares: Tensor, places: Sequence[Place]) -> Tensor:
        pictures = [place.picture for place in places]
        with ExitStack() as whole:
            if statistics is not None:
                whole.enter_context(statistics)
                whole.enter_context(ContinuedEdges())
            content = encoder(fade_reals(squares.to(device), stage.alpha), stage)
            drawn = [generator.synthesis(w[pictures], stage, noise.at(places), content) for w in codes]
        return torch.cat(drawn, dim=1).clamp(-1, 1).cpu()

    if statistics is not None:
        some = evenly(tiling.places(1))
        draw(tiling.cut(tiling.extend(images), some), some)
    canvas = tiled(images, draw, side=stage.resolution, batch=batch)
    return rearrange(canvas, "n (k c) h w -> k n c h w", k=len(codes))
