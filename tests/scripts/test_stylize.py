"""`brushwork stylize` as a user meets it: pictures, losses, a manifest, resuming, and mistakes."""

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from brushwork.data.images import image_grid
from brushwork.scripts import stylized_album
from brushwork.training.errors import TrainingError
from brushwork.training.style_transfer import transfer as module

if TYPE_CHECKING:
    from ..conftest import Shell
else:
    Shell = Any

QUICK = (
    "--backbone",
    "random",
    "--device",
    "cpu",
    "--evaluations",
    "3",
    "--coarsest",
    "0",
    "--precision",
    "fp32",
)


def draw(path: Path, size: tuple[int, int] = (40, 32), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path)
    return path


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def content(tmp_path: Path) -> Path:
    return draw(tmp_path / "in" / "cat.png")


@pytest.fixture
def style(tmp_path: Path) -> Path:
    return draw(tmp_path / "styles" / "waves.png", (36, 36))


def test_a_picture_its_losses_and_a_manifest_to_measure_by(
    shell: Shell, content: Path, style: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    said = shell("stylize", content, style, *QUICK, "--out", out, "--interval", 2)
    drawn = out / "waves" / "cat.png"
    assert opened(drawn).shape == (32, 40, 3)
    assert not np.array_equal(opened(drawn), opened(content))
    found = json.loads(drawn.with_suffix(".json").read_text())
    assert [row["evaluation"] for row in found["trace"]] == [1, 2, 3]
    assert found["config"]["backbone"] == "random"
    assert found["preset"] == "fast"
    assert (out / "waves" / "cat-losses.png").is_file()
    assert [path.name for path in (out / "waves" / "cat-steps").iterdir()] == ["000002.png"]
    assert opened(out / "grid.png").std() > 1
    assert not list(out.rglob("*.state.*"))
    assert f"brushwork measure {out / 'pairs.csv'}" in said
    shell("measure", out / "pairs.csv", "--device", "cpu", "--no-control", "--out", tmp_path / "measured")
    assert (tmp_path / "measured" / "report.json").is_file()


def test_contents_may_be_called_like_what_is_written_beside_them(
    shell: Shell, content: Path, style: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels: list[str] = []

    def watched(cells: Any, **options: Any) -> Image.Image:
        labels.extend(options["row_labels"])
        return image_grid(cells, **options)

    monkeypatch.setattr(stylized_album, "image_grid", watched)
    draw(content.with_name("cat-losses.png"), (24, 44))
    draw(content.with_name("style.png"), (24, 44))
    shell("stylize", content.parent, style, *QUICK, "--out", tmp_path / "out")
    made = sorted(path.name for path in (tmp_path / "out" / "waves").glob("*.png"))
    assert made == [
        "cat-losses-2-losses.png", "cat-losses-2.png", "cat-losses.png", "cat.png", "style-losses.png",
        "style.png",
    ]  # fmt: skip
    assert sorted(labels) == ["cat", "cat-losses", "style", "style"]


def test_folders_are_multiplied_and_pictures_blended(
    shell: Shell, content: Path, style: Path, tmp_path: Path
) -> None:
    draw(content.with_name("dog.jpg"), (24, 44))
    other = draw(style.with_name("dots.png"))
    shell("stylize", content.parent, style.parent, *QUICK, "--out", tmp_path / "all")
    made = sorted(str(path.relative_to(tmp_path / "all")) for path in (tmp_path / "all").glob("*/*[tg].png"))
    assert made == ["dots/cat.png", "dots/dog.png", "waves/cat.png", "waves/dog.png"]
    with (tmp_path / "all" / "pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["subject"], row["style"]) for row in rows} == {
        (subject, name) for subject in ("cat", "dog") for name in ("dots", "waves")
    }
    shell("stylize", content, style, other, *QUICK, "--style-weights", 1, 0, "--out", tmp_path / "both")
    blend, alone = (
        opened(tmp_path / "both" / "waves+dots" / "cat.png"),
        opened(tmp_path / "all" / "waves" / "cat.png"),
    )
    assert np.abs(blend.astype(int) - alone.astype(int)).max() <= 1


def test_a_blend_is_shown_and_measured_beside_strips_as_wide_as_the_weights(
    shell: Shell, content: Path, style: Path, tmp_path: Path
) -> None:
    for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        Image.new("RGB", (40, 32), colour).save(style.with_name(f"{name}.png"))
    two = (style.with_name("red.png"), style.with_name("blue.png"))
    shell("stylize", content, *two, *QUICK, "--style-weights", 3, 1, "--out", tmp_path / "out")
    strips = opened(tmp_path / "out" / "fitted" / "styles" / "red+blue.png")
    assert (strips[:, :192] == (255, 0, 0)).all()
    assert (strips[:, 192:] == (0, 0, 255)).all()


def test_what_was_transparent_stays_so(shell: Shell, style: Path, tmp_path: Path) -> None:
    cut = draw(tmp_path / "cut.png", mode="RGBA")
    shell("stylize", cut, style, *QUICK, "--size", 20, "--out", tmp_path / "out")
    assert opened(tmp_path / "out" / "waves" / "cut.png").shape == (16, 20, 4)
    shell("stylize", cut, style, *QUICK, "--out", tmp_path / "out")
    assert np.array_equal(opened(tmp_path / "out" / "waves" / "cut.png")[..., 3], opened(cut)[..., 3])


def test_a_mask_confines_the_style(shell: Shell, content: Path, style: Path, tmp_path: Path) -> None:
    mask = np.zeros((32, 40), dtype=np.uint8)
    mask[:, 20:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    shell("stylize", content, style, *QUICK, "--masks", tmp_path / "mask.png", "--out", tmp_path / "out")
    drawn, before = opened(tmp_path / "out" / "waves" / "cat.png"), opened(content)
    assert np.array_equal(drawn[:, :20], before[:, :20])
    assert not np.array_equal(drawn[:, 20:], before[:, 20:])


def test_a_stopped_command_goes_on_to_the_same_picture(
    shell: Shell, content: Path, style: Path, tmp_path: Path
) -> None:
    words = ("stylize", content, style, *QUICK, "--start", "noise")
    shell(*words, "--out", tmp_path / "whole")
    plain = module.Stylizer.advance

    def interrupted(self: module.Stylizer) -> module.Step:
        step = plain(self)
        if step.number == 2:
            import signal

            signal.raise_signal(signal.SIGINT)
        return step

    shell.monkeypatch.setattr(module.Stylizer, "advance", interrupted)
    with pytest.raises(SystemExit) as ended:
        shell(*words, "--out", tmp_path / "cut")
    assert ended.value.code == 130
    drawn = tmp_path / "cut" / "waves" / "cat.png"
    assert not drawn.exists()
    assert (drawn.parent / "cat.state.safetensors").is_file()
    shell.monkeypatch.setattr(module.Stylizer, "advance", plain)
    said = shell.mistake(*words, "--out", tmp_path / "cut", "--resume", "--style-weight", 2)
    assert "was left by other settings or pictures" in said
    state = drawn.parent / "cat.state.safetensors"
    whole = state.read_bytes()
    state.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    shell(*words, "--out", tmp_path / "cut", "--resume")
    assert np.array_equal(opened(drawn), opened(tmp_path / "whole" / "waves" / "cat.png"))
    drawn.unlink()
    state.write_bytes(whole)
    shell(*words, "--out", tmp_path / "cut", "--resume")
    assert np.array_equal(opened(drawn), opened(tmp_path / "whole" / "waves" / "cat.png"))
    trace = json.loads(drawn.with_suffix(".json").read_text())["trace"]
    assert [row["evaluation"] for row in trace] == [1, 2, 3]
    shell.monkeypatch.setattr(module.Stylizer, "advance", None)  # whoever draws again stumbles here
    shell(*words, "--out", tmp_path / "cut", "--resume")


def test_what_is_broken_is_named_and_the_others_are_drawn(
    shell: Shell, content: Path, style: Path, tmp_path: Path
) -> None:
    for folder in (content.parent, style.parent):
        (folder / "broken.png").write_bytes(content.read_bytes()[:200])
    draw(content.with_name("tiny.png"), (8, 8))
    out = tmp_path / "out"
    said = shell.mistake("stylize", content.parent, style.parent, *QUICK, "--out", out)
    assert f"5 of 6 pictures were left out; the others are in {out}" in said
    assert said.count("broken.png' cannot be read as a picture") == 2, "a content and a style"
    assert "8x8 pixels are too small" in said
    with (out / "pairs.csv").open() as file:
        assert [(row["subject"], row["style"]) for row in csv.DictReader(file)] == [("cat", "waves")]
    assert opened(out / "grid.png").std() > 1
    shell("measure", out / "pairs.csv", "--device", "cpu", "--no-control", "--out", tmp_path / "measured")


def test_the_precision_is_settled_once(shell: Shell, content: Path, style: Path, tmp_path: Path) -> None:
    """Measured anew it might come out otherwise, and give another picture."""
    words = ("stylize", content, style, *QUICK[:-2], "--out", tmp_path / "out")

    def answer(precision: str) -> None:
        shell.monkeypatch.setattr("brushwork.scripts.stylizing.choose_precision", lambda *_: precision)

    answer("bf16")
    shell(*words)
    drawn = tmp_path / "out" / "waves" / "cat.png"
    first = opened(drawn)
    assert json.loads(drawn.with_suffix(".json").read_text())["config"]["precision"] == "bf16"
    answer("fp32")
    for more in ((), ("--resume",)):
        shell(*words, *more)
        assert np.array_equal(opened(drawn), first)
    shell(*words, "--style-weight", 2)
    assert json.loads((tmp_path / "out" / "job.json").read_text())["precision"] == "fp32"


@pytest.mark.parametrize("name", ["job.json", "waves/cat.json", "waves/cat.png"])
@pytest.mark.parametrize("content_of_file", [b"", b"{", b'{"config": 3}', b"\xff\xfe"])
def test_a_damaged_file_of_ours_is_named_and_made_anew(
    shell: Shell, content: Path, style: Path, tmp_path: Path, name: str, content_of_file: bytes
) -> None:
    words = ("stylize", content, style, *QUICK[:-2], "--out", tmp_path / "out")
    shell(*words)
    damaged, drawn = tmp_path / "out" / name, tmp_path / "out" / "waves" / "cat.png"
    before, first = damaged.read_bytes(), opened(drawn)
    damaged.write_bytes(content_of_file)
    shell(*words, "--resume")
    assert np.array_equal(opened(drawn), first)
    if name != "waves/cat.json":  # which says how long it took
        assert damaged.read_bytes() == before


def test_an_animation_is_said_to_be_taken_for_its_first_frame(
    shell: Shell, content: Path, style: Path, tmp_path: Path
) -> None:
    frames = [Image.new("RGB", (40, 32), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moves.gif", save_all=True, append_images=frames[1:])
    said = shell("stylize", tmp_path / "moves.gif", style, *QUICK, "--out", tmp_path / "out")
    assert f"'{tmp_path / 'moves.gif'}': of several frames, the first is taken" in said
    assert "frames" not in shell("stylize", content, style, *QUICK, "--out", tmp_path / "out")


def test_a_loss_that_is_no_number_leaves_the_last_good_picture(
    shell: Shell, content: Path, style: Path, tmp_path: Path
) -> None:
    plain = module.Stylizer.advance

    def failing(self: module.Stylizer) -> module.Step:
        if self.number == 2:
            raise TrainingError("the loss is nan: lower the weights or the learning rate.")
        return plain(self)

    shell.monkeypatch.setattr(module.Stylizer, "advance", failing)
    said = shell.mistake("stylize", content, style, *QUICK, "--out", tmp_path / "out")
    drawn = tmp_path / "out" / "waves" / "cat.png"
    assert "the loss is nan" in said
    assert str(drawn) in said
    assert opened(drawn).shape == (32, 40, 3)
    assert "stopped" in json.loads(drawn.with_suffix(".json").read_text())


def test_mistakes_are_one_sentence(shell: Shell, content: Path, style: Path, tmp_path: Path) -> None:
    def mistake(*words: object) -> str:
        return shell.mistake("stylize", *words, "--out", tmp_path / "none")

    assert "no style to follow" in mistake(content, *QUICK)
    assert "no picture, folder or data set" in mistake(tmp_path / "no.png", style, *QUICK)
    assert "is a folder among 2 styles" in mistake(content, style, style.parent, *QUICK)
    assert "2 weights were given for 1 styles" in mistake(content, style, *QUICK, "--style-weights", 1, 2)
    assert "no preset 'slow'" in mistake(content, style, *QUICK, "--preset", "slow")
    assert "no layer relu9_1" in mistake(content, style, *QUICK, "--style-layers", "relu9_1")
    assert "a mask is 36x36 and the content 40x32" in mistake(content, style, *QUICK, "--masks", style)
    assert "strength is 2" in mistake(content, style, *QUICK, "--strength", 2)
    tiny = draw(tmp_path / "tiny.png", (8, 8))
    assert "8x8 pixels are too small for relu5_1 of vgg19" in mistake(tiny, style, *QUICK)
    assert "takes no weights" in mistake(content, style, *QUICK, "--weights", style)
    (tmp_path / "bad.png").write_text("no picture")
    assert "cannot be read as a picture" in mistake(tmp_path / "bad.png", style, *QUICK)
    assert not (tmp_path / "none").exists() or not list((tmp_path / "none").rglob("*.png"))


def test_missing_weights_name_the_ways_out(shell: Shell, content: Path, style: Path, tmp_path: Path) -> None:
    shell.monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def unreachable(*words: object) -> None:
        raise ConnectionError("no route")

    shell.monkeypatch.setattr("brushwork.models.pretrained.weights._fetch", unreachable)
    said = shell.mistake("stylize", content, style, "--device", "cpu")
    for way in (
        "no route",
        "put that file at",
        "--weights PATH",
        "--backbone hed-vgg16",
        "brushwork fetch hed-vgg16",
    ):
        assert way in said
    said = shell.mistake("stylize", content, style, "--device", "cpu", "--backbone", "hed-vgg16")
    assert "brushwork fetch hed-vgg16" in said


def test_efficientnet_draws_too(shell: Shell, content: Path, style: Path, tmp_path: Path) -> None:
    words = ("--backbone", "efficientnet-lite0", "--device", "cpu", "--evaluations", 2, "--coarsest", 0)
    shell("stylize", content, style, *words, "--out", tmp_path)
    assert opened(tmp_path / "waves" / "cat.png").shape == (32, 40, 3)
