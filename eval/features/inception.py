"""The Inception of 2015-12-05, whose features define the published FID.

Its blocks are torch-fidelity's, which compute what the TensorFlow graph did (average pools that do not count
the padding, a max pool in the last block). torch-fidelity's own network needs a download to exist, and a
second pass for class scores.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch_fidelity.feature_extractor_inceptionv3 import (
    BasicConv2d,
    InceptionA,
    InceptionB,
    InceptionC,
    InceptionD,
    InceptionE_1,
    InceptionE_2,
)

from brushwork.models.pretrained.weights import INCEPTION, find_weights, load_state

from .efficientnet import randomise
from .extract import in_parts
from .resize import RESIZES, ResizeName

CLASSES = 1008
SIZE = 299


class Inception:
    """Pool3 of the published Inception, 2,048 values an image, and class scores from them.

    Sources: Szegedy et al. 2015 (arXiv 1512.00567) for the network, Heusel et al. 2017 (arXiv 1706.08500) for
    the distance. The published file is at `weights`, or where `models.pretrained.weights.find_weights` finds
    it. With `pretrained=False` the network has seeded random weights, as the control.

    Raises ModelError for weights that are missing or are not this file.
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
        self.device, self.resize = torch.device(device), resize
        self.name = "inception" if pretrained else "inception-random"
        state = load_state(find_weights(INCEPTION, weights)) if pretrained else random_state()
        origin = INCEPTION.sha256_prefix if pretrained else "random seed 0, batch norm calibrated on noise"
        self._resize, words = RESIZES[resize]
        self.protocol = f"Inception 2015-12-05 ({origin}), {SIZE} px {resize} ({words}), pool3, float32"
        self._network = _folded(_with_state(state)).to(self.device)
        self._scores = state["fc.weight"].float()

    def control(self) -> "Inception":
        """The same extractor with seeded random weights."""
        return Inception(device=self.device, resize=self.resize, pretrained=False)

    def __call__(self, images: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n 2048"]:
        """Features on the CPU, of sRGB images of any size with values 0..255."""
        return in_parts(self._features, images, self.device, 16 if self.device.type == "cpu" else 128)[0]

    def logits(self, features: Float32[Tensor, "n 2048"]) -> Float32[Tensor, "n 1008"]:
        """Class scores without their bias, for the inception score (Salimans et al. 2016)."""
        return features @ self._scores.T

    def _features(self, images: Tensor) -> list[Tensor]:
        x = self._resize(images, SIZE).contiguous(memory_format=torch.channels_last)
        return [self._network(x).mean(dim=(2, 3))]


# The network
@torch.random.fork_rng(devices=[])
def _fresh_network() -> nn.Sequential:
    """The network up to the last block, with the names of the published state dict. Its initial weights do
    not advance the caller's random state."""
    layers = OrderedDict[str, nn.Module](
        Conv2d_1a_3x3=BasicConv2d(3, 32, kernel_size=3, stride=2),  # 149 px
        Conv2d_2a_3x3=BasicConv2d(32, 32, kernel_size=3),
        Conv2d_2b_3x3=BasicConv2d(32, 64, kernel_size=3, padding=1),
        MaxPool_1=nn.MaxPool2d(3, stride=2),  # 73 px
        Conv2d_3b_1x1=BasicConv2d(64, 80, kernel_size=1),
        Conv2d_4a_3x3=BasicConv2d(80, 192, kernel_size=3),
        MaxPool_2=nn.MaxPool2d(3, stride=2),  # 35 px
        Mixed_5b=InceptionA(192, pool_features=32),
        Mixed_5c=InceptionA(256, pool_features=64),
        Mixed_5d=InceptionA(288, pool_features=64),
        Mixed_6a=InceptionB(288),  # 17 px
        Mixed_6b=InceptionC(768, channels_7x7=128),
        Mixed_6c=InceptionC(768, channels_7x7=160),
        Mixed_6d=InceptionC(768, channels_7x7=160),
        Mixed_6e=InceptionC(768, channels_7x7=192),
        Mixed_7a=InceptionD(768),  # 8 px
        Mixed_7b=InceptionE_1(1280),
        Mixed_7c=InceptionE_2(2048),
    )
    return nn.Sequential(layers)


def _with_state(state: dict[str, Tensor]) -> nn.Sequential:
    network = _fresh_network().eval()
    # Old files have no counts of batches, which only training needs.
    wanted = [name for name in network.state_dict() if not name.endswith("num_batches_tracked")]
    network.load_state_dict({name: state[name] for name in wanted}, strict=False)
    return network


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
    """A flat image, one with detail down to half the frame, and so on, down to two pixels.

    The many layers magnify whatever their statistics do not cover: with one kind of noise alone, the
    activations of flat images grow tenfold.
    """
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
        if isinstance(module, BasicConv2d):
            layer: Any = module
            layer.conv, layer.bn = fuse_conv_bn_eval(layer.conv, layer.bn), nn.Identity()
    return network.requires_grad_(False).to(memory_format=torch.channels_last)
