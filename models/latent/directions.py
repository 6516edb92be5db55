"""Directions in W: what changes in every image if its style code moves along them.

Three kinds. `sefa` changes the network's styles most for a step of given length (Shen 2021,
arXiv:2007.06600). `pca` is where the codes of random seeds vary most (Härkönen 2020, arXiv:2004.02546).
`style` leads from the average code of one style to that of another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor

from ..errors import ModelError
from ..generator import Generator
from ..layers import EqualLinear
from ..sampling import CodeSource, latents
from ..stage import layer_count
from ..styles import style_index

SEEDS = 2000
"""Seeds of each style whose codes are compared, from 2**31 on: not those that people look at."""
FIRST = 2**31


@dataclass(frozen=True, kw_only=True)
class Direction:
    """A step in W for the layers from `first` to `last`, counted from 0, both included."""

    name: str
    step: Float[Tensor, "d"]
    """What strength 1 adds to a code: a standard deviation of random codes, or the way between two styles."""
    first: int
    last: int

    def codes(self, source: CodeSource, strength: float) -> CodeSource:
        """The codes of a source, all moved by as many steps."""

        def moved(styles: Tensor, seeds: Tensor) -> Tensor:
            codes = source(styles, seeds)
            return self.move(codes, codes.new_full((len(codes),), strength))

        return moved

    def move(self, codes: Float[Tensor, "n l d"], strength: Float[Tensor, "n"]) -> Float[Tensor, "n l d"]:
        """The codes moved by so many steps."""
        layers = torch.arange(codes.shape[1], device=codes.device)
        chosen = ((self.first <= layers) & (layers <= self.last)).to(codes.dtype)
        step = self.step.to(codes)
        return codes + strength.to(codes)[:, None, None] * chosen[None, :, None] * step[None, None]


def direction_matrix(
    directions: Sequence[Direction],
    codes: Float[Tensor, "n l d"],
    strengths: Sequence[float],
    draw: Callable[[Float[Tensor, "n l d"]], UInt8[Tensor, "n c h w"]],
) -> UInt8[Tensor, "rows columns c h w"]:
    """Draws codes moved along the directions by each strength: a row for each code, direction by
    direction."""

    def moved(direction: Direction, strength: float) -> Tensor:
        return draw(direction.move(codes, codes.new_full((len(codes),), strength)))

    return torch.cat([
        torch.stack([moved(direction, strength) for strength in strengths], dim=1)
        for direction in directions
    ])  # fmt: skip


# Closed forms
def sefa(matrices: Sequence[Float[Tensor, "_o d"]], count: int) -> Float64[Tensor, "k d"]:
    """Unit vectors n that maximise the sum of |A n|^2 over the rows of the matrices, each of length 1, one
    after the other at right angles: the eigenvectors of A^T A (Shen 2021, eq. 5; rows as in its code)."""
    rows = torch.cat([matrix.double() for matrix in matrices])
    rows = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
    _, vectors = torch.linalg.eigh(rows.T @ rows)
    return _signed(vectors.T.flip(0)[:count])


def principal_components(codes: Float[Tensor, "n d"], count: int) -> Float64[Tensor, "k d"]:
    """Unit vectors along which the codes vary most, one after the other (Härkönen 2020, section 3.1)."""
    centred = codes.double() - codes.double().mean(0)
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    return _signed(vectors.T.flip(0)[:count])


def _signed(vectors: Float64[Tensor, "k d"]) -> Float64[Tensor, "k d"]:
    """The sign is free: the largest entry is positive, so that a direction is the same on every machine."""
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return vectors * largest.sign()


# Of a generator
def style_matrices(generator: Generator, first: int, last: int) -> list[Float[Tensor, "_o d"]]:
    """The affine maps from w to the styles of the layers `first` to `last`."""
    found = []
    for name, module in generator.synthesis.blocks.named_modules():  # in the order of the layers
        if name.endswith("affine"):
            assert isinstance(module, EqualLinear)
            found.append(module.weight.detach() * module.scale)
    return found[first : last + 1]


@torch.no_grad()
def random_codes(generator: Generator) -> Float[Tensor, "n d"]:
    """Codes of random seeds in every trained style, each around the average of its style. Raises ModelError
    if there is none."""
    mapping, styles = generator.mapping, torch.eye(len(generator.style_names) + 1)[:, :-1]
    z = latents(torch.arange(FIRST, FIRST + SEEDS), generator.config.z_dim).to(mapping.table.device)
    parts = []
    for row in styles.to(z):
        own = row.expand(len(z), -1)
        if not mapping.untrained_styles(own[:1]):
            codes = mapping(z, own)
            parts.append(codes - codes.mean(0))
    if not parts:
        raise ModelError("this generator was never trained, so its codes have no directions.")
    return torch.cat(parts)


def find_directions(generator: Generator, text: str, count: int = 10) -> list[Direction]:
    """The direction of a text: `sefa:3` or `pca:3` (counted from 1), or `style:noto>openmoji`; the first
    `count` of `sefa` or `pca` alone. With `@4-7` they move the layers 4 to 7 only.

    Raises ModelError for any other text, and for what the generator lacks.
    """
    body, _, span = text.partition("@")
    first, last = _layers(generator, span)
    kind, _, what = body.partition(":")
    if kind == "style":
        return [_between(generator, text, what, first, last)]
    if kind not in KINDS:
        raise ModelError(
            f"there is no direction {text!r:.60}: write sefa:3, pca:3 or style:NAME>NAME, with @4-7 for some "
            "layers."
        )
    dimensions = generator.mapping.table.shape[1]
    if what and not (what.isdecimal() and 1 <= int(what) <= dimensions):
        raise ModelError(f"the direction {text!r:.60} has no such number: take 1 to {dimensions}.")
    numbers = [int(what)] if what else list(range(1, min(count, dimensions) + 1))
    codes = random_codes(generator)
    vectors = KINDS[kind](generator, codes, max(numbers), first, last)
    deviations = (codes.double() @ vectors.T.to(codes.device)).std(0).cpu()
    suffix = f"@{span}" if span else ""
    steps = (vectors.cpu() * deviations[:, None]).float()
    return [
        Direction(
            name=f"{kind}:{number}{suffix}", step=steps[number - 1], first=first, last=last,
        )
        for number in numbers
    ]  # fmt: skip


def _sefa_of(generator: Generator, _: Tensor, count: int, first: int, last: int) -> Tensor:
    return sefa(style_matrices(generator, first, last), count)


def _pca_of(_generator: Generator, codes: Tensor, count: int, _first: int, _last: int) -> Tensor:
    return principal_components(codes, count)


KINDS: dict[str, Callable[[Generator, Tensor, int, int, int], Tensor]] = {"sefa": _sefa_of, "pca": _pca_of}


def _between(generator: Generator, text: str, what: str, first: int, last: int) -> Direction:
    names = [name.strip() for name in what.split(">")]
    if len(names) != 2:
        raise ModelError(f"cannot read the direction {text!r:.60}: write style:NAME>NAME.")
    start, end = (style_index(name, generator.style_names) for name in names)
    for index in (start, end):
        if not bool(generator.mapping.average[index].any()):
            raise ModelError(
                f"{generator.style_names[index]} has no average code: training never generated it."
            )
    averages = generator.mapping.average.cpu()
    return Direction(name=text, step=averages[end] - averages[start], first=first, last=last)


def _layers(generator: Generator, span: str) -> tuple[int, int]:
    """The layers of "4-7", or all of the trained resolution for an empty text."""
    most = layer_count(generator.trained_stage.resolution) - 1
    if not span:
        return 0, generator.layers - 1
    low, _, high = span.partition("-")
    if not (low.isdecimal() and (high or low).isdecimal() and int(low) <= int(high or low) <= most):
        raise ModelError(
            f"cannot read the layers {span!r:.40}: write a rising range from 0 to {most}, as in 4-7."
        )
    return int(low), int(high or low)
