import io
import json
import tarfile
from pathlib import Path

import pytest

from brushwork.data.errors import DataError
from brushwork.data.images import read_image
from brushwork.data.sources import iconify
from brushwork.data.sources.icons import fetch_icons, split_name
from brushwork.data.split import split_of

SUFFIXES = {
    "": "Regular Icons",
    "outline": "Outline",
    "rounded": "Rounded",
    "outline-rounded": "Outline Rounded",
}
COLOURS = {"": "#ff0000", "outline": "#00ff00", "rounded": "#0000ff", "outline-rounded": "#00ffff"}
STYLES = ("regular-icons", "outline", "rounded", "outline-rounded")


def package(directory: Path, name: str, suffixes: dict[str, str]) -> Path:
    """What `npm pack` would have brought: cat in all styles, dog in all but one, and an alias of the cat."""
    icons = {}
    for suffix, colour in COLOURS.items():
        for subject in ("cat", "dog") if suffix != "outline-rounded" else ("cat",):
            body = f'<rect x="4" y="4" width="8" height="8" fill="{colour}"/>'
            icons[f"{subject}-{suffix}".rstrip("-")] = {"body": body}
    aliases = {f"puss-{suffix}".rstrip("-"): {"parent": f"cat-{suffix}".rstrip("-")} for suffix in COLOURS}
    files = {
        "icons": {"icons": icons, "aliases": aliases, "width": 16, "height": 16},
        "info": {"name": "Test", "author": {"name": "Studio"}, "license": {"spdx": "MIT"}},
        "metadata": {"suffixes": suffixes} if suffixes else {},
        "package": {"version": "1.2.3"},
    }
    path = directory / f"{name}.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for part, content in files.items():
            encoded = json.dumps(content).encode()
            member = tarfile.TarInfo(f"package/{part}.json")
            member.size = len(encoded)
            archive.addfile(member, io.BytesIO(encoded))
    return path


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces npm by the set `test` and the set `plain`, which has no styles; lists the downloads."""
    asked: list[str] = []

    def fake(name: str, directory: Path) -> Path:
        asked.append(name)
        return package(directory, name, {} if name == "plain" else SUFFIXES)

    monkeypatch.setattr(iconify, "npm_pack", fake)
    return asked


def test_the_longest_suffix_wins() -> None:
    assert split_name("home-outline-rounded", SUFFIXES) == ("home", "outline-rounded")
    assert split_name("home-rounded", SUFFIXES) == ("home", "rounded")
    assert split_name("rounded-corner", SUFFIXES) == ("rounded-corner", "")
    assert split_name("background", {"round": "", "ground": ""}) is None, "a suffix stands behind a dash"
    assert split_name("home", {"bold": "Bold", "line": "Line"}) is None


def test_shared_subjects_are_drawn_in_every_style(tmp_path: Path, downloads: list[str]) -> None:
    fetched = fetch_icons("test", tmp_path, size=16, workers=1)
    assert (fetched.styles, fetched.subjects, fetched.pictures, fetched.drawn) == (STYLES, 1, 4, 4)
    for style, colour in zip(STYLES, COLOURS.values(), strict=True):
        assert [path.name for path in (tmp_path / style).iterdir()] == ["cat.png"], "no alias, no dog"
        assert f"#{bytes(read_image(tmp_path / style / 'cat.png')[8, 8]).hex()}" == colour
    assert json.loads((tmp_path / "subjects.json").read_text()) == {
        "cat": {"name": "cat", "split": split_of("cat")}
    }
    papers = (tmp_path / "ATTRIBUTION.md").read_text()
    assert all(word in papers for word in ("| outline-rounded |", "Studio", "MIT", "1.2.3"))
    assert read_image(tmp_path / "contact_sheet.png").size
    assert fetch_icons("test", tmp_path, size=16, workers=1).drawn == 0
    assert downloads == ["test"], "the tarball is kept"


def test_styles_can_be_chosen_and_all_subjects_kept(tmp_path: Path, downloads: list[str]) -> None:
    chosen = ["rounded", "regular-icons"]
    assert fetch_icons("test", tmp_path / "two", styles=chosen, size=16, workers=1).subjects == 2
    fetched = fetch_icons("test", tmp_path / "all", shared_only=False, size=16, workers=1)
    assert (fetched.subjects, fetched.pictures) == (2, 7)
    assert not (tmp_path / "all" / "outline-rounded" / "dog.png").exists()
    with pytest.raises(DataError, match="was fetched with set test, not other"):
        fetch_icons("other", tmp_path / "all", shared_only=False, size=16)


def test_mistakes_are_named(tmp_path: Path, downloads: list[str]) -> None:
    with pytest.raises(DataError, match="'plain' come in one style: name a set"):
        fetch_icons("plain", tmp_path)
    with pytest.raises(DataError, match="test style 'outlines' is unknown: did you mean 'outline'"):
        fetch_icons("test", tmp_path, styles=["outlines"])
    for name in ("../etc", "", "Solar", "-g"):
        with pytest.raises(DataError, match="no name of an icon set"):
            fetch_icons(name, tmp_path)


def test_styles_without_a_shared_subject_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suffixes = {"outline-rounded": "A", "rounded-sharp": "B"}
    monkeypatch.setattr(iconify, "npm_pack", lambda name, directory: package(directory, name, suffixes))
    with pytest.raises(DataError, match=r"outline-rounded, rounded-sharp: .* --all-subjects"):
        fetch_icons("test", tmp_path, workers=1)


def test_an_unknown_set_is_told_from_a_missing_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "npm"
    script.write_text("#!/bin/sh\necho 'npm error code E404' >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(iconify.shutil, "which", lambda _: str(script))
    with pytest.raises(DataError, match=r"There is no icon set 'nowhere'.*e.g. solar"):
        fetch_icons("nowhere", tmp_path / "out")
