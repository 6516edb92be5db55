"""Every name builds its extractor with its options. Nothing is downloaded."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from brushwork.eval.errors import EvalError
from brushwork.eval.features.extractors import EXTRACTORS, build_extractor, default_extractors
from brushwork.models.errors import ModelError


@pytest.mark.parametrize("name", ["inception", "hed-vgg16"])
def test_weights_are_taken_by_name(name: str, tmp_path: Path) -> None:
    """The wrong file is refused before anything is built or fetched."""
    path = tmp_path / "weights.pth"
    path.write_bytes(b"not these")
    with pytest.raises(ModelError, match=r"weights\.pth"):
        build_extractor(name, weights={name: path, "lpips": tmp_path / "another"})


def test_options_reach_inception(monkeypatch: pytest.MonkeyPatch) -> None:
    inception = Mock(return_value=build_extractor(EXTRACTORS[0]))
    monkeypatch.setattr("brushwork.eval.features.extractors.Inception", inception)
    build_extractor("inception", "cuda:1", weights={"inception": Path("there")}, resize="legacy_pytorch")
    inception.assert_called_once_with(Path("there"), "cuda:1", resize="legacy_pytorch")


def test_unknown_names() -> None:
    with pytest.raises(EvalError, match="no extractor 'zzz': take one of efficientnet-lite0, hed"):
        build_extractor("zzz")


def test_the_second_evaluator_is_taken_where_its_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_extractors() == ("efficientnet-lite0",)
    (tmp_path / "given").touch()
    assert default_extractors({"hed-vgg16": tmp_path / "given"}) == ("efficientnet-lite0", "hed-vgg16")
    cached = tmp_path / "brushwork" / "weights" / "hed-vgg16.safetensors"
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert default_extractors() == ("efficientnet-lite0", "hed-vgg16")
