"""Neural style transfer: a picture whose feature maps are the content's, and whose textures are the style's
(Gatys et al. 2016, "Image style transfer using convolutional neural networks", CVPR).

Nothing is learnt: pixels are moved until the loss is low. `stylize` gives the result, `Stylizer` every step
to it.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from brushwork.data.progress import Progress

from ..calibration import choose_precision
from ..errors import TrainingError
from .backbones import Perceiver, default_layers, find_backbone
from .colour import coloured_like, with_colours_of
from .config import StylizeConfig
from .objective import Eye, Losses, Objective, Picture, Region
from .optimizers import Adam, Lbfgs, PixelOptimizer, State
from .statistics import blended

Pixels = UInt8[Tensor, "3 _h _w"]

GREY, NOISE = 0.5, 0.1
"""Mean and deviation of the noise that is begun with."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is to be drawn, of what: uint8 sRGB pixels."""

    content: Pixels
    styles: Sequence[Pixels]
    weights: Sequence[float] = ()
    """Of the styles, divided by their sum; by default they count alike."""
    masks: Sequence[UInt8[Tensor, "_h _w"]] = ()
    """Of the content's size: where each style is to be, 255 wholly and 0 not at all. One mask may serve all
    styles, whose blend it then confines."""
    start: Pixels | None = None
    """The picture to begin with, in place of what the configuration says."""

    def __post_init__(self) -> None:
        if not self.styles:
            raise TrainingError("no style picture was given: give one or several.")
        if len(self.weights) > len(self.styles):
            raise TrainingError(f"{len(self.weights)} weights were given for {len(self.styles)} styles.")
        if self.weights and len(self.weights) < len(self.styles):
            raise TrainingError(f"{len(self.styles)} styles have {len(self.weights)} weights: give each one.")
        if self.weights and (min(self.weights) < 0 or sum(self.weights) <= 0):
            raise TrainingError(
                f"style weights {tuple(self.weights)}: none may be below 0, one must be more."
            )
        if len(self.masks) not in (0, 1, len(self.styles)):
            raise TrainingError(
                f"{len(self.masks)} masks for {len(self.styles)} styles: give one, or one for each."
            )
        for mask in self.masks:
            if mask.shape != self.content.shape[1:]:
                sizes = [f"{shape[1]}x{shape[0]}" for shape in (mask.shape, self.content.shape[1:])]
                raise TrainingError(f"a mask is {sizes[0]} and the content {sizes[1]}: give one of its size.")
            if not mask.any():
                raise TrainingError("a mask is black throughout: make white what is to be stylised.")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One evaluation of the loss."""

    number: int
    """From 1, over all sizes."""
    of: int
    """How many there will be."""
    side: int
    """Longer side that is drawn at."""
    losses: Losses


# The API
def stylize(
    content: Pixels, styles: Sequence[Pixels], config: StylizeConfig, *, network: Perceiver | None = None,
    device: str = "cpu", progress: bool = False,
) -> Pixels:  # fmt: skip
    """The content in the style of the other pictures, at its own size or at the configuration's.

    Raises ModelError for weights that there are not and pictures that are too small, TrainingError for
    settings that do not fit, for a loss that becomes NaN, and for one that ends above its start.
    """
    stylizer = Stylizer(Scene(content=content, styles=styles), config, network=network, device=device)
    with Progress(
        total=stylizer.total, desc="stylize", unit="eval", leave=False, disable=not progress
    ) as bar:
        for step in stylizer:
            bar.update()
            bar.set_postfix_str(f"{step.side} px, loss {step.losses.total:.4g}", refresh=False)
    return stylizer.drawn()


class Stylizer:
    """Draws a scene, evaluation by evaluation: an iterator of `Step`s.

    `drawn()` is the picture as it stands; `state_dict` and `load_state_dict` stop and resume, bit for bit.
    """

    def __init__(
        self, scene: Scene, config: StylizeConfig, *, network: Perceiver | None = None, device: str = "cpu"
    ) -> None:
        self.scene, self.config, self.device = scene, config, torch.device(device)
        style, content = default_layers(config.backbone)
        style, content = config.style_layers or style, config.content_layers or content
        network = network or find_backbone(config.backbone, (*style, *content), config.weights, device=device)
        precision = choose_precision(config.precision, self.device)
        self.eye = Eye(network=network, style_layers=style, content_layers=content, bf16=precision == "bf16")
        self.sides = config.sides(config.size or max(scene.content.shape[1:]))
        self.number = 0
        self.first_loss = torch.inf
        """Loss at the beginning of the size that is being drawn at."""
        self.place = -1
        self.image = torch.empty(0)
        self._enter(0, None)

    @property
    def total(self) -> int:
        """Evaluations at all sizes together."""
        return self.begins[-1] + self.config.evaluations

    def __iter__(self) -> Iterator[Step]:
        while self.number < self.total:
            yield self.advance()

    def advance(self) -> Step:
        """One evaluation, and where it leads. Raises TrainingError where the loss is no number, and if after
        the last one it stands above its start; then `drawn()` is the best picture that there was."""
        place = self._place_of(self.number)
        if place > self.place:
            self._enter(place, self.standing())
        losses, gradient = self.objective(self.image)
        if self.number == self.begins[place]:
            self.first_loss = losses.total
        self.image = self._bounded(self.optimizer(self.image, losses.total, gradient))
        self.number += 1
        if self.number == self.total and self.optimizer.loss > self.first_loss:
            raise TrainingError(
                f"the loss ended at {self.optimizer.loss:.4g}, above the {self.first_loss:.4g} that it began "
                "with: lower the learning rate or the weights."
            )
        return Step(number=self.number, of=self.total, side=self.sides[self.place], losses=losses)

    # Sizes
    @property
    def begins(self) -> list[int]:
        """The number of evaluations after which each size begins."""
        coarse = self.config.coarse_evaluations or self.config.evaluations
        return [place * coarse for place in range(len(self.sides))]

    def _place_of(self, number: int) -> int:
        return bisect_right(self.begins, number) - 1

    def _enter(self, place: int, before: Picture | None) -> None:
        """Begins with a size, from what was drawn at the size before."""
        last = place == len(self.sides) - 1
        content = self._sized(self.scene.content, self.sides[place])
        size = content.shape[2:]
        if before is None:
            self.image, self.optimizer = self._first(content), self._optimizer(last)
        else:
            # The finer size's own details, and what was changed in the coarser one.
            change = before - self._sized(self.scene.content, self.sides[place - 1])
            change = F.interpolate(change, size, mode="bicubic", align_corners=False)
            self.image = self._bounded(content + change)
            if self.config.optimizer == "adam-lbfgs" and last:
                self.optimizer = self._optimizer(last)
            else:
                self.optimizer.resized(*size)
        self.place, self.objective = place, self._objective(content)

    def _bounded(self, image: Picture) -> Picture:
        return image.clamp(0, 1) if self.config.clamp else image

    def _first(self, content: Picture) -> Picture:
        if self.scene.start is not None:
            return resized(as_picture(self.scene.start, self.device), content.shape[2:])
        if self.config.start == "content":
            return content.clone()
        generator = torch.Generator().manual_seed(self.config.seed)
        noise = GREY + NOISE * torch.randn(content.shape, generator=generator)
        return noise.clamp(0, 1).to(self.device)

    def _optimizer(self, last: bool) -> PixelOptimizer:
        config = self.config
        if config.optimizer == "adam" or (config.optimizer == "adam-lbfgs" and not last):
            return Adam(lr=config.adam_lr)
        return Lbfgs(history=config.history, lr=config.lr)

    def _objective(self, content: Picture) -> Objective:
        side, tile = max(content.shape[2:]), self.config.tile
        styles = [self._sized(style, round(side * self.config.style_scale)) for style in self.scene.styles]
        if self.config.colours == "statistics":
            styles = [coloured_like(style, content) for style in styles]
        sums = [self.eye.style_sums(style, tile) for style in styles]
        masks = [resized(mask[None, None].to(self.device) / 255, content.shape[2:])[0, 0]
                 for mask in self.scene.masks]  # fmt: skip
        if len(masks) > 1:
            regions = [Region(goals=own, mask=mask) for own, mask in zip(sums, masks, strict=True)]
        else:
            weights = self.scene.weights or [1.0] * len(sums)
            goals = {name: blended([one[name] for one in sums], weights) for name in self.eye.style_layers}
            regions = [Region(goals=goals, mask=masks[0] if masks else None)]
        return Objective(
            eye=self.eye, config=self.config, contents=self.eye.content_maps(content, tile),
            regions=tuple(regions),
        )  # fmt: skip

    def _sized(self, pixels: Pixels, longer: int) -> Picture:
        return sized(as_picture(pixels, self.device), longer)

    # What is there
    def standing(self) -> Picture:
        """The picture as it stands (1, 3, H, W), before anything is done to it in the end."""
        return self.image if self.optimizer.at is None else self.optimizer.at

    def drawn(self) -> Pixels:
        """The picture as it stands, at the size that is being drawn: with the strength, in the colours and
        within the masks that were asked for."""
        side = self.sides[self.place]
        content, drawn = self._sized(self.scene.content, side), self.standing().clamp(0, 1)
        if self.config.colours == "luma":
            drawn = with_colours_of(content, drawn)
        share = torch.full_like(content[:, :1], self.config.strength)
        if self.scene.masks:
            masks = torch.stack([mask.to(self.device) for mask in self.scene.masks])
            share = share * resized(masks.amax(dim=0)[None, None] / 255, content.shape[2:]).clamp(0, 1)
        # Written so that a share of 0 is the content, bit for bit, and one of 1 what was drawn.
        mixed = torch.where(share >= 1, drawn, content + share * (drawn - content))
        return (mixed[0] * 255).round().clamp(0, 255).to(torch.uint8).cpu()

    def state_dict(self) -> State:
        first_loss = torch.tensor(self.first_loss, dtype=torch.float64)
        own = {"image": self.image, "number": torch.tensor(self.number), "first_loss": first_loss}
        return own | {f"optimizer.{name}": x for name, x in self.optimizer.state_dict().items()}

    def load_state_dict(self, state: State) -> None:
        """Goes on where a stylizer of the same scene and configuration stood."""
        self.number, self.first_loss = int(state["number"]), float(state["first_loss"])
        place = self._place_of(max(0, self.number - 1))
        self.optimizer = self._optimizer(place == len(self.sides) - 1)
        own = {name.removeprefix("optimizer."): x.to(self.device) for name, x in state.items() if "." in name}
        self.optimizer.load_state_dict(own)
        content = self._sized(self.scene.content, self.sides[place])
        self.place, self.objective = place, self._objective(content)
        self.image = state["image"].to(self.device)


# Sizes
def as_picture(pixels: Pixels, device: torch.device) -> Picture:
    return pixels.to(device)[None].float() / 255


def sized(image: Picture, longer: int) -> Float[Tensor, "1 3 h2 w2"]:
    """At a longer side of so many pixels."""
    height, width = image.shape[2:]
    scale = longer / max(height, width)
    return resized(image, (max(1, round(height * scale)), max(1, round(width * scale))))


def resized(image: Float[Tensor, "1 c h w"], size: Sequence[int]) -> Float[Tensor, "1 c h2 w2"]:
    """Bicubic with antialias, within 0 to 1; the same where it has that size."""
    if tuple(image.shape[2:]) == tuple(size):
        return image
    found = F.interpolate(image, tuple(size), mode="bicubic", align_corners=False, antialias=True)
    return found.clamp(0, 1)
