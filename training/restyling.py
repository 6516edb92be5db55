"""Restyling and rebuilding: what a generator with encoders learns beside sampling, and the terms of its loss.

A batch is its own partner: every picture is restyled toward its neighbour, by the neighbour's label or by its
looks. No pairs of one subject in two styles are needed, and none are used.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor

from brushwork.data.loader import Batch
from brushwork.models.encoders import Content
from brushwork.models.generator import Generator
from brushwork.models.mapping import mix
from brushwork.models.synthesis import Stage, fade_reals, layer_count

from .draws import Draws, derived_seed
from .errors import TrainingError

Regime = Literal["sampling", "restyling", "autoencoding"]

TERMS: tuple[str, ...] = ("style", "diversity", "cycle", "content", "rebuild", "divergence")
"""Every term that has a weight, in the order of the log."""


@dataclass(frozen=True, kw_only=True)
class RestyleConfig:
    """How often each thing is trained, and the weights of the terms. Needs `generator.encoders`."""

    sampling: float = 1.0
    """Share of the steps that draw from latent codes, as a StyleGAN does; shares count against each other."""
    restyling: float = 0.0
    """Share of the steps that redraw pictures in the style of others."""
    autoencoding: float = 0.0
    """Share of the steps that rebuild pictures from their own style and content."""
    by_picture: float = 0.5
    """Part of the restyled pictures whose style comes from a picture, not from a label and a latent code."""
    style: float = 1.0
    """Weight of |E(G(x, w)) - w|: the style that went in can be read off (StarGAN v2, arXiv:1912.01865)."""
    diversity: float = 1.0
    """Weight of -|G(x, w1) - G(x, w2)|: another code is another picture; falls to 0 at ..."""
    diversity_kimg: float = 50.0
    """... so many thousand images."""
    cycle: float = 1.0
    """Weight of |G(C(G(x, w)), E(x)) - x|: restyled back, the picture is itself again."""
    content: float = 1.0
    """Weight of the squared difference between the contents of a restyled picture and its original."""
    rebuild: float = 10.0
    """Weight of |G(C(x), E(x)) - x| where pictures are rebuilt."""
    divergence: float = 0.01
    """Weight of the content code's divergence from its prior (with generator.content_latent)."""

    def __post_init__(self) -> None:
        for name in ("sampling", "restyling", "autoencoding", *TERMS, "diversity_kimg"):
            if getattr(self, name) < 0:
                raise TrainingError(f"restyle.{name} is {getattr(self, name)}; it must be 0 or more.")
        if not 0 <= self.by_picture <= 1:
            raise TrainingError(f"restyle.by_picture is {self.by_picture}; it is a share, from 0 to 1.")
        if self.sampling + self.restyling + self.autoencoding == 0:
            raise TrainingError(
                "restyle.sampling, restyling and autoencoding are all 0; one must be above, or nothing is "
                "trained."
            )

    @property
    def needs_encoders(self) -> bool:
        return self.restyling + self.autoencoding > 0

    def regime_at(self, nimg: int, seed: int) -> Regime:
        """What the step at `nimg` trains: drawn by the shares, the same in every process."""
        total = self.sampling + self.restyling + self.autoencoding
        place = derived_seed(seed, nimg, "regime") / 2**63 * total
        if place < self.sampling:
            return "sampling"
        return "restyling" if place < self.sampling + self.restyling else "autoencoding"

    def weights_at(self, nimg: int) -> dict[str, float]:
        """Each term's weight."""
        left = max(0.0, 1 - nimg / (1000 * self.diversity_kimg)) if self.diversity_kimg else 0.0
        weights: dict[str, float] = {name: getattr(self, name) for name in TERMS}
        return weights | {"diversity": self.diversity * left}


@dataclass(frozen=True, kw_only=True)
class Redrawn:
    """Pictures (N, 3, R, R) made from other pictures, and what they were made of."""

    images: Tensor
    styles: Float[Tensor, "n s"]
    """The styles that they should have."""
    w: Float[Tensor, "n d"]
    """The first code of each."""
    mapped: Float[Tensor, "n d"]
    """The codes that the mapping network made, for its running averages."""
    content: Content
    whole: Tensor
    """(N,) float: 1 where one code went into all layers, 0 where two were mixed."""


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
    """Every picture in the style of its neighbour: by the neighbour's label and a fresh latent code, or by
    the neighbour's looks. A share `mixing` mixes that code with one of the other kind at an active layer."""
    encoders, active = generator.encoders, layer_count(stage.resolution)
    images, goal = fade_reals(batch.images, stage.alpha), swap_neighbours(styles)
    content = encoders.content(images, stage, draws.normal)
    mapped = generator.mapping(draws.normal((generator.mapping.z_dim,)), goal)
    seen = encoders.style(swap_neighbours(images), goal, stage)
    by_picture = (draws.uniform() < config.by_picture)[:, None]
    first, second = torch.where(by_picture, seen, mapped), torch.where(by_picture, mapped, seen)
    mixed = draws.uniform() < mixing
    cutoff = torch.where(mixed, draws.integers(1, active), torch.full_like(draws.integers(1, 2), active))
    codes = mix(first, second, cutoff, layers=generator.layers)
    return Redrawn(
        images=generator.synthesis(codes, stage, draws.normal, content.features), styles=goal, w=first,
        mapped=mapped, content=content, whole=(~mixed).float(),
    )  # fmt: skip


def rebuild(
    generator: Generator, images: Float[Tensor, "n 3 r r"], styles: Tensor, content: Content, stage: Stage,
    draws: Draws,
) -> Tensor:  # fmt: skip
    """Pictures in the style that the encoder reads off `images`, from the given content."""
    w = generator.encoders.style(images, styles, stage)
    codes = repeat(w, "n d -> n l d", l=generator.layers)
    return generator.synthesis(codes, stage, draws.normal, content.features)


# Terms
def restyling_terms(
    generator: Generator, redrawn: Redrawn, batch: Batch, styles: Tensor, stage: Stage,
    weights: dict[str, float], draws: Draws,
) -> dict[str, Tensor]:  # fmt: skip
    """The terms of restyled pictures that have a weight, unweighted: means over the batch."""
    encoders, images = generator.encoders, fade_reals(batch.images, stage.alpha)
    terms: dict[str, Tensor] = {}
    if weights["style"]:
        read = encoders.style(redrawn.images, redrawn.styles, stage)
        gap = (read - redrawn.w.detach()).abs().mean(dim=1)
        terms["style"] = (gap * redrawn.whole).sum() / redrawn.whole.sum().clamp(min=1)
    if weights["diversity"]:
        other = generator.mapping(draws.normal((generator.mapping.z_dim,)), redrawn.styles)
        codes = repeat(other, "n d -> n l d", l=generator.layers)
        second = generator.synthesis(codes, stage, draws.normal, redrawn.content.features)
        terms["diversity"] = -(redrawn.images - second).abs().mean()
    if weights["cycle"] or weights["content"]:
        kept = encoders.content(redrawn.images, stage, draws.normal)
        if weights["content"]:
            terms["content"] = (kept.features - redrawn.content.features.detach()).square().mean()
        if weights["cycle"]:
            back = rebuild(generator, images, styles, kept, stage, draws)
            terms["cycle"] = (back - images).abs().mean()
    return terms | _divergence(redrawn.content, weights)


def autoencoding_terms(
    generator: Generator, batch: Batch, styles: Tensor, stage: Stage, weights: dict[str, float], draws: Draws
) -> dict[str, Tensor]:
    """The terms of rebuilt pictures, unweighted."""
    images = fade_reals(batch.images, stage.alpha)
    content = generator.encoders.content(images, stage, draws.normal)
    rebuilt = rebuild(generator, images, styles, content, stage, draws)
    return {"rebuild": (rebuilt - images).abs().mean()} | _divergence(content, weights)


def _divergence(content: Content, weights: dict[str, float]) -> dict[str, Tensor]:
    if content.divergence is None or not weights["divergence"]:
        return {}
    return {"divergence": content.divergence.mean()}


def weighted_sum(terms: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """The composite: each term times its weight; 0 without terms."""
    return sum((weights[name] * value for name, value in terms.items()), torch.zeros(()))
