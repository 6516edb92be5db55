"""Films of a generator: walks through seeds, styles, directions and codes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Interval
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from brushwork.data.film import require_film, write_film
from brushwork.data.images import on_white
from brushwork.data.progress import Progress
from brushwork.models.generator import Generator
from brushwork.models.latent.codes import Codes, render_codes
from brushwork.models.latent.directions import Direction
from brushwork.models.latent.walks import Easing, walk
from brushwork.models.options import Count, options
from brushwork.models.sampling import CodeSource, render

SIDE = 256
"""Shorter side to which small images are enlarged, in pixels."""
BESIDE = 6
"""Images side by side, at most, where the stops do not say it."""

Draw = Callable[[Float[Tensor, "n l d"], int], UInt8[Tensor, "m c h w"]]
"""Codes of some frames, and their number, to images: frame by frame, the images side by side."""


@options
class FilmConfig:
    """How a film goes from stop to stop."""

    walk: Literal["seeds", "styles"] = "seeds"
    """What a film walks through: seeds, with the styles side by side, or styles, with the first seeds side by
    side. With --direction it goes along that, and with --codes through these."""
    frames: Count = 48
    """Frames of a film from each stop to the next."""
    fps: Annotated[int, Interval(ge=1, le=240)] = 24
    """Frames a second."""
    easing: Easing = "smooth"
    """smooth: slow near the stops; linear: at one speed."""
    loop: bool = True
    """Return to the first stop, so that the film can repeat."""


@dataclass(frozen=True, kw_only=True)
class Walk:
    """The stops of a film, and how to draw what lies between."""

    stops: Iterable[Float[Tensor, "n l d"]]
    count: int
    """Number of stops."""
    draw: Draw


# Walks
def seeds_walk(generator: Generator, codes: CodeSource, styles: Float[Tensor, "s k"], seeds: Tensor) -> Walk:
    """From seed to seed, the styles side by side, with the noise of the first seed."""
    stops = (codes(styles, seed.expand(len(styles))) for seed in seeds)
    return Walk(stops=stops, count=len(seeds), draw=_with_noise(generator, seeds[:1].expand(len(styles))))


def styles_walk(generator: Generator, codes: CodeSource, styles: Float[Tensor, "s k"], seeds: Tensor) -> Walk:
    """From style to style, the first seeds side by side, each with its noise."""
    own = seeds[:BESIDE]
    stops = (codes(style.expand(len(own), -1), own) for style in styles)
    return Walk(stops=stops, count=len(styles), draw=_with_noise(generator, own))


def direction_walk(
    generator: Generator, direction: Direction, strengths: Sequence[float], codes: CodeSource,
    styles: Float[Tensor, "s k"], seeds: Tensor,
) -> Walk:  # fmt: skip
    """Along a direction, the first seed of every style side by side."""
    own = seeds[:1].expand(len(styles))
    w = codes(styles, own)
    return Walk(stops=_moved(w, direction, strengths), count=len(strengths), draw=_with_noise(generator, own))


def codes_walk(generator: Generator, codes: Codes) -> Walk:
    """From code to code, with the noise of the first."""
    first = codes.take(torch.zeros(1, dtype=torch.int64))
    return Walk(stops=codes.w[:, None], count=len(codes), draw=_of_codes(generator, first))


def moved_codes_walk(
    generator: Generator, codes: Codes, direction: Direction, strengths: Sequence[float]
) -> Walk:
    """Along a direction, the first codes side by side."""
    own = codes.take(torch.arange(min(BESIDE, len(codes))))
    return Walk(
        stops=_moved(own.w, direction, strengths), count=len(strengths), draw=_of_codes(generator, own)
    )


def _moved(w: Tensor, direction: Direction, strengths: Sequence[float]) -> list[Tensor]:
    return [direction.move(w, w.new_full((len(w),), strength)) for strength in strengths]


def _with_noise(generator: Generator, seeds: Tensor) -> Draw:
    return lambda w, frames: render(generator, w, seeds.repeat(frames))


def _of_codes(generator: Generator, codes: Codes) -> Draw:
    rows = torch.arange(len(codes))
    return lambda w, frames: render_codes(generator, codes.take(rows.repeat(frames)), w)


# Films
def write_walk(path: Path, way: Walk, config: FilmConfig, *, batch: int = 64, side: int = SIDE) -> int:
    """Writes the film of a walk, drawing about `batch` images at once, each enlarged by a whole number to a
    shorter side of at most `side` pixels. Returns the number of frames.

    Raises DataError for a path that no film can have.
    """
    count = way.count * config.frames if config.loop else (way.count - 1) * config.frames + 1
    require_film(path, count)
    codes = walk(way.stops, config.frames, easing=config.easing, loop=config.loop)
    with Progress(total=count, desc="film", unit="frame", leave=False) as bar:

        def frames() -> Iterator[np.ndarray]:
            for frame in drawn(codes, way.draw, batch, side):
                yield frame
                bar.update()

        write_film(path, frames(), config.fps)
    return count


def drawn(codes: Iterator[Tensor], draw: Draw, batch: int, side: int) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Draws frames, some at once, each the images of its codes side by side."""
    for first in codes:
        some = [first, *islice(codes, max(0, batch // len(first) - 1))]
        with torch.no_grad():
            images = draw(torch.cat(some), len(some))
        for frame in images.split(len(first)):
            pixels = on_white(rearrange(frame, "n c h w -> h (n w) c").numpy())
            scale = max(1, side // min(frame.shape[2:]))
            yield pixels.repeat(scale, axis=0).repeat(scale, axis=1)
