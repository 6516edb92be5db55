"""Settings of a style transfer, and the presets of `brushwork stylize`."""

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval, MultipleOf

from brushwork.models.options import Seed, Side, options

from ..errors import TrainingError
from .statistics import Scaling

Backbone = Literal["vgg19", "vgg16", "hed-vgg16", "random"]

VGG_STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
VGG_CONTENT = ("relu4_2",)
FEATURE_SCALE = 255 * 0.225
"""Ratio of the features of Caffe's networks, whose inputs are levels 0 to 255, to those of torchvision's,
whose inputs are 0 to 1 divided by about 0.225. All backbones here have torchvision's scale."""

Optimizer = Literal["lbfgs", "adam-lbfgs"]

Weight = Annotated[float, Interval(ge=0, le=1e20)]
"""Published weights reach 1e13."""
Evaluations = Annotated[int, Interval(ge=1, le=10**7)]


@options
class StylizeConfig:
    """Network, losses, optimizer and sizes of one style transfer."""

    backbone: Backbone = "vgg19"
    """Network whose features are compared: vgg19 and vgg16 (torchvision's, downloaded once), hed-vgg16
    (`brushwork fetch hed-vgg16`), random (an untrained vgg19, as a control)."""
    weights: Path | None = None
    """File of the backbone's weights, checked by its SHA-256. Default: the file in the cache."""
    style_layers: tuple[str, ...] = VGG_STYLE
    """Layers of the style loss."""
    content_layers: tuple[str, ...] = VGG_CONTENT
    """Layers of the content loss."""
    style_loss: Literal["gram", "wasserstein"] = "gram"
    """Distance of feature statistics: of Gram matrices, or the Wasserstein-2 distance of normal
    distributions."""
    scaling: Scaling = "relative"
    """Divisor of squared distances. relative: the target's own size, so that weights mean the same with every
    backbone. mean: the number of entries (Gram matrices are divided by the number of channels first). gatys:
    the constants of the paper."""
    style_weight: Weight = 1.0
    """Weight of the style loss, which is the mean over its layers."""
    content_weight: Weight = 0.05
    """Weight of the content loss, which is the mean over its layers."""
    tv_weight: Weight = 0.0
    """Weight of the total variation: with scaling gatys and mean the sum of absolute differences between
    neighbours, on levels 0 to 255; with relative their mean square, on values 0 to 1."""
    optimizer: Optimizer = "lbfgs"
    """lbfgs: L-BFGS; each step is shortened until the loss falls. adam-lbfgs: Adam up to the last size, its
    moments resized, then L-BFGS."""
    evaluations: Evaluations = 300
    """Evaluations of the loss at the last size."""
    coarse_evaluations: Annotated[int, Interval(ge=0, le=10**7)] = 0
    """Evaluations at every smaller size; 0: as many as at the last."""
    history: Annotated[int, Interval(ge=1, le=1000)] = 20
    """Steps that L-BFGS remembers. Each takes 8 bytes per value of the image."""
    size: Side = 0
    """Longer side of the result in pixels; 0: that of the content image."""
    coarsest: Side = 0
    """Longer side to begin with, in pixels; it doubles up to the last size. 0: the last size alone."""
    style_scale: Annotated[float, Interval(ge=0.01, le=100)] = 1.0
    """Size of the style images relative to the result; larger values give larger strokes."""
    start: Literal["content", "noise"] = "content"
    """Initial image."""
    colours: Literal["style", "luma"] = "style"
    """style: colours of the style. luma: colours of the content, luma of the result."""
    tile: Annotated[Side, MultipleOf(16)] = 0
    """Side in pixels, a multiple of 16, of the tiles that pass through the network one at a time. Tiles bound
    the memory and leave the result the same. 0: one tile up to 768 x 768 pixels, else 512."""
    clamp: bool = True
    """Clamp the image to 0..1 after every step. Off: clamp only the final image, as the published programs
    do."""
    seed: Seed = 0
    """Seed of the initial noise."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of convolutions; auto: bf16 where a short measurement finds it faster. Losses are float32."""

    def __post_init__(self) -> None:
        if self.style_weight == self.content_weight == 0:
            raise TrainingError("style_weight and content_weight are both 0; one must be above.")

    def sides(self, last: int) -> list[int]:
        """Return the longer side in pixels of every size, the smallest first, for a result of `last`."""
        sides = [float(last)]
        while self.coarsest and sides[0] / 2 > self.coarsest * 0.99:
            sides.insert(0, sides[0] / 2)
        return [round(side) for side in sides]


# Presets
def gatys() -> StylizeConfig:
    """Gatys et al. 2016, "Image style transfer using convolutional neural networks" (CVPR), eqs. 1 to 7.

    relu1_1 to relu5_1 with equal weights, relu4_2, content to style as 1 to 1,000, white noise, L-BFGS. The
    paper does not state a step size. Here each step is shortened until the loss falls.
    """
    return StylizeConfig(
        scaling="gatys", content_weight=FEATURE_SCALE**2, style_weight=1e3 * FEATURE_SCALE**4, history=100,
        evaluations=500, start="noise", clamp=False,
    )  # fmt: skip


def neural_style() -> StylizeConfig:
    """Defaults of Johnson's neural-style and its PyTorch port.

    Content 5, style 100 per layer, total variation 0.001, 1,000 evaluations of L-BFGS from noise. The program
    takes full steps and starts from fainter noise. Here each step is shortened until the loss falls.
    """
    return StylizeConfig(
        scaling="mean", content_weight=5 * FEATURE_SCALE**2, style_weight=500 * FEATURE_SCALE**4,
        tv_weight=1e-3, history=100, evaluations=1000, start="noise", clamp=False,
    )  # fmt: skip


def tutorial() -> StylizeConfig:
    """PyTorch's tutorial "Neural transfer using PyTorch".

    conv_1 to conv_5 and conv_4 before their activations, style 1e6 per layer, content 1, 300 evaluations of
    L-BFGS from the content. The program takes full steps. Here each step is shortened until the loss falls.
    """
    return StylizeConfig(
        style_layers=("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"), content_layers=("conv2_2",),
        scaling="mean", content_weight=1.0, style_weight=5e6, history=100, evaluations=300,
    )  # fmt: skip


def fast() -> StylizeConfig:
    """The preset of brushwork: Wasserstein loss, small sizes with Adam, then the last size with L-BFGS.

    Losses are relative to their targets, so that one weight suits every backbone, image and size. The
    Wasserstein loss keeps colours purer than Gram matrices do.
    """
    return StylizeConfig(
        style_loss="wasserstein", content_weight=0.1, tv_weight=0.5, optimizer="adam-lbfgs", history=10,
        coarsest=128, evaluations=60,
    )  # fmt: skip


PRESETS = {"fast": fast, "gatys": gatys, "neural-style": neural_style, "tutorial": tutorial}
"""Presets by their names on the command line."""
