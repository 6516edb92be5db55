"""The parts of the benchmark on sizes that take no time; the candidates' figures must agree."""

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor

from brushwork.eval.metrics.frechet import gaussian_of
from brushwork.scripts.bench import metrics as module
from brushwork.scripts.bench.metrics import (
    FULL,
    PARTS,
    QUICK,
    PartName,
    Sizes,
    feature_race,
    frechet_race,
    kernel_race,
    manifold_race,
    simulated,
)
from brushwork.scripts.bench.third_party import Peers

TINY = Sizes(dim=16, repeats=2, pictures=2, picture_repeats=2, sample=60, sample_repeats=2, subset_size=20)


def test_the_full_benchmark_is_what_the_project_promises() -> None:
    assert (FULL.dim, FULL.sample) == (2048, 10_000)
    assert QUICK.dim == FULL.dim
    assert get_args(PartName) == tuple(PARTS)


def test_simulated_features_have_known_variances() -> None:
    x = simulated(20_000, 8, seed=0)
    assert torch.equal(x, simulated(20_000, 8, seed=0))
    other, turned = simulated(20_000, 8, seed=1), simulated(20_000, 8, seed=0, directions=1)
    covariances = [gaussian_of(features).covariance for features in (x, other, turned)]
    assert (covariances[0] - covariances[1]).norm() < 0.05 * covariances[0].norm()
    assert (covariances[0] - covariances[2]).norm() > 0.5 * covariances[0].norm()
    mix = torch.randn(8, 8, generator=torch.Generator().manual_seed(1000)).double()
    expected = mix.T @ torch.diag(torch.arange(1, 9).double() ** -2) @ mix
    torch.testing.assert_close(covariances[0], expected, rtol=0.05, atol=0.1)
    assert float((simulated(9, 8, seed=3, shift=2.0) - simulated(9, 8, seed=3)).mean()) == pytest.approx(2)


def test_frechet_race_finds_one_distance() -> None:
    race = frechet_race(TINY)
    assert race.timings.names[0] == "ours"
    assert len(race.timings.names) == 3
    distances = race.figures["distance"]
    assert distances["ours"] > 0.1
    for value in distances.values():
        assert value == pytest.approx(distances["ours"], rel=1e-8)


def test_feature_race_runs_everybody_on_the_same_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[Tensor]] = {}

    def network(name: str) -> Callable[[Tensor], Tensor]:
        def features(images: Tensor) -> Tensor:
            seen.setdefault(name, []).append(images)
            return images.flatten(1)[:, :4].float()

        return features

    monkeypatch.setattr(module, "Inception", lambda resize, **_: network(resize))
    monkeypatch.setattr(module, "random_state", lambda seed: {})
    peers = Peers(functions={"theirs": network("theirs")}, notes=("N",))
    monkeypatch.setattr(module, "feature_peers", lambda state, device: peers)
    race = feature_race(TINY)
    assert race.timings.names == (
        "ours, legacy_tensorflow", "ours, legacy_pytorch", "ours, clean", "theirs"
    )  # fmt: skip
    assert race.pictures == 2
    assert race.notes == ("N",)
    assert set(seen) == {"legacy_tensorflow", "legacy_pytorch", "clean", "theirs"}
    (first, *others) = [images for calls in seen.values() for images in calls]
    assert len(others) == 4 * 3 - 1
    assert first.dtype == torch.uint8
    assert all(torch.equal(first, images) for images in others)


def test_kernel_race_finds_one_figure() -> None:
    race = kernel_race(TINY)
    for found in race.figures.values():
        ours, single, double = found.values()
        assert double == pytest.approx(ours, rel=1e-10)
        assert single == pytest.approx(ours, rel=1e-3)
    assert race.figures["mean"]["ours (float64)"] != 0


def test_manifold_race_finds_the_same_figures() -> None:
    race = manifold_race(replace(TINY, sample=200))
    for found in race.figures.values():
        ours, single, double = found.values()
        assert 0 < ours < 1
        assert single == pytest.approx(ours, abs=0.011)
        assert double == pytest.approx(ours, abs=1e-6)
