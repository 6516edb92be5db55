"""The parts of the benchmark at small sizes; the metrics of the candidates must agree."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from brushwork.scripts.bench import metrics as module
from brushwork.scripts.bench.metrics import (
    BenchmarkSizes,
    compare_features,
    compare_frechet,
    compare_kernel,
    compare_manifold,
)

TINY = BenchmarkSizes(dim=16, repeats=2, pictures=2, sample=60, subset_size=20)


def test_all_candidates_give_one_frechet_distance() -> None:
    found = compare_frechet(TINY)
    assert next(iter(found.timings.wall)) == "ours"
    assert len(found.timings.wall) == 3
    distances = found.figures["distance"]
    assert distances["ours"] > 0.1
    for value in distances.values():
        assert value == pytest.approx(distances["ours"], rel=1e-8)


def test_all_networks_get_the_same_images(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: dict[str, list[Tensor]] = {}

    def network(name: str) -> Callable[[Tensor], Tensor]:
        def features(images: Tensor) -> Tensor:
            calls.setdefault(name, []).append(images)
            return images.flatten(1)[:, :4].float()

        return features

    monkeypatch.setattr(module, "Inception", lambda resize, **_: network(resize))
    monkeypatch.setattr(module, "random_state", lambda seed: {})
    networks = {"theirs": network("theirs")}
    monkeypatch.setattr(module, "inception_networks", lambda state, device: (networks, ("N",)))
    found = compare_features(TINY, torch.device("cpu"))
    assert tuple(found.timings.wall) == (
        "ours, legacy_tensorflow", "ours, legacy_pytorch", "ours, clean", "theirs"
    )  # fmt: skip
    assert found.images == 2
    assert found.notes == ("N",)
    assert set(calls) == {"legacy_tensorflow", "legacy_pytorch", "clean", "theirs"}
    (first, *others) = [images for batches in calls.values() for images in batches]
    assert len(others) == 4 * 5 - 1
    assert first.dtype == torch.uint8
    assert all(torch.equal(first, images) for images in others)


def test_all_candidates_give_one_kernel_distance() -> None:
    found = compare_kernel(TINY)
    for values in found.figures.values():
        ours, single, double = values.values()
        assert double == pytest.approx(ours, rel=1e-10)
        assert single == pytest.approx(ours, rel=1e-3)
    assert found.figures["mean"]["ours (float64)"] != 0


def test_all_candidates_give_the_same_precision_and_recall() -> None:
    found = compare_manifold(replace(TINY, sample=200))
    for values in found.figures.values():
        ours, single, double = values.values()
        assert 0 < ours < 1
        assert single == pytest.approx(ours, abs=0.011)
        assert double == pytest.approx(ours, abs=1e-6)
