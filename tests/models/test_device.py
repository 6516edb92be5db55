"""Names of devices on machines with and without GPUs."""

import pytest
import torch

from brushwork.models.errors import ModelError
from brushwork.models.options import resolve_device


@pytest.fixture(params=[0, 2])
def gpus(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    return request.param


def test_names_are_resolved_if_the_machine_has_the_device(gpus: int) -> None:
    assert resolve_device("auto") == torch.device("cuda" if gpus else "cpu")
    assert resolve_device("cpu") == torch.device("cpu")
    for index, name in enumerate(("cuda", "cuda:1", "cuda:2")):
        if index < gpus:
            assert resolve_device(name) == torch.device(name)
        else:
            with pytest.raises(ModelError, match=rf"no device '{name}' \({gpus} CUDA GPUs\)"):
                resolve_device(name)


@pytest.mark.parametrize("name", ["abacus", "cpu:5", "meta", "", "cuda:", "cuda:-1"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=r"unknown device .* choose auto"):
        resolve_device(name)
