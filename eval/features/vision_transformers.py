"""The vision transformers whose features the field compares by: DINOv2, CLIP and CSD, built by timm.

Each takes images as its reference implementation does: a Pillow resize in whole numbers, then mean and
deviation. Weights are the published files.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor

from brushwork.models.errors import ModelError
from brushwork.models.pretrained.weights import (
    CLIP,
    CSD,
    DINOV2_B,
    DINOV2_L,
    Weights,
    file_digest,
    find_weights,
    load_state,
)

from .extract import in_parts

State = dict[str, Tensor]

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OPENAI = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""Mean and deviation of red, green and blue, for values 0 to 1."""


# Resizes
def stretched(image: Image.Image, side: int) -> Image.Image:
    """The whole image as a square, as in dgm-eval."""
    return image.resize((side, side), Image.Resampling.BICUBIC)


def cropped(image: Image.Image, side: int) -> Image.Image:
    """The square in the middle, then resized, as in CMMD."""
    width, height = image.size
    short = min(width, height)
    left, top = (width - short) // 2, (height - short) // 2
    return stretched(image.crop((left, top, left + short, top + short)), side)


def resized_then_cropped(image: Image.Image, side: int) -> Image.Image:
    """The shorter side resized, then the square in the middle, as torchvision does in CSD."""
    short = min(image.size)
    width, height = (int(side * length / short) for length in image.size)
    left, top = round((width - side) / 2), round((height - side) / 2)
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    return resized.crop((left, top, left + side, top + side))


# Published files
def read_dinov2(state: State, side: int) -> State:
    """timm's names are the published ones. The positions were trained at 518 px; they are interpolated as
    DINOv2 does, with a tenth of a patch added to the size."""
    positions = state["pos_embed"][:, 1:]
    trained, patches = round(positions.shape[1] ** 0.5), side // 14
    state = {name: value for name, value in state.items() if name != "mask_token"}
    if trained == patches:
        return state
    grid = positions.float().unflatten(1, (trained, trained)).permute(0, 3, 1, 2)
    scale = (patches + 0.1) / trained
    grid = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    resized = grid.permute(0, 2, 3, 1).flatten(1, 2)
    whole = torch.cat([state["pos_embed"][:, :1], resized], dim=1)
    return state | {"pos_embed": whole}


TRANSFORMERS_NAMES = {
    "vision_model.": "", "embeddings.class_embedding": "cls_token", "pre_layrnorm": "norm_pre",
    "embeddings.position_embedding.weight": "pos_embed", "embeddings.patch_embedding": "patch_embed.proj",
    "post_layernorm": "norm", "encoder.layers": "blocks", "layer_norm": "norm", "self_attn": "attn",
    "out_proj": "proj", "visual_projection.weight": "head.weight",
}  # fmt: skip
OPENAI_NAMES = {
    "visual.": "", "class_embedding": "cls_token", "positional_embedding": "pos_embed",
    "conv1": "patch_embed.proj", "ln_pre": "norm_pre", "ln_post": "norm", "transformer.resblocks": "blocks",
    "ln_": "norm", "in_proj_": "qkv.", "out_proj": "proj", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
}  # fmt: skip
"""timm's name of each part of CLIP's image encoder, by that of transformers and of OpenAI."""


def read_clip(state: State, side: int) -> State:
    """The image encoder of a file of transformers, or of OpenAI's names (`visual.`), as open_clip writes."""
    if "visual_projection.weight" not in state:
        own = {name: value for name, value in state.items() if name.startswith("visual.")}
        return _shaped(_renamed(own, OPENAI_NAMES), own["visual.proj"].T)
    own = {name: value for name, value in state.items() if name.startswith("vision_model.")}
    found = _renamed(own, TRANSFORMERS_NAMES)
    for part in sorted({name.partition("q_proj")[0] for name in found if "q_proj" in name}):
        for kind in ("weight", "bias"):
            parts = [found.pop(f"{part}{each}_proj.{kind}") for each in "qkv"]
            found[f"{part}qkv.{kind}"] = torch.cat(parts)
    return _shaped(found, state["visual_projection.weight"])


def read_csd(state: State, side: int) -> State:
    """CLIP's image encoder, in OpenAI's names, with the style head in place of its projection."""
    state = {name.removeprefix("module."): value for name, value in state.items()}
    own = {name[9:]: value for name, value in state.items() if name.startswith("backbone.")}
    return _shaped(_renamed(own, OPENAI_NAMES), state["last_layer_style"].T)


def _renamed(state: State, names: Mapping[str, str]) -> State:
    found: State = {}
    for name, value in state.items():
        for theirs, ours in names.items():
            name = name.replace(theirs, ours)
        found[name] = value
    return found


def _shaped(state: State, projection: Tensor) -> State:
    """timm's shapes of the class token and the positions, and its last layer, which has a bias."""
    token, positions = state["cls_token"].reshape(1, 1, -1), state["pos_embed"][None]
    head = {"head.weight": projection, "head.bias": torch.zeros(len(projection))}
    return state | {"cls_token": token, "pos_embed": positions} | head


# The extractors
@dataclass(frozen=True, kw_only=True)
class Published:
    """A published network, and how it takes images."""

    name: str
    """The extractor's name."""
    title: str
    network: str
    """timm's name."""
    weights: Weights
    read: Callable[[State, int], State]
    """From the published file's tensors to timm's, for images of a side."""
    dim: int
    side: int
    fit: Callable[[Image.Image, int], Image.Image]
    colours: tuple[tuple[float, ...], tuple[float, ...]]
    unit: bool = False
    """Whether features have length 1."""

    def build(self) -> Any:
        """The network with timm's initial weights, which do not advance the caller's random state."""
        import timm

        projected = 0 if self.weights in (DINOV2_L, DINOV2_B) else self.dim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = timm.create_model(self.network, img_size=self.side, num_classes=projected)
        return network.eval().requires_grad_(False)


def _dinov2(size: str, network: str, weights: Weights, dim: int) -> Published:
    return Published(
        name=f"dinov2-{size.lower()}", title=f"DINOv2 ViT-{size}/14", network=network, weights=weights,
        read=read_dinov2, dim=dim, side=224, fit=stretched, colours=IMAGENET,
    )  # fmt: skip


NETWORKS = {
    each.name: each
    for each in (
        _dinov2("L", "vit_large_patch14_dinov2", DINOV2_L, 1024),
        _dinov2("B", "vit_base_patch14_dinov2", DINOV2_B, 768),
        Published(
            name="clip", title="CLIP ViT-L/14@336", network="vit_large_patch14_clip_quickgelu_336",
            weights=CLIP, read=read_clip, dim=768, side=336, fit=cropped, colours=OPENAI, unit=True,
        ),
        Published(
            name="csd", title="CSD ViT-L/14, style head", network="vit_large_patch14_clip_quickgelu_224",
            weights=CSD, read=read_csd, dim=768, side=224, fit=resized_then_cropped, colours=OPENAI,
            unit=True,
        ),
    )
}  # fmt: skip
"""By name: DINOv2 (Oquab 2023, arXiv:2304.07193), whose FD is FD-DINOv2 (Stein 2023, arXiv:2306.04675) and
equals dgm-eval's default; CLIP (Radford 2021, arXiv:2103.00020) as CMMD takes it (Jayasumana 2024,
arXiv:2401.09603); CSD (Somepalli 2024, arXiv:2404.01292), trained to tell artists."""


class VisionTransformer:
    """The class token of a published vision transformer, projected in CLIP and CSD.

    Its weights are the file at `weights`, or where `models.pretrained.weights.find_weights` finds them; the
    protocol has the file's SHA-256. With `pretrained=False` it has seeded random weights, as the control.
    Raises ModelError for weights that are missing, damaged or another network's.
    """

    standardised = False

    def __init__(
        self, published: Published, weights: Path | None = None, device: str | torch.device = "cpu", *,
        pretrained: bool = True,
    ) -> None:  # fmt: skip
        self.published, self.device, self.dim = published, torch.device(device), published.dim
        self.name = published.name if pretrained else f"{published.name}-random"
        path = find_weights(published.weights, weights) if pretrained else None
        network = published.build()
        if path is not None:
            _fill(network, published, path)
        else:
            _spread_out(network)
        origin = file_digest(path)[:8] if path is not None else "random seed 0"
        how = f"{published.side} px Pillow bicubic {published.fit.__name__.replace('_', ' ')}"
        unit = ", length 1" if published.unit else ""
        self.protocol = f"{published.title} ({origin}), {how}, class token{unit}, float32"
        mean, std = (torch.tensor(values)[:, None, None] for values in published.colours)
        self._mean, self._std = mean.to(self.device), std.to(self.device)
        self._network = network.to(self.device)

    def control(self) -> "VisionTransformer":
        """The same network with seeded random weights."""
        return VisionTransformer(self.published, device=self.device, pretrained=False)

    def __call__(self, images: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n d"]:
        """Features on the CPU, of sRGB images of any size with values 0..255."""
        fitted = torch.stack([self._fit(image) for image in images.cpu()])
        return in_parts(
            lambda part: [self.embed(part.float())],
            fitted,
            self.device,
            8 if self.device.type == "cpu" else 64,
        )[0]

    def _fit(self, image: UInt8[Tensor, "3 h w"]) -> UInt8[Tensor, "3 s s"]:
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        fitted = np.array(self.published.fit(picture, self.published.side))
        return torch.from_numpy(fitted).permute(2, 0, 1)

    def embed(self, images: Float32[Tensor, "n 3 s s"]) -> Float32[Tensor, "n d"]:
        """Features on the network's device, of images of its own size with values 0 to 255."""
        features = self._network((images / 255 - self._mean) / self._std)
        return F.normalize(features, dim=1) if self.published.unit else features


def _fill(network: Any, published: Published, path: Path) -> None:
    """Loads a published file. Raises ModelError, and names the first difference, if it is another network."""
    state, wanted = load_state(path), network.state_dict()
    remedy = f"give {published.weights.file or 'the published file'}."
    try:
        state = published.read(state, published.side)
    except (KeyError, RuntimeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path} is not a file of {published.title}: it has no {error}; {remedy}") from error
    for name, value in wanted.items():
        if name not in state:
            raise ModelError(f"{path} is not a file of {published.title}: it has no {name}; {remedy}")
        if state[name].shape != value.shape:
            raise ModelError(
                f"{path} is not a file of {published.title}: {name} is {tuple(state[name].shape)}, not "
                f"{tuple(value.shape)}; {remedy}"
            )
    network.load_state_dict({name: state[name].float() for name in wanted})


def _spread_out(network: Any) -> None:
    """Lets every block of a random network count: DINOv2 scales its blocks by 1e-5 at the start."""
    for name, value in network.named_parameters():
        if re.search(r"\.ls[12]\.gamma$", name):
            value.fill_(1.0)
