"""What decides about a run: the data set, the machine, and the runs that it could start from."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from brushwork.data.curate.report import problems_of
from brushwork.data.loader import ImageDataset, StoredDataset
from brushwork.data.shape import Base, base_of
from brushwork.models.errors import ModelError
from brushwork.models.snapshot import snapshot_header

from ..run.progress import balance

UNBALANCED = 4.0
"""Ratio of the largest style to the smallest above which a data set is not balanced."""
HAND_KIMG = 30.0
"""Length of a run that is worth starting from."""
SQUARE_RGB = {"channels": 3, "base_height": 4, "base_width": 4}
"""The shape of runs from before there was any other."""


@dataclass(frozen=True, kw_only=True)
class Collection:
    """What decides about a data set."""

    path: Path
    counts: Mapping[str, int]
    """Training images by style."""
    images: int
    """Training images, also those without a style."""
    shape: tuple[int, int, int]
    """Channels, height and width."""
    near_duplicates: int = 0
    leaks: int = 0
    """Images of the test split that nearly repeat one of the training split."""

    @classmethod
    def of(cls, path: Path, dataset: ImageDataset | StoredDataset) -> "Collection":
        """Describes the training split of the data set in `path`."""
        counts = {name: int((dataset.styles == i).sum()) for i, name in enumerate(dataset.style_names)}
        problems = problems_of(path)
        return cls(
            path=path, counts=counts, images=len(dataset), shape=dataset.shape,
            near_duplicates=problems.get("near-duplicate", 0), leaks=problems.get("leak", 0),
        )  # fmt: skip

    @property
    def resolution(self) -> int:
        """The shorter side of the images."""
        return min(self.shape[1:])

    @property
    def base(self) -> Base:
        """Sides of the images for a resolution of 4."""
        return base_of(*self.shape[1:])

    @property
    def is_balanced(self) -> bool:
        """Whether no style is much larger than another."""
        sizes = self.counts.values()
        return len(sizes) < 2 or max(sizes) <= UNBALANCED * max(1, min(sizes))

    def describe(self) -> str:
        """Returns a line with images, styles and size."""
        _, height, width = self.shape
        alpha = " with transparency" if self.shape[0] == 4 else ""
        return f"{balance(self.images, [*self.counts.values()])}, {width} x {height} px{alpha}"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What decides about a machine."""

    gpu: bool
    name: str
    processes: int = 1

    @classmethod
    def of(cls, device: torch.device) -> "Machine":
        """Describes the machine of this process."""
        processes = int(os.environ.get("WORLD_SIZE", "1"))
        if device.type != "cuda":
            return cls(gpu=False, name=f"{device.type}, {os.cpu_count()} cores", processes=processes)
        about = torch.cuda.get_device_properties(device)
        name = f"{about.name}, {about.total_memory / 2**30:.0f} GiB"
        return cls(gpu=True, name=f"{processes} x {name}" if processes > 1 else name, processes=processes)


def run_at_hand(folder: Path, collection: Collection) -> Path | None:
    """The run below `folder` that has trained longest, of those of this shape with a discriminator."""
    found = {}
    for path in folder.glob("*/snapshots/latest.safetensors"):
        try:
            header = snapshot_header(path)
        except ModelError:
            continue
        generator, nimg = header.get("generator", {}), header.get("notes", {}).get("nimg", 0)
        shape = [generator.get(key, default) for key, default in SQUARE_RGB.items()]
        fits = shape == [collection.shape[0], *collection.base]
        if "discriminator" in header and fits and nimg >= 1000 * HAND_KIMG:
            found[path.parent.parent] = nimg
    return max(found, key=lambda run: found[run], default=None)
