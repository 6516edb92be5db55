"""LPIPS, the learned perceptual distance, on AlexNet.

    d(a, b) = sum over taps of the mean over places of  head . (a^ - b^)^2

where ^ scales the features at a place to unit length over the channels (Zhang et al. 2018, arXiv 1801.03924,
eq. 1). The non-negative heads of version 0.1 come with torchmetrics. The trunk is ImageNet's AlexNet, whose
weights no package holds.

Own implementation: torchmetrics' network must download its trunk, and has neither a random trunk by seed,
which is the control here, nor float images that are not rescaled.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from brushwork.models.feature_statistics import channel_normalised
from brushwork.models.pretrained.weights import ALEXNET, find_weights, load_state

from ..errors import EvalError
from ..features.extract import whole_float32
from .content import BATCH, require_alike

TAPS = ("1", "4", "7", "9", "11")
"""AlexNet's ReLUs in torchvision's `features`."""
SMALLEST = 31
"""Side in pixels of the smallest image that reaches the last tap."""
EPSILON = 1e-10
"""Summand inside the root of the length: the gradient is finite where all features are zero."""
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
"""ImageNet's mean and deviation, for images in [-1, 1]."""


class Lpips:
    """LPIPS of pairs of images, in float32. `trunk` is torchvision's state of AlexNet; a control has a random
    one."""

    def __init__(
        self, trunk: Mapping[str, Tensor] | None = None, *, device: str | torch.device = "cpu"
    ) -> None:
        self.device = torch.device(device)
        self.name = "lpips-alex" if trunk is not None else "lpips-alex-random"
        self._network, heads = _network(), read_heads()
        names = list(self._network.state_dict())
        state = random_trunk() if trunk is None else {name: trunk[f"features.{name}"] for name in names}
        self._network.load_state_dict({name: state[name].float().cpu() for name in names}, assign=True)
        self._network.eval().requires_grad_(False).to(self.device)
        self.heads = [head.to(self.device) for head in heads]
        kind = "random seed 0" if trunk is None else f"trunk {_digest(self._network.state_dict().values())}"
        self.protocol = (
            f"LPIPS 0.1 (alex, {kind}, heads {_digest(heads)}), own size, x/127.5-1, float32, "
            f"epsilon {EPSILON:g} inside the root"
        )

    @classmethod
    def from_weights(cls, path: Path | None = None, *, device: str | torch.device = "cpu") -> "Lpips":
        """Takes ImageNet's trunk from `path`, the cache of weights, or torchvision's address, in this order.
        Raises ModelError if the file is in none of these, or is not the published one."""
        return cls(load_state(find_weights(ALEXNET, path)), device=device)

    def control(self) -> "Lpips":
        """The same distance with a random trunk."""
        return Lpips(device=self.device)

    @torch.no_grad()
    def __call__(self, a: UInt8[Tensor, "n 3 h w"], b: UInt8[Tensor, "m 3 h2 w2"]) -> Float32[Tensor, "n"]:
        """Distances on the CPU, 0 for equal images and rarely above 1. Raises EvalError for no pairs, for
        different sizes, and for images below 31 px."""
        require_alike(a, b)
        pairs = zip(a.split(BATCH), b.split(BATCH), strict=True)
        return torch.cat([self.distance(x / 127.5 - 1, y / 127.5 - 1).cpu() for x, y in pairs])

    def distance(self, a: Float[Tensor, "n 3 h w"], b: Float[Tensor, "n 3 h w"]) -> Float32[Tensor, "n"]:
        """Distances of float images in [-1, 1], differentiable, on the network's device."""
        if min(a.shape[2:]) < SMALLEST:
            raise EvalError(
                f"LPIPS needs images of {SMALLEST} px a side at least and these are "
                f"{a.shape[3]}x{a.shape[2]}: leave it out, or take larger images."
            )
        layers = []
        for x, y, head in zip(self.maps(a), self.maps(b), self.heads, strict=True):
            squared = (channel_normalised(x, EPSILON) - channel_normalised(y, EPSILON)).square()
            layers.append((squared * head[:, None, None]).sum(1).mean((1, 2)))
        return torch.stack(layers).sum(0)

    def maps(self, images: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _c _h _w"]]:
        """The tapped features of images in [-1, 1], differentiable."""
        shift, scale = images.new_tensor(SHIFT), images.new_tensor(SCALE)
        x = (images - shift[:, None, None]) / scale[:, None, None]
        with whole_float32():
            return list(self._network(x.to(self.device, torch.float32)).values())


# Weights
def read_heads() -> list[Float32[Tensor, "_c"]]:
    """The published weight of each channel at each tap (version 0.1), from torchmetrics' files."""
    import torchmetrics.functional.image as package

    path = Path(package.__path__[0]) / "lpips_models" / "alex.pth"
    state = torch.load(path, map_location="cpu", weights_only=True)
    return [state[f"lin{tap}.model.1.weight"].flatten() for tap in range(5)]


def random_trunk(seed: int = 0) -> dict[str, Float32[Tensor, "..."]]:
    """Seeded He-normal convolutions without biases, independent of the global random state."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, value in _network().state_dict().items():
        state[name] = torch.zeros(value.shape)
        if value.ndim == 4:
            nn.init.kaiming_normal_(state[name], nonlinearity="relu", generator=generator)
    return state


def _network() -> nn.Module:
    """AlexNet's layers up to the deepest tap, without weights: images -> maps by tap."""
    from torchvision.models import alexnet  # its import takes seconds
    from torchvision.models.feature_extraction import create_feature_extractor

    with torch.device("meta"):
        return create_feature_extractor(alexnet().get_submodule("features"), list(TAPS))


def _digest(tensors: Iterable[Tensor]) -> str:
    """First 8 digits of the SHA-256 of the numbers."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()[:8]
