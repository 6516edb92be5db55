"""A configuration from the command line: a preset's name or a JSON file, then options that override it."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from brushwork.scripts.cli import nearest, parse
from brushwork.training.errors import TrainingError

Config = TypeVar("Config")
Presets = Mapping[str, tuple[str, Config]]
"""A line of help and the configuration, by name."""


def configured(presets: Presets[Config], from_file: Callable[[Path], Config], description: str) -> Config:
    """What the command line says. `from_file` reads a file whose name ends in .json.

    Raises:
        TrainingError: the first word is neither a preset nor such a file, or what `from_file` raises.
    """
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in ("-h", "--help"):
        print(usage(presets, description))
        sys.exit(0)
    if not name or name.startswith("-"):
        raise TrainingError(f"The first word names a preset or a FILE.json: {', '.join(presets)}.")
    if name.endswith(".json"):
        config = from_file(Path(name))
    elif name in presets:
        config = presets[name][1]
    else:
        raise TrainingError(f"There is no preset {name!r}: {nearest(name, presets)}")
    return parse(
        type(config), default=config, words=sys.argv[2:], prog=f"{sys.argv[0]} {name}",
        description=description,
    )  # fmt: skip


def usage(presets: Presets[Config], description: str) -> str:
    """What `--help` says in place of a preset."""
    lines = "".join(f"  {name:{max(map(len, presets))}}  {text}\n" for name, (text, _) in presets.items())
    command = sys.argv[0]
    return (
        f"usage: {command} PRESET|FILE.json [OPTIONS]\n\n{description}\n"
        f"Presets:\n{lines}\nEvery option: {command} PRESET --help"
    )
