"""LPIPS, the learned perceptual distance, with a trunk that can be given, random, or downloaded.

    d(a, b) = sum over taps of the mean over places of  head . (a^ - b^)^2

where ^ brings the features at a place to unit length over the channels (Zhang et al. 2018, arXiv 1801.03924,
eq. 1). The non-negative heads are those of version 0.1, which come with torchmetrics; the trunk is ImageNet's
AlexNet or VGG16, whose weights no package holds. A seeded random trunk needs no file and is the control.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from brushwork.models.feature_statistics import channel_normalised
from brushwork.models.pretrained.weights import ALEXNET, VGG16, Weights, find_weights, load_state

from ..errors import EvalError
from .content import require_alike

EPSILON = 1e-10
"""Inside the root of the length: the gradient stays finite where all features are zero."""

SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
"""ImageNet's mean and deviation, for pictures in [-1, 1]."""

BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A trunk: torchvision's network, the indices of its ReLUs that are tapped, the smallest picture in
    pixels that reaches the last of them, and the weights that the heads were fitted to."""

    build: Callable[[], nn.Module]
    taps: tuple[int, ...]
    smallest: int
    weights: Weights


# torchvision's operators take seconds to import, which only those should wait for who measure by them.
def _alexnet() -> nn.Module:
    from torchvision.models import alexnet

    return alexnet()


def _vgg16() -> nn.Module:
    from torchvision.models import vgg16

    return vgg16()


ARCHITECTURES: dict[str, Architecture] = {
    "alex": Architecture(build=_alexnet, taps=(1, 4, 7, 9, 11), smallest=31, weights=ALEXNET),
    "vgg": Architecture(build=_vgg16, taps=(3, 8, 15, 22, 29), smallest=16, weights=VGG16),
}


class Lpips:
    """LPIPS of pairs of pictures, in float32 wherever it runs.

    `trunk` is torchvision's state of the network (its classifier is not looked at); without one the trunk is
    random by `seed`, the control beside which the figure is read. AlexNet is the authors' default for
    measuring; VGG16 bears smaller pictures.

    Raises EvalError for an unknown network and for a state that is not this network's.
    """

    def __init__(
        self,
        network: str = "alex",
        trunk: Mapping[str, Tensor] | None = None,
        *,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        if network not in ARCHITECTURES:
            raise EvalError(f"LPIPS has no trunk {network!r}: choose from {', '.join(ARCHITECTURES)}.")
        self.network = network
        self.device = torch.device(device)
        self.name = f"lpips-{network}" if trunk is not None else f"lpips-{network}-random"
        state = random_trunk(network, seed) if trunk is None else _convolutions(network, trunk)
        heads = read_heads(network)
        kind = f"random seed {seed}" if trunk is None else f"trunk {_digest(state.values())}"
        self.protocol = (
            f"LPIPS 0.1 ({network}, {kind}, heads {_digest(heads)}), own size, x/127.5-1, float32, "
            f"epsilon {EPSILON:g} inside the root"
        )
        layers = _features(network)
        layers.load_state_dict(state, assign=True)
        self._layers = layers.eval().requires_grad_(False).to(self.device)
        self._heads = [head.to(self.device) for head in heads]

    @classmethod
    def from_weights(
        cls,
        network: str = "alex",
        path: Path | None = None,
        *,
        device: str | torch.device = "cpu",
    ) -> "Lpips":
        """With ImageNet's trunk from `path`, the cache of weights, or torchvision's address, in this order.

        Raises ModelError if it is none of these, or not the published file.
        """
        if network not in ARCHITECTURES:
            return cls(network)
        found = find_weights(ARCHITECTURES[network].weights, path)
        return cls(network, load_state(found), device=device)

    def control(self, seed: int = 0) -> "Lpips":
        """The same distance with a random trunk."""
        return Lpips(self.network, seed=seed, device=self.device)

    @torch.no_grad()
    def __call__(self, a: UInt8[Tensor, "n 3 h w"], b: UInt8[Tensor, "m 3 h2 w2"]) -> Float32[Tensor, "n"]:
        """Distances on the CPU, 0 for equal pictures and seldom above 1.

        Raises EvalError for no pairs, sizes that differ, and pictures too small for the trunk.
        """
        require_alike(a, b)
        pairs = zip(a.split(BATCH), b.split(BATCH), strict=True)
        return torch.cat([self.distance(x / 127.5 - 1, y / 127.5 - 1).cpu() for x, y in pairs])

    def distance(self, a: Float[Tensor, "n 3 h w"], b: Float[Tensor, "n 3 h w"]) -> Float32[Tensor, "n"]:
        """Distances of float pictures in [-1, 1], differentiable, on the network's device: for differences
        that whole grey levels would swallow."""
        smallest = ARCHITECTURES[self.network].smallest
        if min(a.shape[2:]) < smallest:
            raise EvalError(
                f"LPIPS with the trunk {self.network!r} needs pictures of {smallest} px a side at least and "
                f"these are {a.shape[3]}x{a.shape[2]}: take the trunk 'vgg' (16 px), or larger pictures."
            )
        return weighted_distance(self.maps(a), self.maps(b), self._heads)

    def maps(self, images: Float[Tensor, "n 3 h w"]) -> list[Float32[Tensor, "n _c _h _w"]]:
        """Features of float pictures in [-1, 1] at the five taps."""
        shift, scale = images.new_tensor(SHIFT), images.new_tensor(SCALE)
        x = ((images - shift[:, None, None]) / scale[:, None, None]).to(self.device, torch.float32)
        found = []
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for index, layer in enumerate(self._layers):
                x = layer(x)
                if index in ARCHITECTURES[self.network].taps:
                    found.append(x)
        return found


# The distance
def weighted_distance(
    a: Sequence[Float[Tensor, "n _c _h _w"]],
    b: Sequence[Float[Tensor, "n _c _h _w"]],
    heads: Sequence[Float[Tensor, "_c"]],
) -> Float[Tensor, "n"]:
    """Squared differences of unit feature vectors, weighted by channel: mean over places, sum over taps."""
    layers = []
    for x, y, head in zip(a, b, heads, strict=True):
        apart = (channel_normalised(x, EPSILON) - channel_normalised(y, EPSILON)).square()
        layers.append((apart * head[:, None, None]).sum(1).mean((1, 2)))
    return torch.stack(layers).sum(0)


# Weights
def read_heads(network: str) -> list[Float32[Tensor, "_c"]]:
    """The published weight of each channel at each tap (version 0.1), from torchmetrics' own files."""
    spec = find_spec("torchmetrics")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "functional" / "image" / "lpips_models" / f"{network}.pth"
    state = torch.load(path, map_location="cpu", weights_only=True)
    return [state[f"lin{tap}.model.1.weight"].flatten() for tap in range(5)]


def random_trunk(network: str, seed: int) -> dict[str, Tensor]:
    """Seeded He-normal convolutions without biases: the same numbers whatever was drawn before."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, value in _features(network).state_dict().items():
        state[name] = torch.zeros(value.shape)
        if value.ndim == 4:
            nn.init.kaiming_normal_(state[name], nonlinearity="relu", generator=generator)
    return state


def _features(network: str) -> nn.Sequential:
    """Layers up to the deepest tap, without numbers in them; building them draws none either."""
    architecture = ARCHITECTURES[network]
    with torch.device("meta"):
        features = architecture.build().get_submodule("features")
    return nn.Sequential(*list(features.children())[: architecture.taps[-1] + 1])


def _convolutions(network: str, trunk: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The trunk's part of torchvision's state, in float32."""
    wanted = _features(network).state_dict()
    for name, value in wanted.items():
        found = trunk.get(f"features.{name}")
        if found is None or found.shape != value.shape:
            given = "missing" if found is None else f"of shape {tuple(found.shape)}"
            raise EvalError(
                f"The trunk of LPIPS is no torchvision state of {network!r}: 'features.{name}' is {given}; "
                f"give the file {ARCHITECTURES[network].weights.name}."
            )
    return {name: trunk[f"features.{name}"].detach().float().cpu() for name in wanted}


def _digest(tensors: Iterable[Tensor]) -> str:
    """First 8 digits of the SHA-256 of the numbers."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:8]
