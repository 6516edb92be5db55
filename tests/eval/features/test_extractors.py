"""Every name builds its extractor with its options. Nothing is downloaded."""

from pathlib import Path

import pytest

from brushwork.eval.errors import EvalError
from brushwork.eval.features.extractors import EXTRACTORS, build_extractor
from brushwork.models.errors import ModelError


@pytest.mark.parametrize("name", ["inception", "hed-vgg16"])
def test_weights_are_taken_by_name(name: str, tmp_path: Path) -> None:
    """The wrong file is refused before anything is built or fetched."""
    path = tmp_path / "weights.pth"
    path.write_bytes(b"not these")
    with pytest.raises(ModelError, match=r"weights\.pth"):
        build_extractor(name, weights={name: path, "lpips": tmp_path / "another"})


def test_options_reach_inception(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    any_network = build_extractor(EXTRACTORS[0])

    def inception(*args: object, resize: str) -> object:
        calls.append((*args, resize))
        return any_network

    monkeypatch.setattr("brushwork.eval.features.extractors.Inception", inception)
    build_extractor("inception", "cuda:1", weights={"inception": Path("there")}, resize="legacy_pytorch")
    assert calls == [(Path("there"), "cuda:1", "legacy_pytorch")]


def test_unknown_names() -> None:
    with pytest.raises(EvalError, match="no extractor 'zzz': take one of efficientnet-lite0, hed"):
        build_extractor("zzz")
