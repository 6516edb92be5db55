"""Statistics on the disk: the same from ours as from pytorch-fid's, and one sentence for every damage."""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.metrics.frechet import Gaussian, frechet, gaussian_of, load_statistics, save_statistics


def features(seed: int, count: int, dim: int) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Files
def test_statistics_come_back_from_a_file(tmp_path: Path) -> None:
    gaussian, path = gaussian_of(features(0, 20, 6)), tmp_path / "new" / "real.npz"
    save_statistics(path, gaussian)
    save_statistics(path, gaussian)
    loaded = load_statistics(path)
    assert torch.equal(loaded.mean, gaussian.mean)
    assert torch.equal(loaded.covariance, gaussian.covariance)
    assert loaded.count == 20
    assert [p.name for p in path.parent.iterdir()] == ["real.npz"]
    save_statistics(path, Gaussian(mean=gaussian.mean, covariance=gaussian.covariance, count=0))
    with np.load(path) as file:
        assert sorted(file.files) == ["mu", "sigma"]
    assert load_statistics(path).count == 0


def test_statistics_are_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, gaussian = tmp_path / "real.npz", gaussian_of(features(0, 20, 6))
    save_statistics(path, gaussian)
    before = path.read_bytes()

    def cut(file: BinaryIO, **arrays: Any) -> None:
        file.write(b"PK")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", cut)
    with pytest.raises(KeyboardInterrupt):
        save_statistics(path, gaussian_of(features(1, 20, 6)))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_pytorch_fid_reads_what_we_write(tmp_path: Path) -> None:
    peer = pytest.importorskip("pytorch_fid.fid_score", reason="pytorch-fid is not installed")
    gaussian, path = gaussian_of(features(0, 20, 6)), tmp_path / "real.npz"
    save_statistics(path, gaussian)
    mean, covariance = peer.compute_statistics_of_path(str(path), None, 1, 6, "cpu")
    assert np.array_equal(mean, gaussian.mean.numpy())
    assert np.array_equal(covariance, gaussian.covariance.numpy())


def test_we_read_what_pytorch_fid_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own function, with its network and its activations replaced."""
    peer = pytest.importorskip("pytorch_fid.fid_score", reason="pytorch-fid is not installed")
    x = features(0, 20, 6)

    class Network:
        BLOCK_INDEX_BY_DIM = {6: 0}  # noqa: RUF012

        def __init__(self, blocks: list[int]) -> None: ...

        def to(self, device: str) -> None: ...

    monkeypatch.setattr(peer, "InceptionV3", Network)
    monkeypatch.setattr(peer, "get_activations", lambda *_: x.numpy())
    peer.save_fid_stats([str(tmp_path), str(tmp_path / "theirs.npz")], 1, "cpu", 6)
    loaded, expected = load_statistics(tmp_path / "theirs.npz"), gaussian_of(x)
    torch.testing.assert_close(loaded.mean, expected.mean, rtol=1e-14, atol=1e-15)
    torch.testing.assert_close(loaded.covariance, expected.covariance, rtol=1e-13, atol=1e-15)
    assert loaded.count == 0
    assert frechet(loaded, expected) == pytest.approx(0, abs=1e-6)


def test_single_precision_is_taken(tmp_path: Path) -> None:
    path, x = tmp_path / "real.npz", features(0, 20, 6)
    sigma = torch.cov(x.T).float()
    sigma[0, 1] *= 1 + 1e-6  # as rounding leaves it
    np.savez(path, mu=x.mean(0).float().numpy(), sigma=sigma.numpy())
    loaded = load_statistics(path)
    assert loaded.mean.dtype == loaded.covariance.dtype == torch.float64
    assert torch.equal(loaded.covariance, loaded.covariance.T)
    torch.testing.assert_close(loaded.covariance, torch.cov(x.T), rtol=1e-5, atol=1e-6)


GOOD = {"mu": np.zeros(3), "sigma": np.eye(3)}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mean": np.zeros(3), "sigma": np.eye(3)}, "holds no mu"),
        ({"other": np.zeros(3)}, "holds no mu and no sigma"),
        ({**GOOD, "sigma": np.eye(4)}, r"mu of shape \(3,\) and sigma of shape \(4, 4\)"),
        ({**GOOD, "mu": np.zeros((1, 3))}, r"mu of shape \(1, 3\)"),
        ({"mu": np.zeros(0), "sigma": np.zeros((0, 0))}, r"mu of shape \(0,\)"),
        ({**GOOD, "mu": np.array([0, np.nan, 0])}, "no finite numbers"),
        ({**GOOD, "sigma": np.full((3, 3), np.inf)}, "no finite numbers"),
        ({**GOOD, "mu": np.array(["a", "b", "c"])}, "no finite numbers"),
        (
            {**GOOD, "mu": np.array([None, {}, 0], dtype=object)},
            "cannot be read as an npz file",
        ),  # would have to be unpickled
        ({**GOOD, "sigma": np.arange(9.0).reshape(3, 3)}, "no covariance"),
        ({**GOOD, "sigma": -np.eye(3)}, "no covariance"),
        ({**GOOD, "count": np.array(-1)}, "count"),
        ({**GOOD, "count": np.array([2.5])}, "count"),
    ],
)
def test_arrays_that_are_no_statistics(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    path = tmp_path / "real.npz"
    np.savez_compressed(path, **arrays)  # pyright: ignore[reportArgumentType]
    with pytest.raises(EvalError, match=message):
        load_statistics(path)


def test_files_that_are_no_statistics(tmp_path: Path) -> None:
    path = tmp_path / "real.npz"
    with pytest.raises(EvalError, match="no statistics at"):
        load_statistics(path)
    with pytest.raises(EvalError, match="no statistics at"):
        load_statistics(tmp_path)
    save_statistics(path, gaussian_of(features(0, 20, 40)))
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    for content in (b"", b"hello", whole[: len(whole) // 2], bytes(flipped), whole[:4] + whole[40:]):
        path.write_bytes(content)
        with pytest.raises(EvalError, match="cannot be read as an npz file"):
            load_statistics(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(EvalError, match="cannot be read as an npz file"):
        load_statistics(path)
    with pytest.raises(EvalError, match=r"ends in \.npz"):
        save_statistics(tmp_path / "real.npy", gaussian_of(features(0, 20, 6)))
