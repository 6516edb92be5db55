"""Distances that are known exactly, other libraries, and the comparison on networks of a known difference."""

import pytest
import torch
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.metrics.frechet import frechet_from_features, gaussian_of
from brushwork.scripts.bench import agreement as module
from brushwork.scripts.bench import third_party
from brushwork.scripts.bench.agreement import (
    agreement,
    exactness,
    feature_difference,
    known_distance,
)
from brushwork.scripts.bench.third_party import (
    inception_networks,
    sqrtm_distance,
    torch_fidelity_kid,
)


# Known exactly
@pytest.mark.parametrize(("count", "dim"), [(2, 2), (4, 8), (16, 64), (64, 128)])
def test_known_distance(count: int, dim: int) -> None:
    x, y, distance = known_distance(count, dim)
    assert x.shape == y.shape == (count, dim)
    for features in (x, y):
        assert torch.equal(features * 64, (features * 64).round()), "whole numbers"
        assert torch.equal(features.float().double(), features), "exact in float32"
        assert torch.linalg.matrix_rank(features - features.mean(0)) == count - 1
    assert frechet_from_features(x, y) == pytest.approx(distance, rel=1e-14)
    # By another way, with half of the digits where the covariances are singular.
    others = sqrtm_distance(gaussian_of(x), gaussian_of(y))
    assert others == pytest.approx(distance, rel=1e-5)


def test_known_covariances_do_not_commute() -> None:
    a, b = (gaussian_of(features).covariance for features in known_distance(16, 64)[:2])
    assert (a @ b - b @ a).norm() > 0.1 * (a @ b).norm()


def test_no_hadamard_matrix() -> None:
    for count, dim in ((100, 2048), (16, 48), (64, 64), (1, 8)):
        with pytest.raises(EvalError, match=f"{count} features of {dim} dimensions"):
            known_distance(count, dim)


def test_exactness_shows_relative_errors() -> None:
    found = exactness(16, 128)
    exact = known_distance(16, 128)[2]
    assert found.data["exact"] == exact
    apart, itself = found.data["apart"], found.data["itself"]
    assert set(apart) == set(itself)
    assert {"ours, from features", "ours, from covariances", "torch-fidelity"} < set(apart)
    assert apart["ours, from features"] == pytest.approx(exact, rel=1e-14)
    assert itself["ours, from features"] < 1e-11 < abs(itself["torch-fidelity"]) < 1e-2
    for value in apart.values():
        assert value == pytest.approx(exact, rel=1e-5)
    assert [row[0] for row in found.rows] == ["exact", *apart]


# The same weights
def test_feature_difference_is_relative_to_the_largest() -> None:
    theirs = torch.tensor([[1.0, -4.0], [0.5, 2.0]])
    assert feature_difference(theirs + torch.tensor([[0, 0.25], [0, -1]]), theirs) == 0.25


def test_agreement_of_two_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """One library gives twice our features, the other exactly ours."""
    resizes = []

    def features(images: Tensor) -> Tensor:
        return images[:, :, ::16, ::16].flatten(1).float() / 255  # 48 of them

    def ours(resize: str, **_: object) -> object:
        resizes.append(resize)
        return features

    theirs = {"torch-fidelity": lambda images: 2 * features(images), "pytorch-fid": features}
    monkeypatch.setattr(module, "Inception", ours)
    monkeypatch.setattr(module, "random_state", lambda seed: {})
    monkeypatch.setattr(module, "inception_networks", lambda state, device: (theirs, ("N",)))
    found = agreement(100, torch.device("cpu"))
    assert resizes == ["legacy_tensorflow", "legacy_pytorch"]
    assert found.notes == ("N",)
    assert found.data["features"] == {"torch-fidelity": 0.5, "pytorch-fid": 0}
    differences = {
        (f["figure"], f["library"]): abs(f["ours"] - f["theirs"]) / abs(f["theirs"])
        for f in found.data["figures"]
    }
    assert differences["FD", "torch-fidelity"] == pytest.approx(0.75, rel=1e-4)
    assert differences["FD of their features", "torch-fidelity"] < 1e-5
    assert differences["KD", "torch-fidelity"] > 0.1
    assert differences["FD", "pytorch-fid"] < 1e-5
    assert len(differences) == 6
    assert len(found.rows) == 8


# The libraries
def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(third_party, "version_of", lambda package: None)
    monkeypatch.setattr(third_party, "torch_fidelity_features", lambda state, device: abs)
    networks, notes = inception_networks({}, torch.device("cpu"))
    assert list(networks) == ["torch-fidelity"]
    assert "not installed" in notes[0]


def test_kernel_distance() -> None:
    found = torch_fidelity_kid(torch.zeros(9, 4), torch.ones(9, 4), subsets=3, subset_size=5)
    assert (found.mean, found.std, found.subsets, found.subset_size) == (7, 0, 3, 5)
