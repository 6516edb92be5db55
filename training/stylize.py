"""Neural style transfer by its pixels: content from one picture, textures from another (Gatys et al. 2015,
arXiv 1508.06576).

Nothing is learnt and nothing is drawn at random: the content's own pixels are moved until its feature maps
have the other picture's Gram matrices. The same content, style and network give the same picture.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor
from tqdm import tqdm

from brushwork.models.perceptual import Vgg, gram_distance

from .errors import TrainingError

Optimizer = Literal["lbfgs", "adam"]

SMALLEST, HISTORY = 16, 20
"""Pixels that the taps of the fifth stage need; steps that L-BFGS remembers."""


@dataclass(frozen=True, kw_only=True)
class StylizeConfig:
    """What pixels are optimised for, and how long. The weights suit HED-VGG16, whose maps are of 0 to 255."""

    style_taps: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    """Layers whose Gram matrices are to be the style picture's."""
    content_tap: str = "relu4_2"
    """The layer whose maps are to stay the content's."""
    style_weight: float = 1e-4
    """Weight of the mean over the style layers of |G - A|^2 / (2 c h w)^2, the paper's E."""
    content_weight: float = 1.0
    """Weight of the mean squared difference of the content layer's maps."""
    optimizer: Optimizer = "lbfgs"
    """lbfgs takes picture by picture, which its step size would couple; adam all at once, each for itself."""
    iterations: int = 100
    """Evaluations of the loss for each picture."""
    adam_lr: float = 0.02
    """Adam's learning rate, of pixels from 0 to 1."""
    side: int = 64
    """Smaller pictures are enlarged to so many pixels for the network, and what was changed is reduced."""

    def __post_init__(self) -> None:
        if not self.style_taps:
            raise TrainingError("style_taps names no layer; name one at least.")
        style, content = self.style_weight, self.content_weight
        if min(style, content) < 0 or max(style, content) == 0:
            both = f"style_weight is {style:g} and content_weight {content:g}"
            raise TrainingError(f"{both}; both must be 0 or more, and one above.")
        for name, least in (("iterations", 1), ("side", SMALLEST)):
            if getattr(self, name) < least:
                raise TrainingError(f"{name} is {getattr(self, name)}; it must be {least} or more.")
        if self.adam_lr <= 0:
            raise TrainingError(f"adam_lr is {self.adam_lr:g}; it must be above 0.")

    @property
    def taps(self) -> tuple[str, ...]:
        """What the network must give."""
        return (*self.style_taps, self.content_tap)

    @property
    def words(self) -> str:
        """For a protocol."""
        return (
            f"Gram of {','.join(self.style_taps)} x {self.style_weight:g}, {self.content_tap} x "
            f"{self.content_weight:g}, {self.iterations} evaluations of {self.optimizer} from the content, "
            f"enlarged to {self.side} px where smaller"
        )


# Losses
@dataclass(frozen=True, kw_only=True)
class Objective:
    """What pictures are to become: maps by tap, of the contents and of the style pictures."""

    network: Vgg
    config: StylizeConfig
    contents: dict[str, Tensor]
    styles: dict[str, Tensor]

    @classmethod
    @torch.no_grad()
    def of(cls, network: Vgg, contents: Tensor, styles: Tensor, config: StylizeConfig) -> "Objective":
        """Raises ModelError for pictures too small for the deepest tap."""
        return cls(network=network, config=config, contents=network(contents), styles=network(styles))

    def __call__(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n"]:
        """Each picture's loss (eq. 7, with means for the sums of eq. 1): it depends on no other picture."""
        maps, config = self.network(images), self.config
        errors = [gram_distance(maps[tap], self.styles[tap], "gatys") for tap in config.style_taps]
        kept = (maps[config.content_tap] - self.contents[config.content_tap]).square().mean((1, 2, 3))
        return config.style_weight * torch.stack(errors).mean(0) + config.content_weight * kept


# Pictures
def stylize(
    contents: UInt8[Tensor, "n 3 h w"], styles: UInt8[Tensor, "n 3 h2 w2"], network: Vgg,
    config: StylizeConfig, *, progress: bool = False,
) -> UInt8[Tensor, "n 3 h w"]:  # fmt: skip
    """Each content with the textures of its style picture, at its own size.

    `network` has the taps of the configuration and is left as it was. What was changed at the network's size
    is reduced and added to the content, so that where nothing changes, the content stays as it is exactly.
    """
    plain, goals = (images.to(network.mean.device).float() / 255 for images in (contents, styles))
    start, goals = (enlarged(images, config.side) for images in (plain, goals))
    change = torch.zeros_like(start)
    parts = torch.arange(len(start)).split(1 if config.optimizer == "lbfgs" else max(1, len(start)))
    total, hidden = len(parts) * config.iterations, None if progress else True
    with tqdm(total=total, desc="stylize", leave=False, disable=hidden) as bar:
        for rows in parts:
            objective = Objective.of(network, start[rows], goals[rows], config)
            change[rows] = optimised(objective, start[rows], config, bar.update) - start[rows]
    change = F.interpolate(change, contents.shape[2:], mode="bilinear", antialias=True, align_corners=False)
    return ((plain + change) * 255).round().clamp(0, 255).to(torch.uint8).cpu()


def enlarged(images: Float[Tensor, "n 3 h w"], side: int) -> Float[Tensor, "n 3 h2 w2"]:
    """Bicubic, to a shorter side of `side` pixels; larger pictures stay as they are."""
    scale = side / min(images.shape[2:])
    if scale <= 1:
        return images
    size = [round(length * scale) for length in images.shape[2:]]
    return F.interpolate(images, size, mode="bicubic", align_corners=False).clamp(0, 1)


def optimised(
    objective: Callable[[Tensor], Tensor], start: Float[Tensor, "n 3 h w"], config: StylizeConfig,
    evaluated: Callable[[], object],
) -> Float[Tensor, "n 3 h w"]:  # fmt: skip
    """The pictures that the optimizer reaches from `start`; `evaluated` is called at every loss."""
    pixels = start.clone().requires_grad_()

    def closure() -> Tensor:
        evaluated()
        loss = objective(pixels).sum()
        (pixels.grad,) = torch.autograd.grad(loss, pixels)  # the network collects none
        return loss.detach()

    if config.optimizer == "lbfgs":
        torch.optim.LBFGS(
            [pixels], max_iter=config.iterations, max_eval=config.iterations, history_size=HISTORY,
            tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe",
        ).step(closure)  # fmt: skip
    else:
        adam = torch.optim.Adam([pixels], lr=config.adam_lr)
        for _ in range(config.iterations):
            adam.step(closure)
    return pixels.detach()
