"""Images from a sampler, in memory and from folders, and the folders of reports."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from brushwork.data.errors import DataError
from brushwork.data.names import file_name
from brushwork.eval.errors import EvalError
from brushwork.eval.sources import Stored, consecutive_seeds, holds_images, read_styled_folder, report_folder

from .conftest import World

STYLES = ("dark", "light")
LABELS = torch.arange(2).repeat_interleave(4)
NOISE = torch.randint(0, 60, (8, 3, 8, 8), generator=torch.Generator().manual_seed(0))
IMAGES = (NOISE + 130 * LABELS[:, None, None, None]).byte()


def test_every_style_gets_the_same_seeds(world: World) -> None:
    calls: list[tuple[int, int]] = []

    def spy(styles: Tensor, seeds: Tensor) -> Tensor:
        assert styles.shape == (len(seeds), 3)
        assert styles.dtype == torch.float32
        assert seeds.dtype == torch.int64
        calls.extend(zip(styles.argmax(1).tolist(), seeds.tolist(), strict=True))
        return torch.zeros(len(seeds), 3, 4, 4, dtype=torch.uint8)

    source = world.samples(5, 100, sampler=spy)
    for indices in torch.arange(15).split(4):
        source.take(indices)
    assert calls == [(style, seed) for style in range(3) for seed in range(100, 105)]
    assert source.styles.tolist() == [style for style, _ in calls]


def test_seeds_stay_within_64_bits(world: World) -> None:
    last = 2**63 - 1
    assert consecutive_seeds(last - 4, 5).tolist() == list(range(last - 4, last + 1))
    with pytest.raises(EvalError, match=f"Seed {last} is too large for 5 .*: take {last - 4} "):
        world.samples(5, seed=last)


def test_keys_cover_all_that_decides_the_images(world: World) -> None:
    def key(identity: str | None = "weights", per_style: int = 5, seed: int = 0, stop: int = 4) -> str | None:
        return world.samples(per_style, seed, identity=identity).key(0, stop)

    assert len({key(), key("others"), key(per_style=6), key(seed=1), key(stop=5)}) == 5
    assert key() == key()
    assert key(None) is None
    stored = world.pictures(0, 3)
    relabelled = Stored(images=stored.images, styles=stored.styles.flip(0))
    assert stored.key(0, 4) == relabelled.key(0, 4) != stored.key(1, 5)


def save(root: Path, style: str, name: str, image: Tensor) -> None:
    (root / style).mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(root / style / name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, (image, style) in enumerate(zip(IMAGES, LABELS, strict=True)):
        save(tmp_path / "made", STYLES[int(style)], f"{i}.png", image)
    return tmp_path / "made"


def test_reads_pixels_and_styles(folder: Path, tmp_path: Path) -> None:
    found = read_styled_folder(folder)
    assert found.style_names == STYLES
    assert torch.equal(found.images, IMAGES)
    assert torch.equal(found.styles, LABELS)
    flat = read_styled_folder(folder / "light")
    assert flat.style_names == ()
    assert flat.styles.tolist() == [-1] * 4
    names = ("a/b", "what?", "50% off")
    for name in names:
        save(tmp_path / "named", file_name(name), "0.png", IMAGES[0])
    assert set(read_styled_folder(tmp_path / "named").style_names) == set(names)


def test_broken_images_are_named_and_the_others_read(folder: Path) -> None:
    whole = (folder / "light" / "4.png").read_bytes()
    (folder / "light" / "gone.png").symlink_to("nowhere.png")
    (folder / "dark" / "0.png").write_bytes(whole[:50])
    found = read_styled_folder(folder)
    assert torch.equal(found.images, IMAGES[1:])
    assert torch.equal(found.styles, LABELS[1:])
    gone, cut = found.broken
    assert "gone.png' cannot be opened" in gone
    assert "0.png' cannot be read" in cut
    for path in folder.rglob("[1-9].png"):
        path.write_bytes(whole[:50])
    with pytest.raises(DataError, match=r"gone\.png' cannot be opened"):
        read_styled_folder(folder)


def test_refuses_different_sizes_and_images_without_a_style(folder: Path) -> None:
    save(folder, "light", "large.png", torch.zeros(3, 8, 16, dtype=torch.uint8))
    with pytest.raises(EvalError, match=r"large\.png' is 16x8 pixels and .* 8x8"):
        read_styled_folder(folder)
    (folder / "light" / "large.png").unlink()
    save(folder, "_unlabelled", "loose.png", torch.zeros(3, 8, 8, dtype=torch.uint8))
    with pytest.raises(EvalError, match=r"loose\.png' is in no style folder"):
        read_styled_folder(folder)


def test_runs_snapshots_and_folders(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "snapshots").mkdir(parents=True)
    snapshot = run / "snapshots" / "generator.safetensors"
    snapshot.touch()
    paths = (folder, run, snapshot, tmp_path / "absent")
    assert [holds_images(path) for path in paths] == [True, False, False, False]
    assert report_folder(folder) == tmp_path / "made-measure"
    assert report_folder(run) == report_folder(snapshot) == run / "measure"
    assert report_folder(Path("somebody/model")) == Path("model/measure")
