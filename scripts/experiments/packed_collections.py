"""The collections on which experiments train, fetched and packed where they are missing."""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from brushwork.data.curate.pack import PackConfig, pack
from brushwork.data.files import staged_folder
from brushwork.data.folder import ImageFile, scan_folder
from brushwork.data.sources.emoji import fetch_emoji
from brushwork.data.sources.icons import fetch_icons
from brushwork.data.sources.modes import write_modes
from brushwork.data.sources.photographs import fetch_photographs
from brushwork.scripts.bench.toy import write_toy

SIDE = 32
"""Resolution of the packed images."""
EMOJI = ("twemoji", "noto", "openmoji", "fluent-emoji", "fluent-emoji-high-contrast", "emojione")

COLLECTIONS: Mapping[str, Callable[[Path], object]] = {
    "emoji": partial(fetch_emoji, styles=EMOJI),
    "solar": partial(fetch_icons, "solar"),
    "photographs": fetch_photographs,
    "modes": partial(write_modes, size=SIDE),
    "mingcute": partial(fetch_icons, "mingcute"),
    "toy": partial(write_toy, styles=2, subjects=40, size=SIDE),
}
"""Functions that write FOLDER/<style>/*, by the name on the command line."""


def packed(name: str, data: Path, images: int = 0) -> Path:
    """The data set of a collection below `data`, with at most so many images of each style, or all if 0;
    fetched and packed if it is missing."""
    whole, part = data / name, data / (f"{name}-{images}-images" if images else name)
    dataset = part.with_name(f"{part.name}-{SIDE}")
    if not (dataset / "dataset.json").exists():
        if not whole.is_dir():
            COLLECTIONS[name](whole)
        if images and not part.is_dir():
            copy_some(whole, part, images)
        pack(part, dataset, PackConfig(resolution=SIDE))
    return dataset


def copy_some(whole: Path, part: Path, images: int) -> None:
    """Copies so many images of each style, those whose subjects have the least hashes."""

    def chosen(file: ImageFile) -> bytes:
        # Not the hash of the subject alone, whose least values are the test split.
        return hashlib.sha256(f"some {file.subject}".encode()).digest()

    scan = scan_folder(whole)
    with staged_folder(part) as stage:
        for style in range(len(scan.style_names)):
            own = sorted((file for file in scan.files if file.style == style), key=chosen)
            for file in own[:images]:
                (stage / file.source).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.path, stage / file.source)
