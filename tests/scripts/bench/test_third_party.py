"""The other libraries are called as they want to be, and missed with a sentence."""

import pytest
import torch

from brushwork.eval.metrics.frechet import Gaussian
from brushwork.eval.metrics.neighbours import memberships
from brushwork.scripts.bench import third_party as peers
from brushwork.scripts.bench.third_party import (
    frechet_peers,
    torch_fidelity_kid,
    torch_fidelity_precision_recall,
)


def sides() -> tuple[Gaussian, Gaussian]:
    """Of distance 3 + 3."""
    zeros, ones = torch.zeros(3).double(), torch.ones(3).double()
    a = Gaussian(mean=zeros, covariance=torch.diag(torch.tensor([1.0, 4, 9]).double()), count=9)
    return a, Gaussian(mean=ones, covariance=torch.diag(torch.tensor([4.0, 9, 16]).double()), count=9)


def test_frechet_distances_of_all() -> None:
    found = frechet_peers()
    assert len(found.functions) == 2
    for distance in [*found.functions.values(), peers.sqrtm_distance]:
        assert distance(*sides()) == pytest.approx(6, rel=1e-12)


def test_a_missing_library_is_named_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "version_of", lambda package: None)
    found = frechet_peers()
    assert list(found.functions) == ["torch-fidelity", "scipy sqrtm"]
    assert "not installed" in found.notes[0]
    monkeypatch.setattr(peers, "torch_fidelity_features", lambda state, device: abs)
    networks = peers.feature_peers({})
    assert list(networks.functions) == ["torch-fidelity"]
    assert "not installed" in networks.notes[0]


def test_a_library_that_broke_is_named_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> float:
        raise TypeError("sqrtm() got an unexpected keyword argument 'disp'")

    monkeypatch.setattr(peers, "version_of", {"pytorch-fid": "0.3.0", "scipy": "1.18.0"}.get)
    monkeypatch.setattr(peers, "pytorch_fid_distance", broken)
    found = frechet_peers()
    assert list(found.functions) == ["torch-fidelity", "scipy sqrtm"]
    assert "pytorch-fid 0.3.0 does not run with SciPy 1.18.0" in found.notes[0]


def test_kernel_distance() -> None:
    found = torch_fidelity_kid(torch.zeros(9, 4), torch.ones(9, 4), subsets=3, subset_size=5)
    assert (found.mean, found.std, found.subsets, found.subset_size) == (7, 0, 3, 5)


def test_precision_and_recall_are_not_mixed_up() -> None:
    """Samples in one of two clusters: all of them where real pictures are, half of those without samples."""
    generator = torch.Generator().manual_seed(0)
    fake, other = torch.randn(40, 6, generator=generator), torch.randn(40, 6, generator=generator) + 30
    real = torch.cat([torch.randn(40, 6, generator=generator), other])
    precision, recall = torch_fidelity_precision_recall(real, fake, k=5)
    ours = memberships(real, fake, k=5)
    assert precision > 0.8
    assert recall <= 0.5
    assert (precision, recall) == pytest.approx(
        (ours.inside.double().mean().item(), ours.recalled.double().mean().item())
    )
