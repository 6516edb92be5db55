"""Every command names its device in the same words."""

import pytest
import torch

from brushwork.models.device import resolve_device
from brushwork.models.errors import ModelError


@pytest.mark.parametrize(
    ("gpus", "name", "device"),
    [
        (0, "auto", "cpu"),
        (2, "auto", "cuda"),
        (2, "cpu", "cpu"),
        (2, "cuda", "cuda"),
        (2, "cuda:1", "cuda:1"),
    ],
)
def test_a_name_is_resolved_on_a_machine_with_so_many_gpus(
    monkeypatch: pytest.MonkeyPatch, gpus: int, name: str, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert resolve_device(name) == torch.device(device)


@pytest.mark.parametrize("name", ["abacus", "cpu:5", "meta", "", "cuda:", "cuda:-1"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=r"unknown device .* choose auto"):
        resolve_device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:2"])
def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: name == "cuda:2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ModelError, match=f"no device '{name}'"):
        resolve_device(name)
