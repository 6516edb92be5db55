"""The parts of the benchmark at small sizes; the metrics of the candidates must agree."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from brushwork.scripts.bench import metrics as module
from brushwork.scripts.bench.harness import Comparison
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


@pytest.mark.parametrize(
    ("compare", "sizes", "rel", "single"),
    [(compare_kernel, TINY, 1e-10, 1e-3), (compare_manifold, replace(TINY, sample=200), 1e-6, 0.011)],
)
def test_all_candidates_give_the_same_values(
    compare: Callable[[BenchmarkSizes], Comparison], sizes: BenchmarkSizes, rel: float, single: float
) -> None:
    """Ours in float64, torch-fidelity's in float32 and float64."""
    for values in compare(sizes).figures.values():
        ours, in_single, in_double = values.values()
        assert in_double == pytest.approx(ours, rel=rel)
        assert in_single == pytest.approx(ours, rel=single, abs=single if compare is compare_manifold else 0)
        assert ours != 0
        assert compare is compare_kernel or 0 < ours < 1
