"""DINOv2, CLIP and CSD with seeded random weights in each published format, beside reference networks.

Small networks of the same kinds stand for the published ones: no weights are downloaded.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.layers.norm import LayerNorm
from timm.models.vision_transformer import VisionTransformer as TimmVisionTransformer
from torch import Tensor
from torch_fidelity.feature_extractor_clip import VisionTransformer as OpenAIVisionTransformer
from torchvision.transforms import v2
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection, Dinov2Config, Dinov2Model

from brushwork.eval.features.vision_transformers import (
    IMAGENET,
    NETWORKS,
    OPENAI,
    Published,
    VisionTransformer,
    cropped,
    read_dinov2,
    resized_then_cropped,
    stretched,
)
from brushwork.models.errors import ModelError

WIDTH, SIDE, PROJECTED = 48, 56, 20


class Small(Published):
    """Two blocks of width 48 on four by four patches, as timm builds the large ones."""

    def build(self) -> Any:
        kind: Any = {"init_values": 1e-5} if self.network.endswith("dinov2") else {
            "pre_norm": True, "act_layer": "quick_gelu", "norm_layer": partial(LayerNorm, eps=1e-5)
        }  # fmt: skip
        torch.manual_seed(0)
        return TimmVisionTransformer(
            img_size=SIDE, patch_size=14, embed_dim=WIDTH, depth=2, num_heads=4,
            num_classes=0 if self.dim == WIDTH else self.dim, **kind,
        ).eval()  # fmt: skip


def small(name: str, dim: int) -> Small:
    return Small(**{**vars(NETWORKS[name]), "side": SIDE, "dim": dim})


SMALL = {
    name: small(name, dim) for name, dim in (("dinov2-l", WIDTH), ("clip", PROJECTED), ("csd", PROJECTED))
}


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Noise of low and high frequencies, wide."""
    generator = torch.Generator().manual_seed(1)
    small = torch.randint(0, 256, (2, 3, 6, 8), dtype=torch.uint8, generator=generator)
    fine = torch.randint(0, 32, (2, 3, 48, 64), dtype=torch.uint8, generator=generator)
    return small.repeat_interleave(8, 2).repeat_interleave(8, 3) // 2 + fine


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.size == other.size and one.tobytes() == other.tobytes()


def pictures(images: Tensor) -> list[Image.Image]:
    return [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]


def inputs(fitted: list[Image.Image], colours: Any) -> Tensor:
    to_input = v2.Compose([v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(*colours)])
    return torch.stack([to_input(picture) for picture in fitted])


def openai_network(seed: int) -> Any:
    torch.manual_seed(seed)
    network = OpenAIVisionTransformer(SIDE, 14, WIDTH, layers=2, heads=4, output_dim=PROJECTED)
    return network.eval().requires_grad_(False)


def unit(features: Tensor) -> Tensor:
    return features / features.norm(dim=1, keepdim=True)


# Beside reference networks


def test_dinov2_equals_the_reference_network(images: Tensor, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = Dinov2Model(
        Dinov2Config(
            hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=4, image_size=SIDE,
            layerscale_value=0.5,
        )
    ).eval()  # fmt: skip
    torch.save(published_dinov2(theirs.state_dict()), tmp_path / "dinov2.pth")
    ours = VisionTransformer(SMALL["dinov2-l"], tmp_path / "dinov2.pth")(images)
    with torch.no_grad():
        expected = theirs(inputs([stretched(p, SIDE) for p in pictures(images)], IMAGENET)).pooler_output
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def published_dinov2(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names of the published file, from those of transformers."""
    names = {
        "embeddings.cls_token": "cls_token", "embeddings.mask_token": "mask_token",
        "embeddings.position_embeddings": "pos_embed", "embeddings.patch_embeddings.projection":
        "patch_embed.proj", "encoder.layer": "blocks", "layer_scale1.lambda1": "ls1.gamma",
        "layer_scale2.lambda1": "ls2.gamma", "attention.o_proj": "attn.proj", "layernorm": "norm",
    }  # fmt: skip
    found = {}
    for name, value in state.items():
        for theirs, published in names.items():
            name = name.replace(theirs, published)
        found[name] = value
    for block in {name.partition(".attention")[0] for name in found if "q_proj" in name}:
        for kind in ("weight", "bias"):
            parts = [found.pop(f"{block}.attention.{each}_proj.{kind}") for each in "qkv"]
            found[f"{block}.attn.qkv.{kind}"] = torch.cat(parts)
    return found


def test_clip_equals_the_networks_of_transformers_and_of_openai(images: Tensor, tmp_path: Path) -> None:
    torch.manual_seed(0)
    hugging = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            projection_dim=PROJECTED,
            patch_size=14,
            image_size=SIDE,
            num_hidden_layers=2,
            num_attention_heads=4,
        )
    ).eval()
    openai = openai_network(1)
    seen = inputs([cropped(p, SIDE) for p in pictures(images)], OPENAI)
    states = {
        "hugging": (hugging.state_dict(), lambda: hugging(pixel_values=seen).image_embeds),
        "openai": ({f"visual.{k}": v for k, v in openai.state_dict().items()}, lambda: openai(seen)),
    }
    for name, (state, features) in states.items():
        torch.save(state, tmp_path / name)
        with torch.no_grad():
            expected = unit(features())
        ours = VisionTransformer(SMALL["clip"], tmp_path / name)(images)
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-6)


def test_csd_is_clips_encoder_with_the_style_head(images: Tensor, tmp_path: Path) -> None:
    network, head = openai_network(2), torch.randn(WIDTH, PROJECTED)
    network.proj = None
    state = {f"module.backbone.{name}": value for name, value in network.state_dict().items()}
    heads = {"module.last_layer_style": head, "module.last_layer_content": torch.randn(WIDTH, PROJECTED)}
    torch.save(state | heads, tmp_path / "csd.pth")
    ours = VisionTransformer(SMALL["csd"], tmp_path / "csd.pth")(images)
    fit = v2.Compose([v2.Resize(SIDE, v2.InterpolationMode.BICUBIC), v2.CenterCrop(SIDE)])
    with torch.no_grad():
        expected = unit(network(inputs([fit(p) for p in pictures(images)], OPENAI)) @ head)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-6)


# Resizes and positions


@pytest.mark.parametrize("size", [(64, 48), (33, 57), (224, 300), (500, 281)])
def test_resizes_equal_torchvisions(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    resize = v2.Resize((224, 224), v2.InterpolationMode.BICUBIC)
    assert same(stretched(picture, 224), resize(picture))
    whole = v2.Compose([v2.Resize(224, v2.InterpolationMode.BICUBIC), v2.CenterCrop(224)])
    assert same(resized_then_cropped(picture, 224), whole(picture))
    side, (left, top) = min(size), ((length - min(size)) // 2 for length in size)
    square = Image.fromarray(noise[top : top + side, left : left + side])
    assert same(cropped(picture, 224), resize(square))


def test_positions_are_interpolated_with_a_tenth_of_a_patch_added() -> None:
    """A bicubic filter nearly keeps a ramp straight, so it shows where the positions were sampled."""
    ramp = torch.arange(37.0)[:, None].expand(37, 37)
    positions = torch.cat([torch.zeros(1), ramp.flatten()])[None, :, None]
    found = read_dinov2({"pos_embed": positions, "mask_token": torch.zeros(1)}, 224)
    assert found.keys() == {"pos_embed"}
    rows = found["pos_embed"][0, 1:, 0].view(16, 16)
    torch.testing.assert_close(rows, rows[:, :1].expand(16, 16))
    expected = (torch.arange(16) + 0.5) * 37 / torch.tensor([[16.1], [16.0]]) - 0.5
    gaps = (rows[1:-1, 0] - expected[:, 1:-1]).abs().amax(dim=1)
    assert gaps[0] < 0.06 < 0.15 < gaps[1]


# Names and mistakes


def test_the_protocol_names_the_file_and_the_control_is_seeded(images: Tensor, tmp_path: Path) -> None:
    control = VisionTransformer(SMALL["clip"], pretrained=False)
    assert (control.name, control.dim, control.standardised) == ("clip-random", PROJECTED, False)
    assert "random seed 0" in control.protocol
    torch.manual_seed(9)
    features = control(images)
    assert torch.equal(features, control.control()(images))
    torch.testing.assert_close(features.norm(dim=1), torch.ones(2))
    assert not torch.allclose(features[0], features[1], atol=1e-3)
    protocols = set()
    for seed in range(2):
        path = tmp_path / f"{seed}.pth"
        torch.save({f"visual.{k}": v for k, v in openai_network(seed).state_dict().items()}, path)
        protocols.add(VisionTransformer(SMALL["clip"], path).protocol)
    assert len(protocols) == 2, "the SHA-256 of the file"


@pytest.mark.parametrize("published", SMALL.values(), ids=list(SMALL))
def test_another_networks_file_is_refused(published: Published, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    wide = torch.zeros(1, 257, 1024)
    dinov2 = {"pos_embed": wide, "cls_token": torch.zeros(1, 1, 1024)}
    clip = {f"visual.{k}": v for k, v in openai_network(0).state_dict().items()}
    larger = clip | {"visual.positional_embedding": torch.zeros(26, WIDTH)}
    for state in ({"layer.weight": torch.zeros(2)}, dinov2, larger):
        torch.save(state, path)
        with pytest.raises(ModelError, match=rf"weights\.pth is not a file of {published.title[:4]}.*; give"):
            VisionTransformer(published, path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ModelError, match="cannot be read as plain tensors"):
        VisionTransformer(published, path)


def test_csd_is_not_fetched() -> None:
    with pytest.raises(
        ModelError, match="The csd weights are not fetched: give their file by --weights csd="
    ):
        VisionTransformer(NETWORKS["csd"])
