"""Distances that are known exactly, other libraries on networks of a known difference, and equal values."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.metrics.frechet import frechet_from_features
from brushwork.scripts.bench import agreement, metrics, third_party
from brushwork.scripts.bench.agreement import known_distance
from brushwork.scripts.bench.harness import Comparison
from brushwork.scripts.bench.metrics import BenchmarkSizes

TINY = BenchmarkSizes(dim=16, repeats=2, pictures=2, sample=60, subset_size=20)


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One library gives twice our features, the other exactly ours. Returns the resizing of our networks."""
    resizes: list[str] = []

    def features(images: Tensor) -> Tensor:
        return images[:, :, ::16, ::16].flatten(1).float() / 255  # 48 of them

    theirs = {"torch-fidelity": lambda images: 2 * features(images), "pytorch-fid": features}
    for module in (agreement, metrics):
        monkeypatch.setattr(module, "Inception", lambda resize, **_: resizes.append(resize) or features)
        monkeypatch.setattr(module, "random_state", lambda seed: {})
        monkeypatch.setattr(module, "inception_networks", lambda state, device: (theirs, ("N",)))
    return resizes


def test_features_are_timed_with_all_resizings_beside_the_libraries(libraries: list[str]) -> None:
    found = metrics.compare_features(TINY, torch.device("cpu"))
    names = [f"ours, {resize}" for resize in ("legacy_tensorflow", "legacy_pytorch", "clean")]
    assert [f"ours, {resize}" for resize in libraries] == names
    assert list(found.timings.wall) == [*names, "torch-fidelity", "pytorch-fid"]
    assert (found.images, found.notes) == (2, ("N",))
    results = found.timings.results
    assert results["torch-fidelity"].equal(2 * results["ours, clean"]), "of the same images"


def test_agreement_with_the_libraries(libraries: list[str]) -> None:
    found = agreement.agreement(100, torch.device("cpu"))
    assert libraries == ["legacy_tensorflow", "legacy_pytorch"]
    assert found.notes == ("N",)
    assert found.data["features"] == {"torch-fidelity": 0.5, "pytorch-fid": 0}
    figures = found.data["figures"]
    differences = {(f["figure"], f["library"]): abs(f["ours"] / f["theirs"] - 1) for f in figures}
    assert differences["FD", "torch-fidelity"] == pytest.approx(0.75, rel=1e-4)
    assert differences["FD of their features", "torch-fidelity"] < 1e-5
    assert differences["KD", "torch-fidelity"] > 0.1
    assert differences["FD", "pytorch-fid"] < 1e-5
    assert (len(differences), len(found.rows)) == (6, 8)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(third_party, "version_of", lambda package: None)
    monkeypatch.setattr(third_party, "torch_fidelity_features", lambda state, device: abs)
    networks, notes = third_party.inception_networks({}, torch.device("cpu"))
    assert list(networks) == ["torch-fidelity"]
    assert "not installed" in notes[0]


@pytest.mark.parametrize(("count", "dim"), [(2, 2), (4, 8), (16, 64), (64, 128)])
def test_known_distance(count: int, dim: int) -> None:
    x, y, distance = known_distance(count, dim)
    assert x.shape == y.shape == (count, dim)
    for features in (x, y):
        assert torch.equal(features.float().double(), features), "exact in float32"
        assert torch.linalg.matrix_rank(features - features.mean(0)) == count - 1
    assert frechet_from_features(x, y) == pytest.approx(distance, rel=1e-14)


@pytest.mark.parametrize(("count", "dim"), [(100, 2048), (16, 48), (64, 64), (1, 8)])
def test_no_hadamard_matrix(count: int, dim: int) -> None:
    with pytest.raises(EvalError, match=f"{count} features of {dim} dimensions"):
        known_distance(count, dim)


def test_exactness_shows_relative_errors() -> None:
    found, exact = agreement.exactness(16, 128), known_distance(16, 128)[2]
    assert found.data["exact"] == exact
    apart, itself = found.data["apart"], found.data["itself"]
    assert {"ours, from features", "ours, from covariances", "torch-fidelity"} < set(apart) == set(itself)
    assert apart["ours, from features"] == pytest.approx(exact, rel=1e-14)
    assert itself["ours, from features"] < 1e-11 < abs(itself["torch-fidelity"]) < 1e-2
    assert list(apart.values()) == pytest.approx([exact] * len(apart), rel=1e-5)
    assert [row[0] for row in found.rows] == ["exact", *apart]


@pytest.mark.parametrize(
    ("compare", "sample", "single", "double"),
    [
        (metrics.compare_frechet, 60, {"rel": 1e-8}, 1e-8),
        (metrics.compare_kernel, 60, {"rel": 1e-3}, 1e-10),
        (metrics.compare_manifold, 200, {"abs": 0.011}, 1e-6),
    ],
)
def test_all_candidates_give_the_same_values(
    compare: Callable[[BenchmarkSizes], Comparison], sample: int, single: dict[str, Any], double: float
) -> None:
    """Ours in float64, torch-fidelity's in float32 and float64; or two Frechet distances in float64."""
    found = compare(replace(TINY, sample=sample))
    assert next(iter(found.timings.wall)).startswith("ours")
    for values in found.figures.values():
        ours, in_single, in_double = values.values()
        assert in_double == pytest.approx(ours, rel=double)
        assert in_single == pytest.approx(ours, **single)
        assert ours > 0
