"""VGG16 and VGG19: the feature maps that perceptual losses and style figures are made of."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import ModelError
from .weights import VGG16, VGG19, Weights, find_weights, load_state

Architecture = Literal["vgg16", "vgg19"]


CONVOLUTIONS: dict[Architecture, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Convolutions in each of the five stages; all but the last stage double the width, from 64 to 512."""
WIDTHS = (64, 128, 256, 512, 512)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PUBLISHED = {"vgg16": VGG16, "vgg19": VGG19}


def layer_names(arch: Architecture) -> list[str]:
    """conv1_1, relu1_1, conv1_2, relu1_2, pool1, conv2_1, ...: the index of each is torchvision's, too."""
    names = []
    for stage, count in enumerate(CONVOLUTIONS[arch], start=1):
        names += [f"{kind}{stage}_{i}" for i in range(1, count + 1) for kind in ("conv", "relu")]
        names.append(f"pool{stage}")
    return names


class Vgg(nn.Module):
    """The convolutions of VGG16 or VGG19 (Simonyan and Zisserman 2014, arXiv 1409.1556) to the deepest tap.

    A fresh one has PyTorch's initial weights; `from_weights` and `random` give it those that count.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, arch: Architecture, taps: Sequence[str]) -> None:
        """Raises ModelError for no tap, and for a tap that is no layer of `arch` (see `layer_names`)."""
        super().__init__()
        names = layer_names(arch)
        unknown = [tap for tap in taps if tap not in names]
        if unknown or not taps:
            raise ModelError(
                f"{arch} has no layer {', '.join(unknown) or 'to tap'}: take of {', '.join(names)}."
            )
        self.arch: Architecture = arch
        self.taps = tuple(sorted(set(taps), key=names.index))
        self.features = nn.Sequential(*_layers(names[: names.index(self.taps[-1]) + 1], self.taps))
        self._at = {names.index(tap): tap for tap in self.taps}
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    @classmethod
    def from_weights(
        cls, arch: Architecture, taps: Sequence[str], path: Path | None = None, known: Weights | None = None
    ) -> "Vgg":
        """With torchvision's ImageNet weights, frozen; see `find_weights` for where they are looked for.
        `known` describes them in other words.

        Raises ModelError for taps or weights that there are not.
        """
        network = untouched_vgg(arch, taps)
        path = find_weights(known or PUBLISHED[arch], path)
        state = load_state(path)
        missing = [name for name in network.state_dict() if name not in state]
        if missing:
            raise ModelError(f"{path} has no {missing[0]}: give torchvision's {PUBLISHED[arch].file}.")
        return network.with_state(state)

    def with_state(self, state: Mapping[str, Tensor]) -> "Vgg":
        """This network, frozen, with its part of a state that has all of it."""
        self.load_state_dict({name: state[name] for name in self.state_dict()})
        return self.eval().requires_grad_(False)

    def normalised_by(self, mean: Sequence[float], std: Sequence[float]) -> "Vgg":
        """This network for weights that want other means and deviations of R, G and B than ImageNet's."""
        self.mean, self.std = (torch.tensor(values)[:, None, None] for values in (mean, std))
        return self

    def with_inputs_divided(self, divisor: float) -> "Vgg":
        """This network with every map divided by `divisor`, which is the same as its inputs and its biases:
        rectifiers and maxima keep the ratio."""
        self.std = self.std * divisor
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, nn.Conv2d) and module.bias is not None:
                    module.bias /= divisor
        return self

    @classmethod
    def random(cls, arch: Architecture, taps: Sequence[str], seed: int = 0) -> "Vgg":
        """With seeded He-normal weights and no bias, frozen: the control of the trained network."""
        network, generator = untouched_vgg(arch, taps), torch.Generator().manual_seed(seed)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                module.bias = nn.Parameter(torch.zeros(module.out_channels))
        return network.eval().requires_grad_(False)

    @property
    def strides(self) -> dict[str, int]:
        """Pixels from one place of each tap's map to the next."""
        names = layer_names(self.arch)
        return {tap: 2 ** sum(name.startswith("pool") for name in names[: names.index(tap) + 1])
                for tap in self.taps}  # fmt: skip

    @property
    def reach(self) -> int:
        """How many pixels beyond its own a place of the deepest map sees at most."""
        reach, stride = 0, 1
        for layer in self.features:
            if isinstance(layer, nn.Conv2d):
                reach += stride
            elif isinstance(layer, nn.MaxPool2d):
                stride *= 2
        return reach

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> dict[str, Float[Tensor, "n _c _h _w"]]:
        """The maps of every tap by name, from shallow to deep, of sRGB pictures with values 0 to 1.

        Raises ModelError for pictures too small for the deepest tap.
        """
        stages = sum(name.startswith("pool") for name in layer_names(self.arch)[: len(self.features)])
        if min(images.shape[2:]) < 2**stages:
            raise ModelError(
                f"Pictures of {images.shape[3]}x{images.shape[2]} pixels are too small for {self.taps[-1]} "
                f"of {self.arch}: give {2**stages} pixels a side at least."
            )
        x, maps = (images - self.mean) / self.std, {}
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._at:
                maps[self._at[index]] = x
        return maps


def untouched_vgg(arch: Architecture, taps: Sequence[str]) -> Vgg:
    """A fresh network, whose weights are replaced at once: not drawn from the caller's random stream."""
    with torch.random.fork_rng(devices=[]):
        return Vgg(arch, taps)


def _layers(names: Sequence[str], taps: Sequence[str]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    width, previous = 3, ""
    for name in names:
        if name.startswith("conv"):
            inputs, width = width, WIDTHS[int(name[4]) - 1]
            layers.append(nn.Conv2d(inputs, width, 3, padding=1))
        elif name.startswith("relu"):
            layers.append(nn.ReLU(inplace=previous not in taps))
        else:
            layers.append(nn.MaxPool2d(2))
        previous = name
    return layers
