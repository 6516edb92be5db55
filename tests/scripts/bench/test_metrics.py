"""Other libraries on networks of a known difference, and equal values."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from brushwork.scripts.bench import metrics, third_party
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
    monkeypatch.setattr(metrics, "Inception", lambda resize, **_: resizes.append(resize) or features)
    monkeypatch.setattr(metrics, "random_state", lambda seed: {})
    monkeypatch.setattr(metrics, "inception_networks", lambda state, device: (theirs, ("N",)))
    return resizes


def test_features_are_timed_with_all_resizings_beside_the_libraries(libraries: list[str]) -> None:
    found = metrics.compare_features(TINY, torch.device("cpu"))
    names = [f"ours, {resize}" for resize in ("legacy_tensorflow", "legacy_pytorch", "clean")]
    assert [f"ours, {resize}" for resize in libraries] == names
    assert list(found.timings.wall) == [*names, "torch-fidelity", "pytorch-fid"]
    assert (found.images, found.notes) == (2, ("N",))
    results = found.timings.results
    assert results["torch-fidelity"].equal(2 * results["ours, clean"]), "of the same images"


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(third_party, "version_of", lambda package: None)
    monkeypatch.setattr(third_party, "torch_fidelity_features", lambda state, device: abs)
    networks, notes = third_party.inception_networks({}, torch.device("cpu"))
    assert list(networks) == ["torch-fidelity"]
    assert "not installed" in notes[0]


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
