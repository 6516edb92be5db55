"""Feature maps of VGG16 and VGG19, for perceptual losses and style metrics."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from ..errors import ModelError
from .weights import VGG16, VGG19, find_weights, load_state

Architecture = Literal["vgg16", "vgg19"]

CONFIGURATIONS: dict[Architecture, str] = {"vgg16": "D", "vgg19": "E"}
"""Names of the architectures in Simonyan and Zisserman 2014, and in torchvision."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PUBLISHED = {"vgg16": VGG16, "vgg19": VGG19}


def layer_names(arch: Architecture) -> list[str]:
    """Returns conv1_1, relu1_1, conv1_2, relu1_2, pool1, ..., in the order of torchvision's layers."""
    names, stage, number = [], 1, 1
    for entry in cfgs[CONFIGURATIONS[arch]]:
        if entry == "M":
            names.append(f"pool{stage}")
            stage, number = stage + 1, 1
        else:
            names += [f"conv{stage}_{number}", f"relu{stage}_{number}"]
            number += 1
    return names


class Vgg(nn.Module):
    """The convolutions of VGG16 or 19 (Simonyan and Zisserman 2014, arXiv 1409.1556) up to the deepest tap,
    for sRGB images in [0, 1], which are normalised by `mean` and `std`.

    It is built without weights: use `from_weights`, `random` or `with_state`. (torchvision's
    `create_feature_extractor` would return maps before an activation after that activation has overwritten
    them.)
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        arch: Architecture,
        taps: Sequence[str],
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        """Raises ModelError without taps, and for a tap that `layer_names` does not have."""
        super().__init__()
        names = layer_names(arch)
        unknown = [tap for tap in taps if tap not in names]
        if unknown or not taps:
            what = ", ".join(unknown) or "to tap"
            raise ModelError(f"{arch} has no layer {what}: choose from {', '.join(names)}.")
        self.arch: Architecture = arch
        self.taps = tuple(sorted(set(taps), key=names.index))
        self.names = names[: names.index(self.taps[-1]) + 1]
        with torch.device("meta"):
            self.features = make_layers(cfgs[CONFIGURATIONS[arch]])[: len(self.names)]
        for layer, before in zip(self.features[1:], self.names, strict=False):
            if isinstance(layer, nn.ReLU):
                layer.inplace = before not in self.taps
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    @classmethod
    def from_weights(cls, arch: Architecture, taps: Sequence[str], path: Path | None = None) -> "Vgg":
        """Returns a frozen network with torchvision's ImageNet weights, from `find_weights`.

        Raises ModelError for unknown taps and missing weights.
        """
        network, path = cls(arch, taps), find_weights(PUBLISHED[arch], path)
        state = load_state(path)
        missing = [name for name in network.state_dict() if name not in state]
        if missing:
            raise ModelError(f"{path} has no {missing[0]}: give torchvision's {PUBLISHED[arch].file}.")
        return network.with_state(state)

    @classmethod
    def random(cls, arch: Architecture, taps: Sequence[str], seed: int = 0) -> "Vgg":
        """Returns a frozen network with seeded He-normal weights and zero biases: the control of the trained
        one."""
        network, generator = cls(arch, taps), torch.Generator().manual_seed(seed)
        network.features.to_empty(device="cpu")
        for layer in network._convolutions():
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(layer.get_parameter("bias"))
        return network.eval().requires_grad_(False)

    def with_state(self, state: Mapping[str, Tensor]) -> "Vgg":
        """Takes its weights from `state`, which may hold more, and returns the frozen network."""
        self.load_state_dict({name: state[name] for name in self.state_dict()}, assign=True)
        return self.eval().requires_grad_(False)

    def with_inputs_divided(self, divisor: float) -> "Vgg":
        """Divides inputs and biases, and thereby every map, by `divisor`."""
        self.std = self.std * divisor
        for layer in self._convolutions():
            layer.bias = nn.Parameter(layer.get_parameter("bias") / divisor, requires_grad=False)
        return self

    def _convolutions(self) -> list[nn.Conv2d]:
        return [layer for layer in self.features if isinstance(layer, nn.Conv2d)]

    @property
    def strides(self) -> dict[str, int]:
        """Pixels between neighbouring positions of each tap's map."""
        return {tap: self._stride(self.names.index(tap)) for tap in self.taps}

    @property
    def reach(self) -> int:
        """The largest distance in pixels from a position of the deepest map to an input that affects it,
        beyond its own pixels."""
        return sum(self._stride(i) for i, name in enumerate(self.names) if name.startswith("conv"))

    def _stride(self, layer: int) -> int:
        """Pixels between neighbouring positions of the map of a layer."""
        return 2 ** sum(name.startswith("pool") for name in self.names[: layer + 1])

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> dict[str, Float[Tensor, "n _c _h _w"]]:
        """Returns the maps of every tap, from shallow to deep.

        Raises ModelError for images too small for the deepest tap.
        """
        smallest, (height, width) = self.strides[self.taps[-1]], images.shape[2:]
        if min(height, width) < smallest:
            raise ModelError(
                f"Images of {width}x{height} pixels are too small for {self.taps[-1]} of {self.arch}: give "
                f"{smallest} pixels a side at least."
            )
        x, maps = (images - self.mean) / self.std, {}
        for name, layer in zip(self.names, self.features, strict=True):
            x = layer(x)
            if name in self.taps:
                maps[name] = x
        return maps
