"""The collections that the experiment trains on: how each is fetched, and where it lies packed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from brushwork.data.curate.pack import PackConfig, pack
from brushwork.data.sources.emoji import fetch_emoji
from brushwork.data.sources.icons import fetch_icons
from brushwork.data.sources.modes import write_modes
from brushwork.data.sources.photographs import fetch_photographs

SIDE = 32
"""Pixels of the packed pictures."""
EMOJI = ("twemoji", "noto", "openmoji", "fluent-emoji", "fluent-emoji-high-contrast", "emojione")


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Pictures in several styles."""

    about: str
    fetch: Callable[[Path], object]
    """Writes FOLDER/<style>/* for `pack`; goes on with what was interrupted."""


COLLECTIONS: Mapping[str, Collection] = {
    "emoji": Collection(about="six styles of emoji", fetch=partial(fetch_emoji, styles=EMOJI)),
    "solar": Collection(about="icons of one set in six styles", fetch=partial(fetch_icons, "solar")),
    "photographs": Collection(about="photographs, paintings and prints", fetch=fetch_photographs),
    "modes": Collection(about="64 known modes in four styles", fetch=partial(write_modes, size=SIDE)),
    "mingcute": Collection(
        about="icons of another set; no default was tuned on them", fetch=partial(fetch_icons, "mingcute")
    ),
}
"""By the names that the command line takes."""


def packed(name: str, data: Path) -> Path:
    """The data set of a collection below `data`; fetched and packed where it is missing."""
    dataset = data / f"{name}-{SIDE}"
    if not (dataset / "dataset.json").exists():
        COLLECTIONS[name].fetch(data / name)
        pack(data / name, dataset, PackConfig(resolution=SIDE))
    return dataset
