"""A configuration from the command line: a preset's name or a JSON file, then options that override it."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from brushwork.scripts.arguments import options_of, parse
from brushwork.scripts.cli import nearest
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError

Config = TypeVar("Config")
Presets = Mapping[str, tuple[str, Config]]
"""A line of help and the configuration, by name."""

MAIN_OPTIONS = {
    "run": (
        "data", "out", "resume", "start-from", "total-kimg", "max-minutes", "stop-on-collapse", "seed",
        "interval.metrics-kimg", "trackers.use",
    ),
    "machine": ("device", "precision", "batch", "accumulate"),
    "networks": ("generator.resolution", "generator.channel-base", "generator.encoders"),
    "training": ("optimizer.generator-lr", "optimizer.discriminator-lr", "loss.r1-gamma"),
}  # fmt: skip
"""The options of TrainConfig that `--help` shows, by group; `--help-all` shows every one."""


def configured(presets: Presets[Config], from_file: Callable[[Path], Config], description: str) -> Config:
    """Return the configuration that the command line describes: PRESET or FILE.json, then options.

    With `--help`, print the presets or the main options instead, and exit.

    Args:
        presets: the configurations that have a name.
        from_file: reads a configuration from a file whose name ends in .json.
        description: what the command does, for `--help`.

    Raises:
        TrainingError: the first word is neither a preset nor such a file; or what `from_file` raises.
    """
    name, words = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    known, some = ", ".join(presets), next(iter(presets.values()))[1]
    if name in ("-h", "--help"):
        width = max(map(len, presets))
        lines = "".join(f"  {preset:{width}}  {text}\n" for preset, (text, _) in presets.items())
        print(short_help("PRESET|FILE.json", f"{description}\nPresets:\n{lines}", type(some)))
        sys.exit(0)
    if not name or name.startswith("-"):
        raise TrainingError(f"The first word names a preset or a FILE.json: {known}.")
    if name.endswith(".json"):
        config = from_file(Path(name))
    elif name in presets:
        config = presets[name][1]
    else:
        raise TrainingError(f"There is no preset {name!r}: {nearest(name, presets)}")
    if "-h" in words or "--help" in words:
        print(short_help(name, description, type(config), config))
        sys.exit(0)
    return parse(
        type(config), default=config, words=["--help" if word == "--help-all" else word for word in words],
        prog=f"{sys.argv[0]} {name}", description=description,
    )  # fmt: skip


def short_help(name: str, description: str, kind: type, config: object = None) -> str:
    """Return the help of a command: its own options and MAIN_OPTIONS, with their values in `config`."""
    options = {option.name: option for option in options_of(kind, config)}
    every = {option.name for option in options_of(TrainConfig)}
    own = tuple(name for name in options if name not in every)
    lines = [f"usage: {sys.argv[0]} {name} [OPTIONS]\n", description.rstrip()]
    for title, names in {sys.argv[0].split()[-1]: own, **MAIN_OPTIONS}.items():
        shown = [options[each] if config else replace(options[each], default=None) for each in names]
        if shown:
            lines += [f"\n{title}:", *(option.line(short=True) for option in shown)]
    every_option = f"{sys.argv[0]} {name if config else 'PRESET'} --help-all"
    brackets = "Defaults in brackets. Every option" if config else "Every option, and the defaults"
    return "\n".join([*lines, f"\n{brackets}: {every_option}"])
