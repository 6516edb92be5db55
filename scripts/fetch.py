"""The door `brushwork fetch`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from brushwork.data.emoji import EMOJI_STYLES, fetch_emoji


@dataclass(frozen=True, kw_only=True)
class FetchArguments:
    """Downloads and draws the emoji matrix: the same subjects in the hands of several studios.

    Example, a minute on a CPU:
        brushwork fetch emoji emoji-64 --styles twemoji,noto,openmoji --size 64
    """

    what: Annotated[Literal["emoji"], tyro.conf.Positional]
    """The collection to fetch."""
    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
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
