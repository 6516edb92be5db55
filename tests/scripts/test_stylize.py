"""`brushwork stylize` as a user meets it: results, losses, a manifest, resuming, and mistakes."""

import csv
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brushwork.data.images import png_note
from brushwork.training.errors import TrainingError
from brushwork.training.style_transfer.transfer import Step, Stylizer

from ..conftest import Shell
from .conftest import save_noise

CPU = ("--device", "cpu")
QUICK = (*CPU, "--backbone", "random", "--precision", "fp32", "--evaluations", "3", "--coarsest", "0")
RESULT = "waves/cat.png"
Stylize = Callable[..., str]


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def read_manifest(out: Path) -> list[tuple[str, str]]:
    with (out / "pairs.csv").open() as file:
        return sorted((row["subject"], row["style"]) for row in csv.DictReader(file))


@pytest.fixture
def content(tmp_path: Path) -> Path:
    return save_noise(tmp_path / "in" / "cat.png", (40, 32))


@pytest.fixture
def style(tmp_path: Path) -> Path:
    return save_noise(tmp_path / "styles" / "waves.png", (36, 36))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def stylize(shell: Shell, content: Path, style: Path, out: Path) -> Stylize:
    return lambda *words: shell("stylize", content, style, *QUICK, "--out", out, *words)


def test_an_image_a_grid_and_a_manifest(shell: Shell, stylize: Stylize, content: Path, out: Path) -> None:
    printed = stylize()
    assert read(out / RESULT).shape == (32, 40, 3)
    assert not np.array_equal(read(out / RESULT), read(content))
    assert read(out / "grid.png").std() > 1
    assert f"brushwork measure {out / 'pairs.csv'}" in printed
    shell("measure", out / "pairs.csv", *CPU, "--no-control", "--out", out / "measured")
    assert (out / "measured" / "report.json").is_file()


def test_folders_are_multiplied_images_blended(shell: Shell, content: Path, style: Path, out: Path) -> None:
    save_noise(content.with_name("dog.jpg"), (24, 44))
    other = save_noise(style.with_name("dots.png"), (40, 32))
    shell("stylize", content.parent, style.parent, *QUICK, "--out", out)
    made = sorted(str(path.relative_to(out)) for path in out.glob("*/*[tg].png"))
    assert made == ["dots/cat.png", "dots/dog.png", "waves/cat.png", "waves/dog.png"]
    assert read_manifest(out) == [("cat", "dots"), ("cat", "waves"), ("dog", "dots"), ("dog", "waves")]
    blend = out.with_name("blend")
    shell("stylize", content, style, other, *QUICK, "--style-weights", 1, 0, "--out", blend)
    assert np.abs(read(blend / "waves+dots/cat.png").astype(int) - read(out / RESULT)).max() <= 1


def test_strips_are_as_wide_as_the_weights(shell: Shell, content: Path, style: Path, out: Path) -> None:
    paths = [style.with_name(f"{colour}.png") for colour in ("red", "blue")]
    for path in paths:
        Image.new("RGB", (40, 32), path.stem).save(path)
    shell("stylize", content, *paths, *QUICK, "--style-weights", 3, 1, "--out", out)
    strips = read(out / "fitted" / "styles" / "red+blue.png")
    assert (strips[:, :192] == (255, 0, 0)).all()
    assert (strips[:, 192:] == (0, 0, 255)).all()


def test_transparency_is_kept(shell: Shell, style: Path, out: Path, tmp_path: Path) -> None:
    cut = save_noise(tmp_path / "cut.png", (40, 32), "RGBA")
    shell("stylize", cut, style, *QUICK, "--size", 20, "--out", out)
    assert read(out / "waves" / "cut.png").shape == (16, 20, 4)
    shell("stylize", cut, style, *QUICK, "--out", out)
    assert np.array_equal(read(out / "waves" / "cut.png")[..., 3], read(cut)[..., 3])


def test_a_mask_confines_the_style(stylize: Stylize, content: Path, out: Path) -> None:
    mask = np.zeros((32, 40), dtype=np.uint8)
    mask[:, 20:] = 255
    Image.fromarray(mask).save(out.with_name("mask.png"))
    stylize("--masks", out.with_name("mask.png"))
    image = read(out / RESULT)
    assert np.array_equal(image[:, :20], read(content)[:, :20])
    assert not np.array_equal(image[:, 20:], read(content)[:, 20:])


def test_of_an_animation_the_first_frame_is_taken(shell: Shell, style: Path, out: Path) -> None:
    frames = [Image.new("RGB", (40, 32), colour) for colour in ("red", "blue")]
    moving = style.with_name("moves.gif")
    frames[0].save(moving, save_all=True, append_images=frames[1:])
    printed = shell("stylize", moving, style, *QUICK, "--out", out)
    assert f"'{moving}': of several frames, the first is taken" in printed
    assert "frames" not in shell("stylize", style, style, *QUICK, "--out", out)


def test_a_stopped_command_is_resumed(shell: Shell, content: Path, style: Path, out: Path) -> None:
    """At evaluation 5 of 6: the first of two images is finished, the second is not."""
    save_noise(content.with_name("dog.png"), (40, 32))
    command = ("stylize", content.parent, style, *QUICK, "--start", "noise")
    shell(*command, "--out", out.with_name("whole"))
    advance, calls, image = Stylizer.advance, list[int](), out / RESULT

    def interrupted(self: Stylizer) -> Step:
        calls.append(self.number)
        if len(calls) == 5:
            signal.raise_signal(signal.SIGINT)
        return advance(self)

    shell.monkeypatch.setattr(Stylizer, "advance", interrupted)
    with pytest.raises(SystemExit) as ended:
        shell(*command, "--out", out)
    assert ended.value.code == 130
    assert "--resume" in shell.capsys.readouterr().out
    assert list(image.parent.iterdir()) == [image]
    before = image.stat().st_mtime_ns
    shell(*command, "--out", out, "--resume")
    assert calls[5:] == [0, 1, 2]
    assert image.stat().st_mtime_ns == before, "a finished image is kept"
    for name in ("waves/cat.png", "waves/dog.png", "grid.png"):
        assert np.array_equal(read(out / name), read(out.with_name("whole") / name))
    shell(*command, "--style-weight", 2, "--out", out, "--resume")
    assert len(calls) == 14, "other settings begin both anew"


def test_a_damaged_image_is_made_anew(stylize: Stylize, out: Path) -> None:
    stylize()
    image = out / RESULT
    whole = image.read_bytes()
    for damaged in (b"", whole[:-20], b"\xff\xfe"):
        image.write_bytes(damaged)
        stylize("--resume")
        assert image.read_bytes() == whole


def test_broken_images_are_named_and_left_out(shell: Shell, content: Path, style: Path, out: Path) -> None:
    for folder in (content.parent, style.parent):
        (folder / "broken.png").write_bytes(content.read_bytes()[:200])
    save_noise(content.with_name("tiny.png"), (8, 8))
    message = shell.mistake("stylize", content.parent, style.parent, *QUICK, "--out", out)
    assert f"5 of 6 images were left out; the others are in {out}" in message
    assert message.count("broken.png' cannot be read as an image") == 2, "a content and a style"
    assert "8x8 pixels are too small for relu5_1 of vgg19" in message
    assert read_manifest(out) == [("cat", "waves")]
    assert read(out / "grid.png").std() > 1


def test_a_loss_of_nan_leaves_the_best_image(shell: Shell, content: Path, style: Path, out: Path) -> None:
    advance, image = Stylizer.advance, out / RESULT

    def failing(self: Stylizer) -> Step:
        if self.number == 2:
            raise TrainingError("the loss is nan: lower the weights or the learning rate.")
        return advance(self)

    shell.monkeypatch.setattr(Stylizer, "advance", failing)
    message = shell.mistake("stylize", content, style, *QUICK, "--out", out)
    assert "the loss is nan" in message
    assert str(image) in message
    assert read(image).shape == (32, 40, 3)
    shell.monkeypatch.undo()
    shell("stylize", content, style, *QUICK, "--out", out, "--resume")
    assert png_note(image), "an unfinished image is begun anew"


def test_mistakes_are_one_sentence(shell: Shell, content: Path, style: Path, out: Path) -> None:
    bad = out.with_name("bad.png")
    bad.write_text("no image")
    for images, words, sentence in (
        ((content,), (), "no style to follow"),
        ((out.with_name("no.png"), style), (), "no image, folder or data set"),
        ((content, style, style.parent), (), "is a folder among 2 styles"),
        ((content, style), ("--style-weights", 1, 2), "2 weights were given for 1 styles"),
        ((content, style), ("--preset", "slow"), "no preset 'slow'"),
        ((content, style), ("--style-layers", "relu9_1"), "no layer relu9_1"),
        ((content, style), ("--masks", style), "a mask is 36x36 and the content 40x32"),
        ((content, style), ("--weights", style), "takes no weights"),
        ((content, style), ("--device", "meta"), "--device is 'meta': it must be auto, cpu, cuda"),
        ((bad, style), (), "cannot be read as an image"),
    ):
        assert sentence in shell.mistake("stylize", *images, *QUICK, *words, "--out", out)
    assert not list(out.rglob("*.png"))


def test_missing_weights_name_the_ways_out(shell: Shell, content: Path, style: Path) -> None:
    def unreachable(*words: object) -> None:
        raise ConnectionError("no route")

    shell.monkeypatch.setattr("brushwork.models.pretrained.weights._fetch", unreachable)
    message = shell.mistake("stylize", content, style, *CPU)
    for way in ("no route", "put that file at", "take hed-vgg16"):
        assert way in message
    message = shell.mistake("stylize", content, style, *CPU, "--backbone", "hed-vgg16")
    assert "brushwork fetch hed-vgg16" in message
