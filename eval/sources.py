"""Images to measure: from a sampler, in memory, or from a folder."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Int64, UInt8
from torch import Tensor

from brushwork.data.errors import DataError
from brushwork.data.folder import scan_folder
from brushwork.data.images import decode, format_of, on_white, open_image
from brushwork.data.names import name_of_file, visible
from brushwork.data.progress import Progress

from .errors import EvalError
from .features.extract import content_hash

Sampler = Callable[[Tensor, Tensor], Tensor]
"""sampler(styles (N, S) float32 weights, seeds (N,) int64): images (N, C, H, W) uint8. The same seed gives
the same image."""


def opaque(images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n 3 h w"]:
    """Returns images on white, where they are transparent."""
    if images.shape[1] == 3:
        return images
    return torch.from_numpy(on_white(images.permute(0, 2, 3, 1).numpy())).permute(0, 3, 1, 2).contiguous()


def consecutive_seeds(seed: int, count: int) -> Int64[Tensor, "{count}"]:
    """Returns seed, seed + 1, ... Raises EvalError if the last one exceeds 64 bits."""
    if seed + count > 2**63:
        raise EvalError(
            f"Seed {seed} is too large for {count} consecutive seeds: take {2**63 - count} or less."
        )
    return seed + torch.arange(count)


@dataclass(frozen=True, kw_only=True)
class Samples:
    """`per_style` samples of each of `count` styles, or `per_style` samples without a style if `count` is 0.

    Sample i of every style has seed `seed + i`, so that styles differ by style alone.

    Raises EvalError for seeds that exceed 64 bits.
    """

    sampler: Sampler
    count: int
    per_style: int = 200
    seed: int = 0
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the sampler that change the numbers (truncation), for the protocol."""
    identity: str | None = None
    """Everything besides style and seed that decides the images (weights, truncation). Features are cached
    only with an identity."""

    def __post_init__(self) -> None:
        consecutive_seeds(self.seed, self.per_style)

    @property
    def styles(self) -> Int64[Tensor, "n"]:
        if self.count == 0:
            return torch.full((self.per_style,), -1)
        return torch.arange(self.count).repeat_interleave(self.per_style)

    def take(self, indices: Int64[Tensor, "k"]) -> Tensor:
        weights = F.one_hot(indices // self.per_style, max(1, self.count))[:, : self.count].float()
        return opaque(self.sampler(weights, self.seed + indices % self.per_style))

    def key(self, start: int, stop: int) -> str | None:
        if self.identity is None:
            return None
        parts = [self.identity, self.count, self.per_style, self.seed, start, stop]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {"source": "sampler", "seed": self.seed, **self.conditions}


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Images in memory and the style that each claims (-1: none)."""

    images: UInt8[Tensor, "n 3 h w"]
    styles: Int64[Tensor, "n"]

    def take(self, indices: Int64[Tensor, "k"]) -> UInt8[Tensor, "k 3 h w"]:
        return self.images[indices]

    def key(self, start: int, stop: int) -> str:
        return content_hash(self.images[start:stop])

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {"source": "images", "seed": None}


# Folders
LOSSY = ("JPEG", "MPO", "AVIF")
"""Formats that compress with loss."""


@dataclass(frozen=True, kw_only=True)
class StyledFolder(Stored):
    """Images of a folder. Their styles are its subfolders, or -1 if there are no subfolders."""

    style_names: tuple[str, ...]
    formats: Mapping[str, int] = field(default_factory=dict)
    """Number of files by format, of JPEG with the quality."""
    broken: tuple[str, ...] = ()
    """A sentence for each image that cannot be read."""

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {**super().protocol, "formats": list(self.formats)}

    @property
    def compressed(self) -> str:
        """A sentence on images that were compressed with loss, which distances see; empty if none was."""
        lossy = {name: count for name, count in self.formats.items() if name.startswith(LOSSY)}
        if not lossy:
            return ""
        kinds = ", ".join(lossy)
        return (
            f"{sum(lossy.values())} of {len(self.styles)} images are {kinds}: distances and style accuracy "
            "see the compression. Save them as PNG, or compare them with images saved alike only."
        )


def read_styled_folder(root: Path) -> StyledFolder:
    """Reads `root/<style>/**/*` with styles in alphabetical order, or a folder of images without styles.

    Raises EvalError for images beside style folders and for images of different sizes: the choice of a
    resize filter would change the numbers. Raises DataError if no image can be read.
    """
    scan = scan_folder(root)
    loose = [entry.source for entry in scan.files if entry.style < 0]
    if loose and scan.style_names:
        raise EvalError(f"'{root / loose[0]}' is in no style folder: move it to one, or away.")
    broken = [
        f"'{root / source}' cannot be opened ({fault}): mend or remove it." for source, fault in scan.faults
    ]
    images: dict[str, Tensor] = {}
    styles: list[int] = []
    formats: dict[str, int] = {}
    for entry in Progress(scan.files, desc="read", unit="img", delay=2, leave=False):
        try:
            with open_image(entry.path) as image:
                kind = format_of(image)
                images[entry.source] = torch.from_numpy(decode(image, entry.path)).permute(2, 0, 1)
            styles.append(entry.style)
            formats[kind] = formats.get(kind, 0) + 1
        except DataError as error:
            broken.append(str(error))
    if not images:
        raise DataError(broken[0])
    _require_one_size(images)
    # `brushwork sample` writes the names of styles as file names.
    return StyledFolder(
        images=torch.stack(list(images.values())), styles=torch.tensor(styles),
        style_names=tuple(map(name_of_file, scan.style_names)), broken=tuple(broken),
        formats=dict(sorted(formats.items())),
    )  # fmt: skip


def _require_one_size(images: Mapping[str, Tensor]) -> None:
    first, *others = images
    for name in others:
        if images[name].shape != images[first].shape:
            sizes = ["x".join(map(str, images[key].shape[:0:-1])) for key in (name, first)]
            raise EvalError(
                f"'{visible(name)}' is {sizes[0]} pixels and '{visible(first)}' {sizes[1]}: bring all "
                "images to one size."
            )


def holds_images(path: Path) -> bool:
    """Whether `path` is a folder of images rather than a run with its snapshots."""
    run = (path / "config.json").exists() or (path / "snapshots").is_dir() or any(path.glob("*.safetensors"))
    return path.is_dir() and not run


def report_folder(source: Path) -> Path:
    """Returns the default folder of the report on `source`: beside a folder of images, or inside a run.

    The run of a snapshot is two folders up. A Hub repository has no folder here and gets a new one.
    """
    if holds_images(source):
        return source.with_name(f"{source.name}-measure")
    if source.is_file():
        source = source.parent.parent if source.parent.name == "snapshots" else source.parent
    return (source if source.is_dir() else Path(source.name)) / "measure"
