"""A distance that is known exactly, and the comparison on networks whose difference is known."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.metrics.frechet import Gaussian, frechet_from_features, gaussian_of
from brushwork.scripts.bench import agreement as module
from brushwork.scripts.bench.agreement import (
    agreement,
    attempted,
    exactness,
    feature_difference,
    known_distance,
    noise_pictures,
)
from brushwork.scripts.bench.third_party import Peers, sqrtm_distance


# Known exactly
@pytest.mark.parametrize(("count", "dim"), [(2, 2), (4, 8), (16, 64), (64, 128)])
def test_known_distance(count: int, dim: int) -> None:
    known = known_distance(count, dim)
    assert known.x.shape == known.y.shape == (count, dim)
    for features in (known.x, known.y):
        assert torch.equal(features * 64, (features * 64).round()), "whole numbers"
        assert torch.equal(features.float().double(), features), "exact in float32"
        assert torch.linalg.matrix_rank(features - features.mean(0)) == count - 1
    assert frechet_from_features(known.x, known.y) == pytest.approx(known.distance, rel=1e-14)
    # By another way, with half of the digits where the covariances are singular.
    others = sqrtm_distance(gaussian_of(known.x), gaussian_of(known.y))
    assert others == pytest.approx(known.distance, rel=1e-5)


def test_known_covariances_do_not_commute() -> None:
    known = known_distance(16, 64)
    a, b = gaussian_of(known.x).covariance, gaussian_of(known.y).covariance
    assert (a @ b - b @ a).norm() > 0.1 * (a @ b).norm()


def test_no_hadamard_matrix() -> None:
    for count, dim in ((100, 2048), (16, 48), (64, 64), (1, 8)):
        with pytest.raises(EvalError, match=f"{count} features of {dim} dimensions"):
            known_distance(count, dim)


def test_exactness_tells_rounding_from_drift() -> None:
    found = exactness(16, 128)
    assert found.exact == known_distance(16, 128).distance
    assert set(found.apart) == set(found.itself)
    assert {"ours, from features", "ours, from covariances", "torch-fidelity"} < set(found.apart)
    assert found.apart["ours, from features"] == pytest.approx(found.exact, rel=1e-14)
    assert found.itself["ours, from features"] < 1e-11 < abs(found.itself["torch-fidelity"]) < 1e-2
    for value in found.apart.values():
        assert value == pytest.approx(found.exact, rel=1e-5)
    assert [row[0] for row in found.table().rows] == ["exact", *found.apart]


def test_a_library_that_gives_up() -> None:
    unit = Gaussian(mean=torch.zeros(1).double(), covariance=torch.ones(1, 1).double(), count=0)

    def gives_up(a: Gaussian, b: Gaussian) -> float:
        raise ValueError("Imaginary component 3")

    value, words = attempted(gives_up, unit, unit)
    assert value != value
    assert words == "gave up: Imaginary component 3"
    assert attempted(lambda a, b: 2.0, unit, unit) == (2.0, "")


# The same weights
def test_feature_difference_is_relative_to_the_largest() -> None:
    theirs = torch.tensor([[1.0, -4.0], [0.5, 2.0]])
    assert feature_difference(theirs + torch.tensor([[0, 0.25], [0, -1]]), theirs) == 0.25


def test_pictures_have_every_grain_and_are_seeded() -> None:
    pictures = noise_pictures(10, seed=1, size=32)
    assert pictures.shape == (10, 3, 32, 32)
    assert torch.equal(pictures, noise_pictures(10, seed=1, size=32))
    assert not torch.equal(pictures, noise_pictures(10, seed=2, size=32))
    steps = pictures.float().diff(dim=-1).abs().mean(dim=(1, 2, 3))
    assert bool((steps[:5].diff() > 0).all())
    assert steps[5] < steps[4]
    fainter = noise_pictures(10, seed=1, size=32, contrast=0.5).float()
    assert 0.4 < float(fainter.std() / pictures.float().std()) < 0.6


def test_agreement_of_two_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one gives twice our features, the other exactly ours."""
    resizes = []

    def features(images: Tensor) -> Tensor:
        return images[:, :, ::16, ::16].flatten(1).float() / 255  # 48 of them

    def ours(resize: str, **_: object) -> object:
        resizes.append(resize)
        return features

    theirs = {"torch-fidelity": lambda images: 2 * features(images), "pytorch-fid": features}
    monkeypatch.setattr(module, "Inception", ours)
    monkeypatch.setattr(module, "random_state", lambda seed: {})
    monkeypatch.setattr(module, "feature_peers", lambda state, device: Peers(functions=theirs, notes=("N",)))
    found = agreement(100)
    assert resizes == ["legacy_tensorflow", "legacy_pytorch"]
    assert found.notes == ("N",)
    assert found.features == {"torch-fidelity": 0.5, "pytorch-fid": 0}
    figures = {(f.figure, f.peer): f for f in found.figures}
    assert set(figures) == {
        ("FD", "torch-fidelity"), ("FD of their features", "torch-fidelity"), ("KD", "torch-fidelity"),
        ("KD's deviation", "torch-fidelity"), ("FD", "pytorch-fid"), ("FD of their features", "pytorch-fid"),
    }  # fmt: skip
    assert figures["FD", "torch-fidelity"].difference == pytest.approx(0.75, rel=1e-4)
    assert figures["FD of their features", "torch-fidelity"].difference < 1e-5
    assert figures["FD", "pytorch-fid"].difference < 1e-5
    assert figures["KD", "torch-fidelity"].difference > 0.1
    assert len(found.table().rows) == 8


def test_without_pytorch_fids_distance_the_formula_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = SimpleNamespace(count=0)

    def formula(a: Gaussian, b: Gaussian) -> float:
        asked.count += 1
        return 1.0

    monkeypatch.setattr(
        module, "Inception", lambda **_: lambda images: images[:, :, 0, :4].flatten(1).float()
    )
    monkeypatch.setattr(module, "random_state", lambda seed: {})
    network = {"pytorch-fid": lambda images: images[:, :, 0, :4].flatten(1).float()}
    monkeypatch.setattr(module, "feature_peers", lambda state, device: Peers(functions=network))
    monkeypatch.setattr(module, "frechet_peers", lambda: Peers(functions={}, notes=("left out", "left out")))
    monkeypatch.setattr(module, "sqrtm_distance", formula)
    assert agreement(20).notes == ("left out",)
    assert asked.count == 1
