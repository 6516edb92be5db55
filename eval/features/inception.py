"""The Inception of 2015-12-05, whose features define the published FID, and the resizes before it.

Its blocks are torch-fidelity's, which compute what the TensorFlow graph did (average pools that do not count
the padding, a max pool in the last block). torch-fidelity's own network needs a download to exist, and a
second pass for class scores.

Frechet distances of the same images differ by points between resize filters (Parmar et al. 2022, arXiv
2104.11222). So each pair of filter and normalisation has a name, which is part of the protocol.
"""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from brushwork.models.pretrained.weights import INCEPTION, find_weights, load_state

from .extract import in_parts

CLASSES = 1008
SIZE = 299

ResizeName = Literal["clean", "legacy_pytorch", "legacy_tensorflow"]

Images = UInt8[Tensor, "n 3 h w"]
Inputs = Float32[Tensor, "n 3 {size} {size}"]


class Inception:
    """Pool3 of the published Inception, 2,048 values an image (Szegedy et al. 2015, arXiv 1512.00567).

    The published file is at `weights`, or where `models.pretrained.weights.find_weights` finds it. With
    `pretrained=False` the network has seeded random weights, as the control. Raises ModelError for weights
    that are missing or are not this file.
    """

    dim = 2048
    standardised = False

    def __init__(
        self,
        weights: Path | None = None,
        device: str | torch.device = "cpu",
        *,
        resize: ResizeName = "clean",
        pretrained: bool = True,
    ) -> None:
        self.device = torch.device(device)
        self.resize: ResizeName = resize
        self.name = "inception" if pretrained else "inception-random"
        state = load_state(find_weights(INCEPTION, weights)) if pretrained else random_state()
        origin = INCEPTION.sha256_prefix if pretrained else "random seed 0, batch norm calibrated on noise"
        self._resize, words = RESIZES[resize]
        self.protocol = f"Inception 2015-12-05 ({origin}), {SIZE} px {resize} ({words}), pool3, float32"
        self._network = _folded(_with_state(state)).to(self.device)

    def control(self) -> "Inception":
        """The same extractor with seeded random weights."""
        return Inception(device=self.device, resize=self.resize, pretrained=False)

    def __call__(self, images: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n 2048"]:
        """Features on the CPU, of sRGB images of any size with values 0..255."""
        return in_parts(self._features, images, self.device, 16 if self.device.type == "cpu" else 128)[0]

    def _features(self, images: Tensor) -> list[Tensor]:
        x = self._resize(images, SIZE).contiguous(memory_format=torch.channels_last)
        return [self._network(x).mean(dim=(2, 3))]


# Resize and normalise
def clean(images: Images, size: int = 299) -> Inputs:
    """Bicubic with antialias in float32, without rounding, then (x - 128) / 128: it equals Pillow's resize of
    each channel in mode F (Parmar et al. 2022, arXiv 2104.11222)."""
    resized = F.interpolate(images.float(), size=(size, size), mode="bicubic", antialias=True)
    return (resized - 128) / 128


def legacy_pytorch(images: Images, size: int = 299) -> Inputs:
    """Bilinear with half-pixel centres and no antialias, then 2 x / 255 - 1, as in pytorch-fid."""
    resized = F.interpolate(images.float() / 255, size=(size, size), mode="bilinear", align_corners=False)
    return 2 * resized - 1


def legacy_tensorflow(images: Images, size: int = 299) -> Inputs:
    """Bilinear as in TensorFlow 1, without the half-pixel shift, then (x - 128) / 128, as in the original FID
    and torch-fidelity. Positions beyond the last pixel repeat it."""
    resized = _asymmetric(_asymmetric(images.float(), 3, size), 2, size)
    return (resized - 128) / 128


def _asymmetric(x: Tensor, dim: int, size: int) -> Tensor:
    last = x.shape[dim] - 1
    position = torch.arange(size, dtype=torch.float32, device=x.device) * (x.shape[dim] / size)
    low = position.long().clamp(max=last)
    share = (position - low).view([-1 if d == dim else 1 for d in range(4)])
    return torch.lerp(x.index_select(dim, low), x.index_select(dim, (low + 1).clamp(max=last)), share)


RESIZES: dict[ResizeName, tuple[Callable[..., Tensor], str]] = {
    "clean": (clean, "bicubic, antialias, (x-128)/128"),
    "legacy_pytorch": (legacy_pytorch, "bilinear, no antialias, 2x/255-1"),
    "legacy_tensorflow": (legacy_tensorflow, "asymmetric bilinear, no antialias, (x-128)/128"),
}
"""Each function, and how the protocol describes it."""


# The network
@torch.random.fork_rng(devices=[])
def _fresh_network() -> nn.Sequential:
    """The network up to the last block, with the names of the published state dict. Its initial weights do
    not advance the caller's random state."""
    from torch_fidelity import feature_extractor_inceptionv3 as blocks  # of the extra `metrics`

    layers = OrderedDict[str, nn.Module](
        Conv2d_1a_3x3=blocks.BasicConv2d(3, 32, kernel_size=3, stride=2),  # 149 px
        Conv2d_2a_3x3=blocks.BasicConv2d(32, 32, kernel_size=3),
        Conv2d_2b_3x3=blocks.BasicConv2d(32, 64, kernel_size=3, padding=1),
        MaxPool_1=nn.MaxPool2d(3, stride=2),  # 73 px
        Conv2d_3b_1x1=blocks.BasicConv2d(64, 80, kernel_size=1),
        Conv2d_4a_3x3=blocks.BasicConv2d(80, 192, kernel_size=3),
        MaxPool_2=nn.MaxPool2d(3, stride=2),  # 35 px
        Mixed_5b=blocks.InceptionA(192, pool_features=32),
        Mixed_5c=blocks.InceptionA(256, pool_features=64),
        Mixed_5d=blocks.InceptionA(288, pool_features=64),
        Mixed_6a=blocks.InceptionB(288),  # 17 px
        Mixed_6b=blocks.InceptionC(768, channels_7x7=128),
        Mixed_6c=blocks.InceptionC(768, channels_7x7=160),
        Mixed_6d=blocks.InceptionC(768, channels_7x7=160),
        Mixed_6e=blocks.InceptionC(768, channels_7x7=192),
        Mixed_7a=blocks.InceptionD(768),  # 8 px
        Mixed_7b=blocks.InceptionE_1(1280),
        Mixed_7c=blocks.InceptionE_2(2048),
    )
    return nn.Sequential(layers)


def _with_state(state: dict[str, Tensor]) -> nn.Sequential:
    network = _fresh_network().eval()
    # Old files have no counts of batches, which only training needs.
    wanted = [name for name in network.state_dict() if not name.endswith("num_batches_tracked")]
    network.load_state_dict({name: state[name] for name in wanted}, strict=False)
    return network


def randomise(network: nn.Module, generator: torch.Generator) -> None:
    """Fills convolutions with He-normal weights, and makes batch norm average over the batches that it sees
    in training mode."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain average


def random_state(seed: int = 0) -> dict[str, Tensor]:
    """Seeded random weights in the published format, class scores included: He-normal, with batch norm
    statistics of seeded noise, so that activations keep their scale."""
    generator = torch.Generator().manual_seed(seed)
    network = _fresh_network()
    randomise(network, generator)
    network.train().to(memory_format=torch.channels_last)
    with torch.no_grad():
        network(_graded_noise(generator).contiguous(memory_format=torch.channels_last))
    scores = torch.randn(CLASSES, Inception.dim, generator=generator) * Inception.dim**-0.5
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    return state | {"fc.weight": scores, "fc.bias": torch.zeros(CLASSES)}


def _graded_noise(generator: torch.Generator) -> Float32[Tensor, "9 3 299 299"]:
    """A flat image, one with detail down to half the frame, and so on, down to two pixels. With one kind of
    noise alone, the activations of flat images would grow tenfold."""
    images, scales = [], [2**k for k in range(9)]
    for count in range(1, len(scales) + 1):
        noise = [torch.randn(1, 3, scale, scale, generator=generator) for scale in scales[:count]]
        enlarged = [F.interpolate(n, size=(SIZE, SIZE), mode="bilinear") for n in noise]
        images.append((torch.stack(enlarged).sum(dim=0) * count**-0.5 * 0.8).clamp(-1, 1))
    return torch.cat(images)


def _folded(network: nn.Sequential) -> nn.Sequential:
    """The same function, half as fast again on a CPU: batch norm folded into the convolutions, channels
    last."""
    for module in network.modules():
        if isinstance(getattr(module, "bn", None), nn.BatchNorm2d):
            layer: Any = module
            layer.conv, layer.bn = fuse_conv_bn_eval(layer.conv, layer.bn), nn.Identity()
    return network.requires_grad_(False).to(memory_format=torch.channels_last)
