"""Metrics and networks of other libraries, with the signatures of ours.

torch-fidelity comes with the extra `metrics`, pytorch-fid and transformers with `bench`. pytorch-fid 0.3.0
does not run with SciPy 1.18, so its Frechet distance is computed by its formula.
"""

import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import scipy.linalg
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_statistics_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric
from torchvision.transforms import v2

from brushwork.eval.metrics.frechet import Gaussian
from brushwork.eval.metrics.kernel import KernelDistance
from brushwork.scripts.bench.harness import version_of

PACKAGES = ("torch", "numpy", "scipy", "torch-fidelity", "pytorch-fid")
"""Packages whose versions belong in a report."""

TORCH_FIDELITY, PYTORCH_FID, SQRTM = "torch-fidelity", "pytorch-fid", "scipy sqrtm"

Distance = Callable[[Gaussian, Gaussian], float]
Features = Callable[[Tensor], Tensor]


# Frechet distance
def torch_fidelity_distance(a: Gaussian, b: Gaussian) -> float:
    """torch-fidelity's distance, from the eigenvalues of the product of the covariances."""
    sides = ({"mu": g.mean.numpy(), "sigma": g.covariance.numpy()} for g in (a, b))
    return float(fid_statistics_to_metric(*sides, verbose=False)[KEY_METRIC_FID])


def sqrtm_distance(a: Gaussian, b: Gaussian) -> float:
    """The formula of Heusel et al. 2017 (arXiv:1706.08500), which pytorch-fid takes, for regular products."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # singular matrices
        root = scipy.linalg.sqrtm((a.covariance @ b.covariance).numpy())
    traces = a.covariance.trace() + b.covariance.trace()
    return float((a.mean - b.mean).square().sum() + traces) - 2 * float(np.trace(root).real)


DISTANCES: Mapping[str, Distance] = {TORCH_FIDELITY: torch_fidelity_distance, SQRTM: sqrtm_distance}
"""Frechet distances by implementation."""


# Inception
def inception_networks(
    state: Mapping[str, Tensor], device: torch.device
) -> tuple[dict[str, Features], tuple[str, ...]]:
    """The libraries' networks and resizing with the weights `state`, and a note if one is not installed.

    Each maps uint8 images (N, 3, H, W) to features (N, 2048).
    """
    networks: dict[str, Features] = {TORCH_FIDELITY: torch_fidelity_features(state, device)}
    if version_of("pytorch-fid") is None:
        return networks, ("pytorch-fid is not installed and was left out (pip install pytorch-fid).",)
    return networks | {PYTORCH_FID: pytorch_fid_features(state, device)}, ()


def torch_fidelity_features(state: Mapping[str, Tensor], device: torch.device) -> Features:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inception.pth"
        torch.save(dict(state), path)
        network = FeatureExtractorInceptionV3(
            "inception", ["2048"], feature_extractor_weights_path=str(path)
        ).to(device)

    def features(images: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n 2048"]:
        with torch.no_grad():
            return network(images.to(device))[0].cpu()

    return features


def pytorch_fid_features(state: Mapping[str, Tensor], device: torch.device) -> Features:
    from pytorch_fid import inception

    # It loads its weights from a URL only.
    with patch.object(inception, "load_state_dict_from_url", lambda *_, **__: dict(state)):
        network = inception.InceptionV3([3]).eval().to(device)

    def features(images: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n 2048"]:
        with torch.no_grad():
            return network(images.to(device).float() / 255)[0][..., 0, 0].cpu()

    return features


# Vision transformers
def dinov2_network(file: Path) -> Features:
    """Writes seeded random weights of DINOv2 ViT-L/14 as they are published; returns its features of images
    as dgm-eval takes them by default."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without xformers
        from dinov2.models.vision_transformer import vit_large  # pyright: ignore[reportMissingImports]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = vit_large(patch_size=14, img_size=518, init_values=1.0, block_chunks=0).eval()
    torch.save(network.state_dict(), file)
    colours = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    resize = v2.Resize((224, 224), v2.InterpolationMode.BICUBIC)
    return _of_pictures(network, resize, colours)


def clip_network(file: Path) -> Features:
    """The same of CLIP ViT-L/14@336 in transformers, as cmmd-pytorch takes images."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=1024, intermediate_size=4096, projection_dim=768, num_hidden_layers=24,
        num_attention_heads=16, image_size=336, patch_size=14,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = CLIPVisionModelWithProjection(config).eval()
    torch.save(network.state_dict(), file)
    resize = v2.Resize((336, 336), v2.InterpolationMode.BICUBIC)

    def features(images: Tensor) -> Tensor:
        embedded = network(pixel_values=images).image_embeds
        return embedded / torch.linalg.norm(embedded, dim=-1, keepdim=True)

    return _of_pictures(features, resize, CLIP_COLOURS)


def csd_network(file: Path) -> Features:
    """The same of CSD's style head, on torch-fidelity's copy of OpenAI's network."""
    from torch_fidelity.feature_extractor_clip import VisionTransformer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network: Any = VisionTransformer(224, 14, 1024, layers=24, heads=16, output_dim=768).eval()
    head, network.proj = network.proj.detach(), None
    state = {f"backbone.{name}": value for name, value in network.state_dict().items()}
    torch.save(state | {"last_layer_style": head}, file)
    resize = v2.Compose([v2.Resize(224, v2.InterpolationMode.BICUBIC), v2.CenterCrop(224)])
    return _of_pictures(lambda images: F.normalize(network(images) @ head, dim=1), resize, CLIP_COLOURS)


CLIP_COLOURS = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


def _of_pictures(network: Features, resize: Callable[[Any], Any], colours: Any) -> Features:
    """Features of uint8 images (N, 3, H, W), each resized as a Pillow image."""
    to_input = v2.Compose([
        v2.ToPILImage(), resize, v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(*colours),
    ])  # fmt: skip

    def features(images: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat([network(to_input(image)[None]) for image in images])

    return features


def cmmd_formula(x: Tensor, y: Tensor) -> float:
    """cmmd-pytorch's expression, in float64."""
    x, y = x.double(), y.double()

    def mean(a: Tensor, b: Tensor) -> Tensor:
        squared = a.square().sum(1)[:, None] + b.square().sum(1)[None] - 2 * a @ b.T
        return torch.exp(-squared / (2 * 10**2)).mean()

    return float(1000 * (mean(x, x) + mean(y, y) - 2 * mean(x, y)))


# Kernel distance, precision and recall
def torch_fidelity_kid(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, subsets: int, subset_size: int
) -> KernelDistance:
    """torch-fidelity's kernel distance, in the precision of the features."""
    result = kid_features_to_metric(x, y, kid_subsets=subsets, kid_subset_size=subset_size, verbose=False)
    return KernelDistance(
        mean=result[KEY_METRIC_KID_MEAN], std=result[KEY_METRIC_KID_STD], subsets=subsets,
        subset_size=subset_size,
    )  # fmt: skip


def torch_fidelity_precision_recall(
    real: Float[Tensor, "n d"], fake: Float[Tensor, "m d"], *, k: int
) -> tuple[float, float]:
    """torch-fidelity's precision and recall, in the precision of the features."""
    result = prc_features_to_metric(fake, real, prc_neighborhood=k, verbose=False)
    return result[KEY_METRIC_PRECISION], result[KEY_METRIC_RECALL]
