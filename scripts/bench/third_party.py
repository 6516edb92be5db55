"""Metrics of torch-fidelity, pytorch-fid and SciPy with the signatures of ours.

torch-fidelity comes with the extra `metrics`, pytorch-fid with `bench`. pytorch-fid 0.3.0 does not run
with SciPy 1.18, so its Frechet distance is computed by its formula.
"""

import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest.mock import patch

import numpy as np
import scipy.linalg
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_statistics_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

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
