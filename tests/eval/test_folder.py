"""Pictures from folders, where reports go, and the door `brushwork measure` with fakes behind it."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch import Tensor

from brushwork.eval import reference as reference_module
from brushwork.eval.errors import EvalError
from brushwork.eval.folder import holds_pictures, read_styled_folder, report_folder
from brushwork.eval.suite import build_reference
from brushwork.scripts import measure

STYLES = ("dark", "light")


class Brightness:
    """A fake extractor: the mean of each channel."""

    name, protocol, dim = "brightness", "brightness", 3

    def __call__(self, images: Tensor) -> Tensor:
        return images.float().mean(dim=(2, 3))


def shades(per_style: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    styles = torch.arange(2).repeat_interleave(per_style)
    noise = torch.randint(0, 60, (len(styles), 3, 8, 8), generator=torch.Generator().manual_seed(seed))
    return (noise + 130 * styles[:, None, None, None]).to(torch.uint8), styles


def save(root: Path, style: str, name: str, image: Tensor) -> None:
    (root / style).mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(root / style / name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, (image, style) in enumerate(zip(*shades(4), strict=True)):
        save(tmp_path / "made", STYLES[int(style)], f"{i}.png", image)
    return tmp_path / "made"


def test_reads_pixels_and_styles(folder: Path) -> None:
    found = read_styled_folder(folder)
    images, styles = shades(4)
    assert found.style_names == STYLES
    assert torch.equal(found.images, images)
    assert torch.equal(found.styles, styles)


def test_refuses_other_sizes_and_pictures_without_a_style(folder: Path) -> None:
    save(folder, "light", "large.png", torch.zeros(3, 8, 16, dtype=torch.uint8))
    with pytest.raises(EvalError, match=r"large\.png' is 16x8 pixels and .* 8x8"):
        read_styled_folder(folder)
    (folder / "light" / "large.png").unlink()
    save(folder, "_unlabelled", "loose.png", torch.zeros(3, 8, 8, dtype=torch.uint8))
    with pytest.raises(EvalError, match=r"loose\.png' is in no style folder"):
        read_styled_folder(folder)


def test_runs_snapshots_and_folders_are_told_apart(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "snapshots").mkdir(parents=True)
    snapshot = run / "snapshots" / "generator.safetensors"
    snapshot.touch()
    assert [holds_pictures(path) for path in (folder, run, snapshot, tmp_path / "absent")] == [True] + [
        False
    ] * 3
    assert report_folder(folder) == tmp_path / "made-measure"
    assert report_folder(run) == report_folder(snapshot) == run / "measure"
    assert report_folder(Path("somebody/model")) == Path("model/measure")


# The door
@pytest.fixture
def without_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The door with a data set, a generator and features that need no file."""

    def load_reference(dataset: Path, **_: object) -> reference_module.Reference:
        return build_reference(*shades(20, 1), *shades(9, 2), STYLES, "f", extractors=(Brightness(), None))

    def sample(generator: object, styles: Tensor, seeds: Tensor, *, psi: float) -> Tensor:
        images = [
            shades(1, int(seed))[0][int(style.argmin())] for style, seed in zip(styles, seeds, strict=True)
        ]
        return torch.stack(images)

    generator = SimpleNamespace(style_names=STYLES[::-1])
    monkeypatch.setattr(measure, "load_reference", load_reference)
    monkeypatch.setattr(measure, "load_generator", lambda source, device: generator)
    monkeypatch.setattr(measure, "sample", sample)


@pytest.mark.usefixtures("without_files")
def test_door_measures_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run" / "snapshots").mkdir(parents=True)
    source = str(tmp_path / "run")
    args = measure.MeasureArguments(source=source, reference=tmp_path, per_style=6, psi=0.5, device="cpu")
    measure.main(args)
    content = json.loads((tmp_path / "run" / "measure" / "report.json").read_text(encoding="utf-8"))
    assert content["style_names"] == ["light", "dark"]  # in the generator's order
    assert content["samples"]["style_accuracy"] == 1
    assert content["protocol"]["psi"] == 0.5
    printed = capsys.readouterr().out
    assert str(tmp_path / "run" / "measure" / "report.html") in printed
    assert "samples" in printed


@pytest.mark.usefixtures("without_files")
def test_door_measures_a_folder(folder: Path, tmp_path: Path) -> None:
    args = measure.MeasureArguments(source=str(folder), reference=tmp_path, out=tmp_path / "o", device="cpu")
    measure.main(args)
    content = json.loads((tmp_path / "o" / "report.json").read_text(encoding="utf-8"))
    assert content["protocol"]["source"] == "images"
    assert content["samples"]["style_accuracy"] == 1
    assert (tmp_path / "o" / "grid.png").exists()
