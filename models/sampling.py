"""Sampling: from styles and seeds to images, with truncation, style mixing, blending and interpolation.

An image is a function of (generator, style, seed): its latent code and its noise maps come from its own seed.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from einops import repeat
from jaxtyping import Float, Float32, Float64, Int64, UInt8
from torch import Tensor

from .errors import ModelError
from .generator import Generator
from .latent.walks import mixed
from .layers import Normal
from .mapping import truncate
from .stage import Stage, layer_count
from .styles import style_weights

NOISE_STREAM = 0x9E3779B9
"""Separates the noise maps of a seed from its latent code."""

Seeds = Int64[Tensor, "_n"] | Sequence[int]
"""Whole numbers from 0 to below 2**63, one per image."""
Styles = str | Float[Tensor, "s"] | Float[Tensor, "_n s"]
"""A style's name, a blend ("ink=0.5+oil=0.5"), "none", or weights of the generator's styles: one row for all
images, or one per image."""
CodeSource = Callable[[Tensor, Tensor], Tensor]
"""Style weights (n, s) and seeds (n,) to style codes (n, l, d)."""
Precision = Literal["fp32", "bf16"]


# Randomness
def latents(seeds: Int64[Tensor, "n"], z_dim: int) -> Float[Tensor, "n z"]:
    """Returns the latent code of each seed, standard normal."""
    return torch.stack([_stream(int(seed))((z_dim,)) for seed in seeds])


def seeded_normal(seeds: Int64[Tensor, "n"], device: torch.device | str = "cpu") -> Normal:
    """Returns a source of noise for one forward pass, whose row i depends on seeds[i] alone."""
    streams = [_stream(int(seed), NOISE_STREAM) for seed in seeds]
    return lambda shape: torch.stack([stream(shape) for stream in streams]).to(device)


def _stream(seed: int, purpose: int = 0) -> Normal:
    """Standard normal numbers of (seed, purpose). torch's CPU generator uses only 32 bits of its seed, so
    larger seeds go to NumPy's."""
    if seed < 2**32:
        generator = torch.Generator().manual_seed(seed ^ purpose)
        return lambda shape: torch.randn(shape, generator=generator)
    rng = np.random.default_rng((seed, purpose))
    return lambda shape: torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


# Arguments
def check_seeds(seeds: Tensor | Sequence[int]) -> Int64[Tensor, "n"]:
    """Returns the seeds as a tensor. Raises ModelError unless they are one row of whole numbers from 0."""
    tensor = torch.as_tensor(seeds)
    if tensor.dtype != torch.int64 or tensor.ndim != 1 or (tensor < 0).any():
        raise ModelError(f"the seeds {seeds!r:.60} cannot be used: give whole numbers from 0, as in [0, 1].")
    return tensor


def style_rows(generator: Generator, styles: str | Tensor, count: int) -> Float[Tensor, "n s"]:
    """Returns one row of style weights for each of `count` images. Raises ModelError for an unknown name, and
    for a tensor that does not fit the generator's styles or the images."""
    names = generator.style_names
    weights = style_weights(styles, names) if isinstance(styles, str) else styles
    rows = weights[None] if weights.ndim == 1 else weights
    if rows.shape not in ((1, len(names)), (count, len(names))):
        shape = tuple(weights.shape)
        raise ModelError(f"style weights of shape {shape} do not fit {count} images of {len(names)} styles.")
    return rows.float().expand(count, -1)


def require_trained(generator: Generator, styles: Float[Tensor, "n s"], psi: float) -> None:
    """Raises ModelError for styles that were not trained, whose codes, truncated or not, would be noise."""
    names = generator.style_names
    for row in generator.mapping.untrained_styles(styles):
        if row == len(names) and names:
            raise ModelError(
                "this run was not trained without a style: name one, or a blend whose weights sum to 1 "
                "(--loss.label-dropout trains it)."
            )
        if psi != 1:
            raise ModelError(
                f"{names[row] if names else 'this run'} has no average code to truncate to, since training "
                "never generated it: leave psi at 1."
            )


def device_of(generator: Generator) -> torch.device:
    return generator.synthesis.start.device


# Codes
def style_codes(
    generator: Generator, styles: Styles, seeds: Seeds, *, psi: float = 1.0
) -> Float[Tensor, "n l d"]:
    """Returns w of each layer, truncated towards the average of the style.

    Raises ModelError if the arguments do not fit together, and for styles that were not trained.
    """
    seeds, device = check_seeds(seeds), device_of(generator)
    styles = style_rows(generator, styles, len(seeds)).to(device)
    require_trained(generator, styles, psi)
    w = generator.mapping(latents(seeds, generator.config.z_dim).to(device), styles)
    centre = generator.mapping.average_of(styles)
    return truncate(w, centre, psi=psi, layers=generator.layers)


# Images
def to_uint8(images: Float[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
    """[-1, 1] to 0..255, rounded to the nearest and clipped; colours are divided by the transparency, if any.
    Raises ModelError for values that are not finite, which would silently become grey."""
    if not images.isfinite().all():
        raise ModelError("the generated images are not finite: the weights diverged; take an older snapshot.")
    if images.shape[1] == 4:
        images = divided_by_alpha(images)
    return (images * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)


def multiplied_by_alpha(images: Float[Tensor, "n 4 h w"]) -> Float[Tensor, "n 4 h w"]:
    """Multiplies colours by the transparency, all in [-1, 1], so that transparent pixels have one colour."""
    colours, alpha = (images + 1)[:, :3], (images[:, 3:] + 1) / 2
    return torch.cat([colours * alpha - 1, images[:, 3:]], dim=1)


def divided_by_alpha(images: Float[Tensor, "n 4 h w"]) -> Float[Tensor, "n 4 h w"]:
    """The inverse of `multiplied_by_alpha`, in which pixels of less than half a level of 255 are black."""
    colours, alpha = (images + 1)[:, :3], (images[:, 3:] + 1) / 2
    visible = alpha >= 0.5 / 255
    colours = torch.where(visible, colours / alpha.clamp(0.5 / 255, 1), torch.zeros_like(colours))
    return torch.cat([colours - 1, images[:, 3:]], dim=1)


@torch.no_grad()
def render(
    generator: Generator,
    w: Float[Tensor, "n l d"],
    seeds: Seeds,
    *,
    stage: Stage | None = None,
    batch: int = 64,
) -> UInt8[Tensor, "n c h w"]:
    """Generates images of style codes, with the noise of `seeds`, by default at the trained stage. Raises
    ModelError if the images are not finite."""
    seeds, stage, device = check_seeds(seeds), stage or generator.trained_stage, device_of(generator)
    parts = [
        to_uint8(generator.synthesis(codes.to(device), stage, seeded_normal(own, device))).cpu()
        for codes, own in zip(w.split(batch), seeds.split(batch), strict=True)
    ]
    return torch.cat(parts)


@torch.no_grad()
def sample(
    generator: Generator,
    styles: Styles,
    seeds: Seeds,
    *,
    psi: float = 1.0,
    stage: Stage | None = None,
) -> UInt8[Tensor, "n c h w"]:
    """Generates one image per seed.

        sample(generator, "noto", seeds=range(8), psi=0.8)  # uint8 (8, C, H, W)

    Args:
        generator: from `load_generator`.
        styles: a style's name, a blend ("noto=0.5+openmoji=0.5"), "none", or style weights (see
            `style_weights`): one row for all seeds, or a row per seed.
        seeds: whole numbers from 0 to below 2**63. An image depends on its own seed and style alone.
        psi: truncation: 1 changes nothing, 0 gives the average of the style.
        stage: resolution of the images; by default the one that the weights were trained to.

    Raises ModelError, in one sentence, if the arguments do not fit the generator or one another.
    """
    codes = style_codes(generator, styles, seeds, psi=psi)
    return render(generator, codes, seeds, stage=stage)


# Figures
def sample_matrix(
    generator: Generator, styles: Float[Tensor, "rows s"], seeds: Seeds, *, psi: float = 1.0
) -> UInt8[Tensor, "rows columns c h w"]:
    """Generates every style with every seed: a row is a style, a column a seed."""
    seeds, rows = check_seeds(seeds), len(styles)
    every_style = repeat(styles, "r s -> (r c) s", c=len(seeds))
    images = sample(generator, every_style, seeds.repeat(rows), psi=psi)
    return images.unflatten(0, (rows, len(seeds)))


@torch.no_grad()
def mixing_matrix(
    generator: Generator, style: str | Float[Tensor, "s"], coarse: Seeds, fine: Seeds, *, psi: float = 1.0
) -> UInt8[Tensor, "rows columns c h w"]:
    """Style mixing within one style: the code of the row's seed in the lower half of the layers, that of the
    column's seed in the upper half, the noise of the row's seed."""
    layer = layer_count(generator.trained_stage.resolution) // 2
    first, second = (style_codes(generator, style, seeds, psi=psi) for seeds in (coarse, fine))
    codes = mixed(first, second, layer)
    noise = repeat(check_seeds(coarse), "r -> (r c)", c=len(fine))
    return render(generator, codes.flatten(0, 1), noise).unflatten(0, codes.shape[:2])


def truncation_matrix(
    generator: Generator, styles: Float[Tensor, "rows s"], seed: int, psis: Sequence[float]
) -> UInt8[Tensor, "rows columns c h w"]:
    """Generates one seed at every truncation: psi 0 is each style's average, below 0 its opposite."""
    seeds = torch.full((len(styles),), seed)
    return torch.stack([sample(generator, styles, seeds, psi=psi) for psi in psis], dim=1)


@torch.no_grad()
def generate_between(
    generator: Generator,
    styles: Float[Tensor, "n s"],
    seeds_a: Int64[Tensor, "n"],
    seeds_b: Int64[Tensor, "n"],
    t: Float64[Tensor, "n"],
) -> Float32[Tensor, "n c h w"]:
    """Generates float images at share `t` of the straight line in W between two seeds, with the noise of
    `seeds_a`, for perceptual path length: neither truncated, rounded nor clipped; transparent ones on
    white."""
    # Shares in float64: in float32 a step of 1e-4 would be off by a thousandth of itself.
    a, b = (style_codes(generator, styles, seeds).double() for seeds in (seeds_a, seeds_b))
    w = torch.lerp(a, b, t.to(a.device)[:, None, None]).float()
    images = generator.synthesis(w, generator.trained_stage, seeded_normal(seeds_a, w.device)).cpu()
    return images if images.shape[1] == 3 else images[:, :3] + 1 - images[:, 3:]


# Many images
def sample_batches(
    generator: Generator,
    codes: CodeSource,
    styles: Float[Tensor, "rows s"],
    seeds: Int64[Tensor, "columns"],
    cells: Int64[Tensor, "n"],
    *,
    batch: int = 64,
    precision: Precision = "fp32",
) -> Iterator[tuple[Int64[Tensor, "b"], UInt8[Tensor, "b c h w"]]]:
    """Generates the given cells of a matrix of styles by seeds, in their order: yields up to `batch`
    cells with their images. The cell of row r and column c is r * columns + c.

    `bf16` runs the synthesis in bfloat16 where autocast does; its images differ by rounding. Raises
    ModelError if an image is not finite.
    """
    device = device_of(generator).type
    for some in cells.split(batch) if len(cells) else ():
        rows, own = some // len(seeds), seeds[some % len(seeds)]
        with torch.no_grad():
            w = codes(styles[rows], own)
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
                images = render(generator, w, own, batch=batch)
        yield some, images
