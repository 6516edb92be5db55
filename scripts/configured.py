"""A configuration from the command line: a preset's name or a JSON file, then options that override it."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import tyro

Config = TypeVar("Config")


def configured(
    presets: Mapping[str, tuple[str, Config]], from_file: Callable[[Path], Config], description: str
) -> Config:
    """What the command line says. `from_file` reads a file whose name ends in .json."""
    words = sys.argv[1:]
    if not words or not words[0].endswith(".json"):
        return tyro.extras.overridable_config_cli(presets, description=description)
    config = from_file(Path(words[0]))
    return tyro.cli(
        type(config), default=config, args=words[1:], prog=f"{sys.argv[0]} {words[0]}",
        description=description, config=(tyro.conf.AvoidSubcommands,),
    )  # fmt: skip
