"""Every name builds its extractor with its options. Nothing is downloaded."""

from pathlib import Path

import pytest
import torch

from brushwork.eval.errors import EvalError
from brushwork.eval.features import extractors as module
from brushwork.eval.features.efficientnet import EfficientNetLite
from brushwork.eval.features.extractors import build_extractor
from brushwork.models.errors import ModelError


@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite2"])
def test_offline_extractors(name: str) -> None:
    extractor = build_extractor(name, torch.device("cpu"), precision="bf16")
    assert isinstance(extractor, EfficientNetLite)
    assert extractor.name == name
    assert "bfloat16" in extractor.protocol
    assert extractor.control().name == f"{name}-random"


@pytest.mark.parametrize("name", ["inception", "vgg16", "vgg19"])
def test_weights_are_taken_by_name(name: str, tmp_path: Path) -> None:
    """The wrong file is refused before anything is built or fetched."""
    path = tmp_path / "weights.pth"
    path.write_bytes(b"not these")
    with pytest.raises(ModelError, match=rf"not the file of the {name} weights.*begins \w{{8}}, not"):
        build_extractor(name, weights={name: path, "lpips": tmp_path / "another"})


def test_options_reach_the_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    any_network = EfficientNetLite()

    def inception(*args: object, resize: str, precision: str) -> EfficientNetLite:
        calls.append((*args, resize, precision))
        return any_network

    def torchvision(*args: object) -> EfficientNetLite:
        calls.append(args)
        return any_network

    monkeypatch.setattr("brushwork.eval.features.inception.Inception", inception)
    monkeypatch.setattr(module.VggTaps, "torchvision", torchvision)
    path = Path("there")
    for name, weights in (("inception", {"inception": path}), ("vgg16", {"vgg16": path}), ("vgg19", {})):
        build_extractor(name, "cuda:1", weights=weights, precision="bf16", resize="legacy_pytorch")
    assert calls == [
        (path, "cuda:1", "legacy_pytorch", "bf16"),
        ("vgg16", path, "cuda:1", "bf16"),
        ("vgg19", None, "cuda:1", "bf16"),
    ]


def test_unknown_names() -> None:
    with pytest.raises(EvalError, match=r"no extractor 'inceptionv3': did you mean inception\?"):
        build_extractor("inceptionv3")
    with pytest.raises(EvalError, match="no extractor 'zzz': take one of efficientnet-lite0, eff"):
        build_extractor("zzz")
