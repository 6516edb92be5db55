"""A configuration from the command line: a preset's name or a JSON file, then options that override it."""

import ast
import inspect
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from brushwork.scripts.cli import nearest, parse
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
OPTION_WIDTH = 28


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
    groups = {sys.argv[0].split()[-1]: own, **MAIN_OPTIONS} if own else MAIN_OPTIONS
    lines = [f"usage: {sys.argv[0]} {name} [OPTIONS]\n", description.rstrip()]
    for title, names in groups.items():
        lines += [f"\n{title}:", *(options[name].line() for name in names)]
    preset = "PRESET" if config is None else name
    return "\n".join([*lines, f"\nDefaults in brackets. Every option: {sys.argv[0]} {preset} --help-all"])


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option of a configuration, as `--help` shows it."""

    name: str
    """Without the leading dashes."""
    text: str
    """The docstring of its field."""
    value: object
    """None: there is none to show."""

    def line(self) -> str:
        """Return the option, the first clause of its docstring, and its value."""
        clause = " ".join(re.split(r"(?<!\.)[.;:](?:\s|$)", self.text, maxsplit=1)[0].split())
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        shown = " ".join(str(value) for value in values if value is not None and value is not False)
        return textwrap.fill(
            f"{clause} [{shown}]" if shown else clause,
            shutil.get_terminal_size(fallback=(110, 24)).columns,
            initial_indent=f"  --{self.name:{OPTION_WIDTH}} ",
            subsequent_indent=" " * (OPTION_WIDTH + 5),
        )


def options_of(kind: type, config: object = None, prefix: str = "") -> Iterator[Option]:
    """The options of a dataclass and of the dataclasses inside it, named as on the command line."""
    hints, texts = get_type_hints(kind, include_extras=True), field_texts(kind)
    for field in fields(kind):  # pyright: ignore[reportArgumentType]
        hint = hints[field.name]
        inner = getattr(hint, "__origin__", hint)
        name, value = f"{prefix}{field.name.replace('_', '-')}", getattr(config, field.name, None)
        if is_dataclass(inner):
            flat = any(getattr(extra, "name", None) == "" for extra in getattr(hint, "__metadata__", ()))
            yield from options_of(inner, value, prefix if flat else f"{name}.")  # type: ignore[arg-type]
        else:
            yield Option(name=name, text=texts.get(field.name, ""), value=value)


def field_texts(kind: type) -> dict[str, str]:
    """The docstrings below the fields of a class, by field."""
    tree: Any = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    body = tree.body[0].body
    return {
        ast.unparse(field.target): ast.literal_eval(text.value)
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }
