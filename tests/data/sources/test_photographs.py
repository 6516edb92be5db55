import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brushwork.data.errors import DataError
from brushwork.data.folder import scan_folder
from brushwork.data.images import read_image
from brushwork.data.sources import photographs
from brushwork.data.sources.archives import Package
from brushwork.data.sources.photographs import crop_boxes, fetch_photographs, solve_puzzle, style_of
from brushwork.data.split import split_of

DETAILS = "details/resource/image/"
PUZZLES = "paintings/resource/"


def webp(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "WEBP", lossless=True)
    return stream.getvalue()


def picture(seed: int, height: int = 60, width: int = 90) -> np.ndarray:
    """Smooth colours, so that a gap of a pixel is filled by its neighbours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def puzzle(name: str, whole: np.ndarray, *, cut: int = 40, gap: int = 0) -> dict[str, bytes]:
    """A board of 100 x 80 with `whole` in two pieces: the right one moved by `gap`, the left with a knob."""
    height, width = whole.shape[:2]
    left = np.zeros((height, width), dtype=bool)
    left[:, :cut] = True
    left[20:30, cut : cut + 8] = True
    files, entries = {}, []
    for number, (mask, start, stop) in enumerate([(left, 0, cut + 8), (~left, cut, width)]):
        cells = np.dstack([whole, np.where(mask, 255, 0).astype(np.uint8)])[:, start:stop]
        files[f"{PUZZLES}image/{name}_a{number}.webp"] = webp(cells)
        x, y = (4 + number * gap + (start + stop) / 2) / 100, (10 + height / 2) / 80
        entries.append(f'{{"pixmapfile" : "image/{name}_a{number}.webp", "x" : "{x:.3f}", "y" : "{y:.3f}"}}')
    frame = '{"pixmapfile" : "image/bg.svg", "width": 100, "height": 80},'
    files[f"{PUZZLES}board/{name}.qml"] = f"[{frame}{','.join(entries)}]".encode()
    return files


def activities() -> dict[str, bytes]:
    names = {
        "erase/resource/goat": "animals",
        "explore_farm_animals/resource/animals/goat": "animals",
        "explore_monuments/resource/usa/fort": "monuments",
        DETAILS + "NDP_background": "monuments",
        DETAILS + "Gogh4_background": "paintings",
        "categorization/resource/images/fishes/fish1": "underwater",
    }
    files = {f"{name}.webp": webp(picture(seed)) for seed, name in enumerate(names)}
    files |= {DETAILS + "Gogh4_0.webp": webp(picture(9)), DETAILS + "README": b"Gogh4: Public domain"}
    files |= {
        "explore_monuments/resource/README": b"fort: CC0",
        "clickgame/resource/README": b"no picture of it",
    }
    for name in ("GreatWave", "MonaLisa", "Michelangelo_Pieta"):
        files |= puzzle(name, picture(len(name)))
    return files


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch, write_rcc: Callable[..., bytes]) -> list[str]:
    """Replaces the Debian package by a small one, and lists the downloads."""
    calls: list[str] = []
    by_activity: dict[str, dict[str, bytes]] = {}
    for path, content in activities().items():
        activity, rest = path.split("/", 1)
        by_activity.setdefault(activity, {})[rest] = content
    files = {"usr/share/doc/gcompris-qt-data/copyright": b"mixed"}
    for activity, inside in by_activity.items():
        tree = {f"gcompris/src/activities/{activity}/{path}": content for path, content in inside.items()}
        files[f"usr/share/gcompris-qt/rcc/{activity}.rcc"] = write_rcc(tree, pack="zlib")

    def fake(name: str, cache: Path, *, wanted: re.Pattern[str]) -> Package:
        assert all(wanted.fullmatch(path) for path in files)
        calls.append(name)
        return Package(version="3.1", files=files)

    monkeypatch.setattr(photographs, "load_package", fake)
    return calls


def test_styles_sources_and_documents(tmp_path: Path, downloads: list[str]) -> None:
    fetched = fetch_photographs(tmp_path, size=16, per_style=6)
    assert (fetched.subjects, fetched.pictures, fetched.written) == (8, 30, 30)
    scan = scan_folder(tmp_path)
    sources = {
        style: {found.subject.split("@")[0] for found in scan.files if scan.style_names[found.style] == style}
        for style in scan.style_names
    }
    assert sources == {
        "animals": {"erase-goat", "explore_farm_animals-goat"},
        "monuments": {"details-NDP", "explore_monuments-fort"},
        "paintings": {"details-Gogh4", "puzzle-MonaLisa"},
        "underwater": {"categorization-fish1"},
        "woodblock": {"puzzle-GreatWave"},
    }
    for names in sources.values():
        for name in names:
            assert len({split_of(f.subject, 0.5) for f in scan.files if f.subject.startswith(name)}) == 1
    assert read_image(tmp_path / "animals" / "erase-goat@2.png").shape == (16, 16, 3)
    attribution = (tmp_path / "ATTRIBUTION.md").read_text()
    assert "3.1" in attribution
    assert "Gogh4: Public domain" in attribution
    assert "fort: CC0" in attribution
    assert "no picture" not in attribution
    assert (tmp_path / photographs.COPYRIGHT).read_text() == "mixed"
    assert len(json.loads((tmp_path / "subjects.json").read_text())) == 8
    assert read_image(tmp_path / "contact_sheet.png").size


def test_an_interrupted_call_goes_on_and_a_folder_holds_one_choice(
    tmp_path: Path, downloads: list[str]
) -> None:
    fetch_photographs(tmp_path / "whole", size=16, per_style=6)
    part = tmp_path / "part"
    fetch_photographs(part, size=16, per_style=6)
    state = json.loads((part / ".cache" / "state.json").read_text())
    del state["finished"]
    (part / ".cache" / "state.json").write_text(json.dumps(state))
    (part / "woodblock" / "puzzle-GreatWave@3.png").unlink()
    assert fetch_photographs(part, size=16, per_style=6).written == 1
    assert fetch_photographs(part, size=16, per_style=6).written == 0
    assert len(downloads) == 3, "the last call needs no download"
    for path in sorted((tmp_path / "whole").rglob("*.png")):
        assert path.read_bytes() == (part / path.relative_to(tmp_path / "whole")).read_bytes()
    with pytest.raises(DataError, match="size 16, not 32"):
        fetch_photographs(part, size=32, per_style=6)
    with pytest.raises(DataError, match="Size 4"):
        fetch_photographs(tmp_path / "small", size=4)


def test_a_package_without_the_pictures_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photographs, "load_package", lambda *_, **__: Package(version="9", files={}))
    with pytest.raises(DataError, match="holds no animals"):
        fetch_photographs(tmp_path)


def test_patterns_leave_out_pieces_and_details() -> None:
    assert style_of(DETAILS + "VincentVanGoghBridge_background.webp") == "paintings"
    assert style_of(DETAILS + "TajMahal_background.webp") == "monuments"
    for other in (
        DETAILS + "TajMahal_0.webp",
        DETAILS + "Gogh4_1.webp",
        "lang/resource/cat.webp",
        "erase/x.webp",
    ):
        assert style_of(other) is None


def test_a_puzzle_is_put_together_without_gaps() -> None:
    whole = picture(5)
    solved = solve_puzzle(puzzle("x", whole), PUZZLES + "board/x.qml")
    # A fiftieth of the shorter side is cut off on every side.
    np.testing.assert_array_equal(solved, whole[1:-1, 1:-1])
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
