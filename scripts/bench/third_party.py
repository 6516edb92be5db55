"""Metrics of torch-fidelity, pytorch-fid and SciPy with the signatures of ours.

torch-fidelity is installed with brushwork, pytorch-fid is not. If it is missing, or does not run with the
installed SciPy, it is left out with a note.
"""

import io
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar
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
NOT_INSTALLED = "pytorch-fid is not installed and was left out (pip install pytorch-fid)."

Function = TypeVar("Function")
Distance = Callable[[Gaussian, Gaussian], float]
Features = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Libraries(Generic[Function]):
    """Functions by library, and a note for each library that is left out."""

    functions: Mapping[str, Function]
    notes: tuple[str, ...] = ()


# Frechet distance
def frechet_distances() -> Libraries[Distance]:
    """Frechet distances of torch-fidelity and pytorch-fid; if the latter does not run, its formula."""
    functions: dict[str, Distance] = {TORCH_FIDELITY: torch_fidelity_distance}
    missing = _why_not_pytorch_fid()
    if missing is None:
        return Libraries(functions=functions | {PYTORCH_FID: pytorch_fid_distance})
    note = f"{missing} Its formula with scipy.linalg.sqrtm was run in its stead."
    return Libraries(functions=functions | {SQRTM: sqrtm_distance}, notes=(note,))


def torch_fidelity_distance(a: Gaussian, b: Gaussian) -> float:
    """torch-fidelity's distance, from the eigenvalues of the product of the covariances."""
    sides = ({"mu": g.mean.numpy(), "sigma": g.covariance.numpy()} for g in (a, b))
    return float(fid_statistics_to_metric(*sides, verbose=False)[KEY_METRIC_FID])


def pytorch_fid_distance(a: Gaussian, b: Gaussian) -> float:
    """pytorch-fid's distance. Raises ValueError if the square root has an imaginary part."""
    from pytorch_fid.fid_score import calculate_frechet_distance

    mean1, cov1, mean2, cov2 = (array.numpy() for g in (a, b) for array in (g.mean, g.covariance))
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy deprecates the argument `disp`
        return float(calculate_frechet_distance(mean1, cov1, mean2, cov2))


def sqrtm_distance(a: Gaussian, b: Gaussian) -> float:
    """The distance of Heusel et al. 2017 (arXiv:1706.08500), without a remedy for singular products."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # singular matrices
        root = scipy.linalg.sqrtm((a.covariance @ b.covariance).numpy())
    traces = a.covariance.trace() + b.covariance.trace()
    return float((a.mean - b.mean).square().sum() + traces) - 2 * float(np.trace(root).real)


def _why_not_pytorch_fid() -> str | None:
    if version_of("pytorch-fid") is None:
        return NOT_INSTALLED
    unit = torch.eye(2, dtype=torch.float64)
    try:
        pytorch_fid_distance(*(Gaussian(mean=unit[0], covariance=unit, count=0) for _ in range(2)))
    except TypeError:  # SciPy 1.18 removed the argument `disp`
        versions = f"pytorch-fid {version_of('pytorch-fid')} does not run with SciPy {version_of('scipy')}"
        return f"{versions} and was left out."
    return None


# Inception
def inception_networks(state: Mapping[str, Tensor], device: str = "cpu") -> Libraries[Features]:
    """Both libraries' networks and resizing with the weights `state`: uint8 images (N, 3, H, W) to features
    (N, 2048)."""
    functions: dict[str, Features] = {TORCH_FIDELITY: torch_fidelity_features(state, device)}
    if version_of("pytorch-fid") is None:
        return Libraries(functions=functions, notes=(NOT_INSTALLED,))
    return Libraries(functions=functions | {PYTORCH_FID: pytorch_fid_features(state, device)})


def torch_fidelity_features(state: Mapping[str, Tensor], device: str = "cpu") -> Features:
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


def pytorch_fid_features(state: Mapping[str, Tensor], device: str = "cpu") -> Features:
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
