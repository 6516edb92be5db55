"""The command `brushwork pack`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from brushwork.data.curate.duplicates import Duplicates
from brushwork.data.curate.pack import PackConfig, pack
from brushwork.data.curate.report import balance_table
from brushwork.data.images import WHITE, Fit
from brushwork.data.split import TEST_FRACTION


@dataclass(frozen=True, kw_only=True)
class PackArguments:
    """Packs a folder of pictures, one folder per style, into a curated Parquet data set with a report.

    Example, ten seconds on a CPU:
        brushwork pack emoji-64 emoji-32 --resolution 32
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """Pictures as FOLDER/<style>/**/*, whatever Pillow reads; a flat folder or _unlabelled/ has no label.
    Crops of one picture are named x@1.png, x@2.png, ..., so that training and test never share it."""
    dataset: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATASET")]
    """The data set to write; one that is already there is replaced when the new one is whole."""
    resolution: int
    """Side of the packed pictures in pixels: a power of two, at least 8."""
    fit: Fit = "crop"
    """What happens to pictures that are not square."""
    background: tuple[int, int, int] = WHITE
    """The colour behind transparent pictures and in the bars of `pad`: R G B, 0 to 255."""
    test_fraction: float = TEST_FRACTION
    """Share of the subjects that training never sees, fixed by the hash of the subject's name."""
    min_size: int | None = None
    """Leave out pictures with a shorter side; by default a quarter of the resolution."""
    duplicates: Duplicates = "drop"
    """What happens to exact repeats within a style."""
    strict: bool = False
    """Fail, after writing the report, where anything is wrong with any picture."""


def pack_command(args: PackArguments) -> None:
    """Packs, then prints the balance, the problems by kind, notes, and where the results lie."""
    config = PackConfig(
        resolution=args.resolution,
        fit=args.fit,
        background=args.background,
        test_fraction=args.test_fraction,
        min_size=args.min_size,
        duplicates=args.duplicates,
        strict=args.strict,
    )
    packed = pack(args.folder, args.dataset, config)
    print(balance_table(packed.report.balance))
    print(packed.report.summary())
    print(f"Data set: {packed.path}{'' if packed.fresh else ' (unchanged)'}")
    print(f"Report: {packed.path / 'report.md'}, contact sheet: {packed.path / 'contact_sheet.png'}")


def main() -> None:
    """Parses the command line and packs."""
    from brushwork.scripts.cli import parse_and_run

    parse_and_run(PackArguments, pack_command)


if __name__ == "__main__":
    main()
