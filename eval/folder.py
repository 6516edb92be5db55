"""Pictures that somebody generated already: `root/<style>/*` as the tensors that the suite measures."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from ..data.folder import scan_whole
from ..data.images import read_image
from ..data.names import name_of_file
from .errors import EvalError


@dataclass(frozen=True, kw_only=True)
class StyledImages:
    """Pictures of one size and the style folder of each."""

    images: UInt8[Tensor, "n 3 h w"]
    styles: Int64[Tensor, "n"]
    style_names: tuple[str, ...]


def read_styled_folder(root: Path) -> StyledImages:
    """Reads `root/<style>/**/*`, styles in alphabetical order.

    Raises EvalError for pictures outside a style folder and for sizes that differ: to bring them to one
    size is a choice of filter that would change the numbers. Raises DataError for what cannot be read.
    """
    scan = scan_whole(root)
    loose = [found.source for found in scan.found if found.style < 0]
    if loose:
        raise EvalError(f"'{root / loose[0]}' is in no style folder: move it to one, or away.")
    images = [torch.from_numpy(read_image(found.path)).permute(2, 0, 1) for found in scan.found]
    for found, image in zip(scan.found, images, strict=True):
        if image.shape != images[0].shape:
            raise EvalError(
                f"'{found.source}' is {_size(image)} pixels and '{scan.found[0].source}' {_size(images[0])}: "
                "bring all pictures to one size."
            )
    styles = torch.tensor([found.style for found in scan.found])
    # `brushwork sample` writes the names of styles as those of files.
    names = tuple(map(name_of_file, scan.style_names))
    return StyledImages(images=torch.stack(images), styles=styles, style_names=names)


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
