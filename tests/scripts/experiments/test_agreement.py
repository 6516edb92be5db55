"""Agreement with others: distances that are known exactly, and networks of a known difference."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.metrics.frechet import frechet_from_features
from brushwork.scripts.experiments import agreement
from brushwork.scripts.experiments.agreement import Compared, exactness, known_distance, networks_table

from ...conftest import Shell


def test_rows_tell_how_far_features_and_distances_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def features(images: Tensor) -> Tensor:
        return images[:, :, ::16, ::16].flatten(1).float() / 255

    def distance(x: Tensor, y: Tensor) -> float:
        return float((x.mean() - y.mean()).abs())

    pairs = [
        Compared("A", "torch", features, lambda x: 2 * features(x), {"gap": (distance, distance)}),
        Compared("B", "numpy", features, features, {"gap": (distance, lambda x, y: 4 * distance(x, y))}),
    ]
    monkeypatch.setattr(agreement, "comparisons", lambda folder, large: iter(pairs))
    found = networks_table(6, large=False)
    (one, other) = found.data["figures"]
    assert (one["network"], one["features"], one["theirs"]) == ("A", 0.5, pytest.approx(2 * one["ours"]))
    assert one["reference"] == f"torch {torch.__version__.partition('+')[0]}"
    assert (other["features"], other["theirs"]) == (0.0, pytest.approx(4 * other["ours"]))
    assert [row[0] for row in found.rows] == ["A: gap", "B: gap"]
    assert [row[-1] for row in found.rows] == ["5e-01", "8e-01"]


def test_quick_agreement_is_close_and_leaves_out_the_large_networks(shell: Shell, tmp_path: Path) -> None:
    shell("reproduce", "agreement", "--quick", "--few", "16", "--results", tmp_path / "results")
    found = json.loads((tmp_path / "results" / "agreement.json").read_text())
    networks = found["tables"]["networks"]
    assert networks["made"]["command"] == "brushwork reproduce agreement --few 16 --quick"
    assert {"torch", "timm", "torch-fidelity"} <= networks["made"]["machine"]["versions"].keys()
    figures = networks["data"]["figures"]
    assert {figure["network"][:9] for figure in figures} == {"Inception"}
    for figure in figures:
        assert figure["features"] < 1e-4
        assert figure["ours"] == pytest.approx(figure["theirs"], rel=1e-3)


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
    found, exact = exactness(16, 128), known_distance(16, 128)[2]
    assert found.data["exact"] == exact
    apart, itself = found.data["apart"], found.data["itself"]
    assert {"ours, from features", "ours, from covariances", "torch-fidelity"} < set(apart) == set(itself)
    assert apart["ours, from features"] == pytest.approx(exact, rel=1e-14)
    assert itself["ours, from features"] < 1e-11 < abs(itself["torch-fidelity"]) < 1e-2
    assert list(apart.values()) == pytest.approx([exact] * len(apart), rel=1e-5)
    assert [row[0] for row in found.rows] == ["exact", *apart]
