"""Pictures that somebody generated already: `root/<style>/*` as the tensors that the suite measures."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from brushwork.data.errors import DataError
from brushwork.data.folder import READ_ALREADY, Scan, scan_folder
from brushwork.data.images import read_image
from brushwork.data.names import name_of_file, visible
from brushwork.data.progress import Progress

from .errors import EvalError


@dataclass(frozen=True, kw_only=True)
class StyledImages:
    """Pictures of one size and the style folder of each, -1 where there are none."""

    images: UInt8[Tensor, "n 3 h w"]
    styles: Int64[Tensor, "n"]
    style_names: tuple[str, ...]
    broken: tuple[str, ...] = ()
    """A sentence for each picture that cannot be read."""


def read_styled_folder(root: Path) -> StyledImages:
    """Reads `root/<style>/**/*`, styles in alphabetical order, or a folder of pictures without styles.

    Raises EvalError for pictures beside style folders and for sizes that differ: to bring them to one size
    is a choice of filter that would change the numbers. Raises DataError where nothing can be read.
    """
    scan = scan_folder(root)
    loose = [found.source for found in scan.files if found.style < 0]
    if loose and scan.style_names:
        raise EvalError(f"'{root / loose[0]}' is in no style folder: move it to one, or away.")
    images, styles, broken = _pictures(scan)
    if not images:
        raise DataError(broken[0])
    # `brushwork sample` writes the names of styles as those of files.
    names = tuple(map(name_of_file, scan.style_names))
    return StyledImages(
        images=torch.stack(images), styles=torch.tensor(styles), style_names=names, broken=tuple(broken)
    )


def _pictures(scan: Scan) -> tuple[list[Tensor], list[int], list[str]]:
    """Pixels and styles of those that can be read, and why the others cannot. Raises EvalError for sizes that
    differ."""
    images: list[Tensor] = []
    styles: list[int] = []
    broken, first = unopened(scan), ""
    for found in Progress(scan.files, desc="read", unit="img", delay=2, leave=False):
        try:
            image = torch.from_numpy(read_image(found.path)).permute(2, 0, 1)
        except DataError as error:
            broken.append(str(error))
            continue
        first = first or found.source
        if images and image.shape != images[0].shape:
            raise EvalError(
                f"'{visible(found.source)}' is {_size(image)} pixels and '{visible(first)}' "
                f"{_size(images[0])}: bring all pictures to one size."
            )
        images.append(image)
        styles.append(found.style)
    return images, styles, broken


def unopened(scan: Scan) -> list[str]:
    """A sentence for each entry of a folder that cannot be opened."""
    return [
        f"'{scan.root / source}' cannot be opened ({fault}): mend or remove it."
        for source, fault in scan.faults
        if fault != READ_ALREADY
    ]


def holds_pictures(path: Path) -> bool:
    """Whether `path` is a folder to read pictures from, rather than a run with its snapshots."""
    run = (path / "config.json").exists() or (path / "snapshots").is_dir() or any(path.glob("*.safetensors"))
    return path.is_dir() and not run


def report_folder(source: Path) -> Path:
    """Where a report on `source` goes unless told: beside a folder of pictures, inside a run.

    A snapshot's run is two folders up; a Hub repository, which is nothing on this disk, gets a folder here.
    """
    if holds_pictures(source):
        return source.with_name(f"{source.name}-measure")
    if source.is_file():
        source = source.parent.parent if source.parent.name == "snapshots" else source.parent
    return (source if source.is_dir() else Path(source.name)) / "measure"


def _size(image: Tensor) -> str:
    return "x".join(map(str, image.shape[:0:-1]))
