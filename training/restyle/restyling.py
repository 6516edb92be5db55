"""Restyling, rebuilding and contrast: what a generator with encoders draws from pictures, and the terms.

A batch is its own partner: every picture is restyled toward its neighbour, by the neighbour's label or by its
looks. No pairs of one subject in two styles are needed, and none are used unless `loader.paired` lays them
side by side.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor

from brushwork.data.loader import Batch
from brushwork.models.classifier import StyleClassifier
from brushwork.models.generator import Generator
from brushwork.models.mapping import mix
from brushwork.models.restyle import content_layer
from brushwork.models.stage import Stage, fade_reals, layer_count
from brushwork.models.synthesis import Content

from ..errors import TrainingError
from ..rng import Draws
from . import terms
from .config import RestyleConfig

Terms = dict[str, Tensor]


Perception = Callable[[Tensor, Stage], list[Tensor]]
"""Pictures in [-1, 1] at a stage -> feature maps, from fine to coarse."""


@dataclass(frozen=True, kw_only=True)
class Judges:
    """Networks that are not trained here and whose opinion counts; None where no term asks for it."""

    classifier: StyleClassifier | None = None
    perception: Perception | None = None


@dataclass(frozen=True, kw_only=True)
class Redrawn:
    """Pictures (N, 3, R, R) made from other pictures, and what they were made of."""

    images: Tensor
    styles: Float[Tensor, "n s"]
    """The styles that they should have."""
    goals: Float[Tensor, "n s"]
    """The neighbours' styles: the same, but where two pictures' codes were mixed."""
    w: Float[Tensor, "n d"]
    """The first code of each."""
    mapped: Float[Tensor, "n d"]
    """The codes that the mapping network made, for its running averages."""
    content: Content
    looks: Float[Tensor, "n d"]
    """What the style encoder saw in the originals (`StyleEncoder.looks`)."""
    whole: Float[Tensor, "n"]
    """1 where one code went into all layers, 0 where two were mixed."""
    by_picture: Float[Tensor, "n"]
    """1 where that code was read off the neighbour."""
    by_self: Float[Tensor, "n"]
    """1 where it was read off the picture itself."""


# Drawing
def swap_neighbours(x: Tensor) -> Tensor:
    """Rows 0 1 2 3 -> 1 0 3 2: a partner for everyone, the same however the batch is split in even parts.

    Raises TrainingError for an odd number of rows.
    """
    if len(x) % 2:
        raise TrainingError(
            f"{len(x)} pictures cannot be paired off for restyling; take an even number for each process and "
            "part."
        )
    return x.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)


def restyle(
    generator: Generator, batch: Batch, styles: Tensor, stage: Stage, config: RestyleConfig, draws: Draws,
    *, mixing: float,
) -> Redrawn:  # fmt: skip
    """Every picture in the style of its neighbour: by the neighbour's looks, by its own looks under the
    neighbour's label, or by that label and a fresh latent code.

    A share `mixing` takes a second code from some layer on that pictures pass. With the neighbour's looks
    these are the picture's own, of its own style: two pictures' styles make a new one, which is asked for as
    the blend that the layers are. Else they are the neighbour's.
    """
    encoders, low = generator.encoders, content_layer(generator)
    images, goal = fade_reals(batch.images, stage.alpha), swap_neighbours(styles)
    content = encoders.content(images, stage, draws.normal)
    looks = encoders.style.looks(images, stage)
    mapped = generator.mapping(draws.normal((generator.mapping.z_dim,)), goal)
    told = goal * (draws.uniform() >= config.hide_label)[:, None]
    seen = encoders.style.head(swap_neighbours(looks), told)
    own = encoders.style.head(looks, goal)
    place = draws.uniform()
    by_picture = place < config.by_picture
    by_self = ~by_picture & (place < config.by_picture + config.by_self)
    first = torch.where(by_picture[:, None], seen, torch.where(by_self[:, None], own, mapped))
    second = torch.where(by_picture[:, None], encoders.style.head(looks, styles), seen)
    active = layer_count(stage.resolution)
    cutoff = cutoffs(draws, mixing, low=low + 1, active=active)
    of_second = by_picture * (active - cutoff) / (active - low)
    return Redrawn(
        images=generator.synthesis(
            mix(first, second, cutoff, layers=generator.layers), stage, draws.normal, content
        ),
        styles=torch.lerp(goal, styles, of_second[:, None].to(goal)), goals=goal, w=first, mapped=mapped,
        content=content, looks=looks, by_picture=by_picture.float(), by_self=by_self.float(),
        whole=(cutoff == active).float(),
    )  # fmt: skip


def cutoffs(draws: Draws, mixing: float, *, low: int, active: int) -> Tensor:
    """Where each picture changes codes, int64 (N,): for a share `mixing` one of the layers low .. active - 1,
    for the rest, and where there is no such layer, `active`: never."""
    drawn = draws.integers(min(low, active - 1), active)
    mixed = (draws.uniform() < mixing) & (drawn >= low)
    return torch.where(mixed, drawn, torch.full_like(drawn, active))


def with_code(
    generator: Generator, w: Float[Tensor, "n d"], content: Content, stage: Stage, draws: Draws
) -> Tensor:
    """Pictures of the given content, one code in all layers."""
    codes = repeat(w, "n d -> n l d", l=generator.layers)
    return generator.synthesis(codes, stage, draws.normal, content)


# Terms
def restyling_terms(
    generator: Generator, judges: Judges, redrawn: Redrawn, batch: Batch, styles: Tensor, stage: Stage,
    config: RestyleConfig, weights: dict[str, float], draws: Draws,
) -> Terms:  # fmt: skip
    """The terms of restyled pictures that have a weight, unweighted: means over the batch."""
    encoders, drawn = generator.encoders, redrawn.images
    images = fade_reals(batch.images, stage.alpha)
    found: Terms = {}
    looks = redrawn.looks
    if weights["style"] or weights["cycle"]:
        looks = encoders.style.looks(drawn, stage)
    if weights["style"]:
        read = encoders.style.head(looks, redrawn.styles)
        found["style"] = terms.style(read, redrawn.w, redrawn.whole)
    if weights["diversity"]:
        other = generator.mapping(draws.normal((generator.mapping.z_dim,)), redrawn.styles)
        second = with_code(generator, other, redrawn.content, stage, draws)
        found["diversity"] = -terms.pixels(drawn, second, "l1")
    if weights["cycle"] or weights["content"]:
        kept = encoders.content(drawn, stage, draws.normal)
        if weights["content"]:
            found["content"] = terms.content(kept.features, redrawn.content.features)
        if weights["cycle"]:
            # Whose own looks were kept must show them still; the others' are given back.
            seen = torch.where(redrawn.by_self[:, None] > 0, looks, redrawn.looks)
            back = with_code(generator, encoders.style.head(seen, styles), kept, stage, draws)
            found["cycle"] = terms.pixels(back, images, config.pixels)
    if weights["paired"]:
        found["paired"] = terms.pixels(drawn, swap_neighbours(images), config.pixels)
    judged = _judged(judges, redrawn, images, stage, weights)
    return found | judged | _divergence(redrawn.content, weights)


def _judged(
    judges: Judges, redrawn: Redrawn, images: Tensor, stage: Stage, weights: dict[str, float]
) -> Terms:
    """What the judges say of restyled pictures."""
    found: Terms = {}
    if weights["classifier"]:
        assert judges.classifier is not None
        found["classifier"] = terms.classifier(judges.classifier(redrawn.images, stage), redrawn.styles)
    if not any(weights[name] for name in ("perceptual", "gram", "mean_std")):
        return found
    assert judges.perception is not None
    drawn = judges.perception(redrawn.images, stage)
    with torch.no_grad():
        originals = judges.perception(images, stage)
        followed = [swap_neighbours(maps) for maps in originals]
    rows = redrawn.by_picture * redrawn.whole
    if weights["perceptual"]:
        found["perceptual"] = terms.perceptual(drawn, originals)
    if weights["gram"]:
        found["gram"] = terms.gram(drawn, followed, rows)
    if weights["mean_std"]:
        found["mean_std"] = terms.mean_std(drawn, followed, rows)
    return found


def autoencoding_terms(
    generator: Generator, judges: Judges, batch: Batch, styles: Tensor, stage: Stage, config: RestyleConfig,
    weights: dict[str, float], draws: Draws,
) -> Terms:  # fmt: skip
    """The terms of rebuilt pictures, unweighted."""
    images, encoders = fade_reals(batch.images, stage.alpha), generator.encoders
    content = encoders.content(images, stage, draws.normal)
    told = styles * (draws.uniform() >= config.hide_label)[:, None]
    rebuilt = with_code(generator, encoders.style(images, told, stage), content, stage, draws)
    found = {"rebuild": terms.pixels(rebuilt, images, config.pixels)}
    if weights["rebuild_perceptual"]:
        assert judges.perception is not None
        with torch.no_grad():
            originals = judges.perception(images, stage)
        found["rebuild_perceptual"] = terms.perceptual(judges.perception(rebuilt, stage), originals)
    return found | _divergence(content, weights)


def contrast_terms(
    generator: Generator, batch: Batch, stage: Stage, config: RestyleConfig, draws: Draws
) -> Terms:
    """Two crops of each picture find each other by their style codes, read without a label."""
    images = fade_reals(batch.images, stage.alpha)
    nameless = torch.zeros_like(batch.styles)
    encode = generator.encoders.style
    one, other = (encode(terms.crop(images, draws.uniform((4,))), nameless, stage) for _ in range(2))
    group = config.contrast_group
    return {"crops": terms.matching(one, other, group=group, temperature=config.temperature)}


def _divergence(content: Content, weights: dict[str, float]) -> Terms:
    if content.divergence is None or not weights["divergence"]:
        return {}
    return {"divergence": content.divergence.mean()}


def weighted_sum(found: Terms, weights: dict[str, float]) -> Tensor:
    """The composite: each term times its weight; 0 without terms."""
    return sum((weights[name] * value for name, value in found.items()), torch.zeros(()))
