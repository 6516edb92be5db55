"""From seeds and styles to pictures: latents, truncation, mixing, blending and interpolation.

A picture is a function of (generator, seed, style) alone: its latent code and its noise come from its own
seed, so it is the same in any batch, and one seed in two styles is one pose in two styles.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from einops import repeat
from jaxtyping import Float, Float32, Float64, Int64, UInt8
from torch import Tensor

from .arguments import check_styles, checked_seeds, require_drawn, seeds_of_codes, seeds_of_styles
from .errors import ModelError
from .generator import Generator
from .layers import Normal
from .mapping import truncate
from .stage import Stage, layer_count

NOISE_STREAM = 0x9E3779B9
"""Flips bits of a seed for its noise maps, which must not be the same numbers as its latent code. These are
low bits: a CPU generator looks at no more than 32 of its seed."""


# Randomness
def latents(seeds: Int64[Tensor, "n"], z_dim: int) -> Float[Tensor, "n z"]:
    """Each seed's latent code, standard normal."""
    generators = (torch.Generator().manual_seed(int(seed)) for seed in seeds)
    return torch.stack([torch.randn(z_dim, generator=generator) for generator in generators])


def seeded_normal(seeds: Int64[Tensor, "n"], device: torch.device | str = "cpu") -> Normal:
    """A source of noise in which row i depends on seeds[i] alone. It moves on with each call: make one a
    pass."""
    streams = [torch.Generator().manual_seed(int(seed) ^ NOISE_STREAM) for seed in seeds]

    def normal(shape: tuple[int, ...]) -> Tensor:
        return torch.stack([torch.randn(shape, generator=stream) for stream in streams]).to(device)

    return normal


# Codes
def _device(generator: Generator) -> torch.device:
    return generator.synthesis.start.device


def style_codes(
    generator: Generator,
    seeds: Int64[Tensor, "n"] | Sequence[int],
    styles: Float[Tensor, "n s"],
    *,
    psi: float = 1.0,
    cutoff: int | None = None,
) -> Float[Tensor, "n l d"]:
    """w for each layer, truncated towards the style's own average in the layers below `cutoff`.

    Raises ModelError for arguments that do not belong together, no label where the generator never learnt to
    draw without one, and no such truncation.
    """
    seeds, device = seeds_of_styles(generator, styles, seeds), _device(generator)
    styles = styles.to(device)
    require_drawn(generator, styles, psi)
    w = generator.mapping(latents(seeds, generator.config.z_dim).to(device), styles)
    centre = generator.mapping.average_of(styles)
    return truncate(w, centre, psi=psi, layers=generator.layers, cutoff=cutoff)


def interpolate(
    start: Float[Tensor, "l d"], end: Float[Tensor, "l d"], steps: int
) -> Float[Tensor, "steps l d"]:
    """Straight line in W from `start` to, but without, `end`: legs put one after another make no double
    frame."""
    share = torch.arange(steps, device=start.device, dtype=start.dtype) / steps
    return torch.lerp(start, end, share[:, None, None])


def slerp(
    start: Float[Tensor, "n d"], end: Float[Tensor, "n d"], t: Float[Tensor, "n"]
) -> Float[Tensor, "n d"]:
    """Along the arc from `start` (t 0) to `end` (t 1), at constant angular speed (Shoemake 1985).

    StyleGAN's brings everything to unit length, which its mapping undoes; here z meets the style's row before
    the pixel norm, so its length counts and is kept between those of the ends.
    """
    angle = (start * end).sum(1) / (start.norm(dim=1) * end.norm(dim=1))
    turn = angle.clamp(-1, 1).acos() / torch.pi
    # sin(s a) / sin(a), which for equal ends is s.
    shares = [share * torch.sinc(share * turn) / torch.sinc(turn) for share in (1 - t, t)]
    return shares[0][:, None] * start + shares[1][:, None] * end


# Pictures
def to_uint8(images: Float[Tensor, "n 3 h w"]) -> UInt8[Tensor, "n 3 h w"]:
    """[-1, 1] to 0..255, rounded to the nearest and clipped.

    Raises:
        ModelError: values that are no finite numbers, which would silently become some grey.
    """
    if not images.isfinite().all():
        raise ModelError(
            "the generator drew pictures that are not finite numbers: its weights diverged; take an older "
            "snapshot."
        )
    return (images * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)


@torch.no_grad()
def render(
    generator: Generator,
    w: Float[Tensor, "n l d"],
    seeds: Int64[Tensor, "n"] | Sequence[int],
    *,
    stage: Stage | None = None,
    batch: int = 64,
) -> UInt8[Tensor, "n 3 r r"]:
    """Draws style codes, with the noise of `seeds`, at the stage that the weights were trained to.

    Raises ModelError for codes of another network, and for pictures that are not finite.
    """
    seeds = seeds_of_codes(generator, w, seeds)
    stage, device = stage or generator.trained_stage, _device(generator)
    parts = [
        to_uint8(generator.synthesis(codes.to(device), stage, seeded_normal(own, device))).cpu()
        for codes, own in zip(w.split(batch), seeds.split(batch), strict=True)
    ]
    return torch.cat(parts)


@torch.no_grad()
def sample(
    generator: Generator,
    styles: Float[Tensor, "n s"],
    seeds: Int64[Tensor, "n"] | Sequence[int],
    *,
    psi: float = 1.0,
    cutoff: int | None = None,
    stage: Stage | None = None,
) -> UInt8[Tensor, "n 3 r r"]:
    """One picture for each row of style weights and its seed. Raises ModelError as its two steps do."""
    codes = style_codes(generator, seeds, styles, psi=psi, cutoff=cutoff)
    return render(generator, codes, seeds, stage=stage)


def sample_matrix(
    generator: Generator,
    styles: Float[Tensor, "rows s"],
    seeds: Int64[Tensor, "columns"] | Sequence[int],
    *,
    psi: float = 1.0,
    cutoff: int | None = None,
    stage: Stage | None = None,
) -> UInt8[Tensor, "rows columns 3 r r"]:
    """Every style with every seed: a row is a style, a column one seed in all of them."""
    check_styles(generator, styles)
    seeds = checked_seeds(seeds)
    rows, columns = len(styles), len(seeds)
    every_style = repeat(styles, "r s -> (r c) s", c=columns)
    every_seed = repeat(seeds, "c -> (r c)", r=rows)
    images = sample(generator, every_style, every_seed, psi=psi, cutoff=cutoff, stage=stage)
    return images.unflatten(0, (rows, columns))


@torch.no_grad()
def mixing_matrix(
    generator: Generator,
    style: Float[Tensor, "s"],
    coarse: Int64[Tensor, "rows"] | Sequence[int],
    fine: Int64[Tensor, "columns"] | Sequence[int],
    *,
    layer: int,
    psi: float = 1.0,
) -> UInt8[Tensor, "rows columns 3 r r"]:
    """Style mixing: the row's code below `layer`, the column's from it on, the row's noise, one style.

    Raises:
        ModelError: `layer` leaves nothing to mix among the active layers.
    """
    coarse, fine = checked_seeds(coarse), checked_seeds(fine)
    check_styles(generator, style[None])
    active = layer_count(generator.trained_stage.resolution)
    if not 0 < layer < active:
        raise ModelError(f"mixing layer {layer}: choose from 1 to {active - 1}, among the active layers.")
    rows, columns = len(coarse), len(fine)
    row_codes, column_codes = (
        style_codes(generator, seeds, repeat(style, "s -> n s", n=len(seeds)), psi=psi)
        for seeds in (coarse, fine)
    )
    first = repeat(row_codes, "r l d -> (r c) l d", c=columns)
    second = repeat(column_codes, "c l d -> (r c) l d", r=rows)
    mixed = torch.cat([first[:, :layer], second[:, layer:]], dim=1)
    return render(generator, mixed, repeat(coarse, "r -> (r c)", c=columns)).unflatten(0, (rows, columns))


def truncation_matrix(
    generator: Generator, styles: Float[Tensor, "rows s"], seed: int, psis: Sequence[float]
) -> UInt8[Tensor, "rows columns 3 r r"]:
    """One seed at every truncation: psi 0 is each style's average, below 0 its opposite."""
    seeds = torch.full((len(styles),), seed)
    return torch.stack([sample(generator, styles, seeds, psi=psi) for psi in psis], dim=1)


@torch.no_grad()
def interpolation_frames(
    generator: Generator,
    styles: Float[Tensor, "rows s"],
    seeds: Int64[Tensor, "n"] | Sequence[int],
    *,
    steps: int,
    psi: float = 1.0,
) -> UInt8[Tensor, "frames rows 3 r r"]:
    """A closed walk in W from seed to seed, `steps` frames a leg, in every style at once; the noise stands
    still."""
    seeds = checked_seeds(seeds)
    rows, still = len(styles), torch.full((len(styles),), int(seeds[0]))
    codes = [style_codes(generator, repeat(seed, "-> r", r=rows), styles, psi=psi) for seed in seeds]
    legs = zip(codes, codes[1:] + codes[:1], strict=True)
    walks = [torch.stack([interpolate(a, b, steps) for a, b in zip(start, end, strict=True)], dim=1)
             for start, end in legs]  # fmt: skip
    frames = torch.cat(walks)  # (frames, rows, l, d)
    return torch.stack([render(generator, frame, still) for frame in frames])


@torch.no_grad()
def draw_between(
    generator: Generator,
    styles: Float[Tensor, "n s"],
    seeds_a: Int64[Tensor, "n"] | Sequence[int],
    seeds_b: Int64[Tensor, "n"] | Sequence[int],
    t: Float64[Tensor, "n"],
    *,
    space: Literal["w", "z"] = "w",
    stage: Stage | None = None,
) -> Float32[Tensor, "n 3 r r"]:
    """Float pictures at share `t` of the way from one seed to another in one style, about [-1, 1].

    The way is straight in W or an arc in Z, without truncation; the noise is that of `seeds_a` all along. The
    pictures are neither rounded nor clipped: perceptual path length takes differences of 1e-4 of the way.
    """
    seeds_a, seeds_b = (seeds_of_styles(generator, styles, seeds) for seeds in (seeds_a, seeds_b))
    device, z_dim = _device(generator), generator.config.z_dim
    styles = styles.to(device)
    # Shares in float64: in float32 a step of 1e-4 would be off by a thousandth of itself.
    ends = [latents(seeds, z_dim).to(device) for seeds in (seeds_a, seeds_b)]
    if space == "w":
        a, b = (generator.mapping(z, styles).double() for z in ends)
        w = torch.lerp(a, b, t.to(device)[:, None]).float()
    else:
        a, b = (z.double() for z in ends)
        w = generator.mapping(slerp(a, b, t.to(device)).float(), styles)
    codes = repeat(w, "n d -> n l d", l=generator.layers)
    stage = stage or generator.trained_stage
    return generator.synthesis(codes, stage, seeded_normal(seeds_a, device)).cpu()


Precision = Literal["fp32", "bf16"]
Codes = Callable[[Tensor, Tensor], Tensor]
"""Style weights (n, s) and seeds (n,) to style codes (n, l, d)."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Some pictures of a matrix of styles by seeds."""

    cells: Int64[Tensor, "n"]
    """Which: the cell of row r and column c is r * columns + c."""
    images: UInt8[Tensor, "n 3 r r"]


def draw_batches(
    generator: Generator,
    codes: Codes,
    styles: Float[Tensor, "rows s"],
    seeds: Int64[Tensor, "columns"],
    cells: Int64[Tensor, "n"],
    *,
    batch: int = 64,
    precision: Precision = "fp32",
) -> Iterator[Drawn]:
    """Draws the given cells of `sampling.sample_matrix`, in their order, `batch` at a time.

    bf16 runs the synthesis in bfloat16 where autocast does; its pictures differ by rounding.

    Raises:
        ModelError: a picture that is not finite.
    """
    device = generator.synthesis.start.device.type
    for some in cells.split(batch) if len(cells) else ():
        rows, own = some // len(seeds), seeds[some % len(seeds)]
        with torch.no_grad():
            w = codes(styles[rows], own)
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
                images = render(generator, w, own, batch=batch)
        yield Drawn(cells=some, images=images)
