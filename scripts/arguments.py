"""Command lines: tyro parses values; help pages and messages are made here, from the fields' docstrings.

Commands that train take a preset's name or a JSON file, then options that override it (`configured`).
"""

import ast
import contextlib
import inspect
import io
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro

from brushwork.scripts.cli import fail, nearest, option_sentence
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.renames import FROM_DATA, renamed

Arguments = TypeVar("Arguments")
Config = TypeVar("Config")
Presets = Mapping[str, tuple[str, Config | Callable[[Sequence[str]], Config]]]
"""By name, a line of help and a configuration, or a function that chooses one by the options."""

METAVARS = {bool: "", int: "INT", float: "FLOAT", str: "TEXT", Path: "PATH"}
NAME_WIDTH = 30
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


# Fields
@dataclass(frozen=True, kw_only=True)
class Option:
    """A field of a class of arguments, as the command line and its help show it."""

    name: str
    """An option without the leading dashes, or the metavar of a positional argument."""
    hint: Any
    text: str
    """The docstring of the field."""
    default: object
    """MISSING: it must be given."""
    group: str
    """The title of its group; empty for the options of the class itself."""
    positional: bool

    @property
    def typed(self) -> list[str]:
        """What a user types for it: one word, or two for a flag."""
        if self.positional:
            several = " ..." if get_origin(self.hint) is tuple else ""
            return [f"{self.name}{several}" if self.default is MISSING else f"[{self.name}{several}]"]
        head, dot, last = self.name.rpartition(".")
        return [f"--{self.name}", f"--{head}{dot}no-{last}"] if self.hint is bool else [f"--{self.name}"]

    def line(self, *, short: bool = False) -> str:
        """Return the option, its docstring (`short`: the first clause of it) and its default."""
        text = re.split(r"(?<!\.)[.;:](?:\s|$)", self.text, maxsplit=1)[0] if short else self.text
        values = self.default if isinstance(self.default, tuple) else (self.default,)
        hidden = isinstance(self.default, bool) or self.default in (None, "", MISSING)
        shown = "" if hidden else " ".join(map(str, values))
        name = " ".join(self.typed) if self.default is True and not short else self.typed[0]
        if not short and not self.positional:
            name = f"{name} {metavar(self.hint)}".rstrip()
        indent = "\n" + " " * (NAME_WIDTH + 3)
        head = f"  {name}{indent}" if len(name) > NAME_WIDTH else f"  {name:{NAME_WIDTH}} "
        return (head + indent.join(wrapped(f"{text} [{shown}]" if shown else text, NAME_WIDTH + 3))).rstrip()


def wrapped(text: str, indent: int = 0) -> list[str]:
    """Return the text in lines of the terminal's width, but for `indent` characters."""
    columns = min(110, shutil.get_terminal_size(fallback=(110, 24)).columns)
    return textwrap.wrap(text, max(40, columns - indent), break_on_hyphens=False, break_long_words=False)


def metavar(hint: Any) -> str:
    """Return what stands for a value of a type in the help."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return metavar(inner[0])
    if origin is Literal:
        return f"{{{','.join(map(str, inner))}}}"
    if origin is tuple:
        return f"{metavar(inner[0])} ..."
    if origin in (Union, UnionType):
        return "|".join(metavar(kind) for kind in inner if kind is not NoneType)
    return METAVARS.get(hint, "VALUE")


def options_of(kind: Any, default: object = None, prefix: str = "", group: str = "") -> Iterator[Option]:
    """Yield the options of a dataclass and of the dataclasses inside it, named as on the command line."""
    hints, texts = get_type_hints(kind, include_extras=True), field_texts(kind)
    for field in fields(kind):
        annotated = hints[field.name]
        hint, *marks = get_args(annotated) if get_origin(annotated) is Annotated else (annotated,)
        name, text = f"{prefix}{field.name.replace('_', '-')}", texts.get(field.name, "")
        own = field.default if field.default_factory is MISSING else field.default_factory()
        value = getattr(default, field.name, own)
        value = MISSING if value is tyro.MISSING else value
        names = [mark.name for mark in marks if getattr(mark, "name", None) is not None]
        if is_dataclass(hint):
            flat = tyro.conf.OmitArgPrefixes in marks or "" in names
            title = group if flat else f"{name}: {text or inspect.getdoc(hint)}"
            yield from options_of(hint, value, prefix if flat else f"{name}.", title)
        elif tyro.conf.Suppress not in marks and name.replace("-", "_") not in FROM_DATA:
            positional = tyro.conf.Positional in marks
            metavars = [mark.metavar for mark in marks if getattr(mark, "metavar", None)]
            yield Option(
                name=(metavars or [name.upper()])[0] if positional else name, hint=hint, text=text,
                default=value, group=group, positional=positional,
            )  # fmt: skip


def field_texts(kind: type) -> dict[str, str]:
    """The docstrings below the fields of a class and of its bases, by field, each in one line."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        tree: Any = ast.parse(textwrap.dedent(inspect.getsource(base)))
        for field, text in pairwise(tree.body[0].body):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                texts[ast.unparse(field.target)] = " ".join(ast.literal_eval(text.value).split())
    return texts


# Help
def help_page(kind: type, *, prog: str, description: str | None = None, default: object = None) -> str:
    """Return the help of all options of a class, in groups."""
    groups: dict[str, list[Option]] = {"Arguments": [], "Options": []}
    for option in options_of(kind, default):
        title = "Arguments" if option.positional else option.group or "Options"
        groups.setdefault(title, []).append(option)
    usage = " ".join([prog, *(option.typed[0] for option in groups["Arguments"]), "[OPTIONS]"])
    lines = [f"usage: {usage}\n", (description or inspect.getdoc(kind) or "").rstrip()]
    for title, options in groups.items():
        if options:
            lines += ["", *wrapped(f"{title.rstrip('.')}:"), *(option.line() for option in options)]
    return "\n".join(lines)


# Parsing
def parse(
    kind: type[Arguments], *, default: Arguments | None = None, words: Sequence[str] | None = None,
    prog: str | None = None, description: str | None = None, full_help: str = "--help",
) -> Arguments:  # fmt: skip
    """Parse `words` (by default the command line of this process) into `kind`, on top of `default`.

    `full_help` is the option that lists every option. Help ends the process with exit code 0, an error with a
    sentence and exit code 2.
    """
    words, prog = list(sys.argv[1:] if words is None else words), prog or sys.argv[0]
    if "-h" in words or "--help" in words:
        print(help_page(kind, prog=prog, description=description, default=default))
        sys.exit(0)
    options, see = list(options_of(kind, default)), f"see `{prog} {full_help}`."
    require_known(options, words, prog, see)
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            return tyro.cli(
                kind, default=tyro.MISSING_NONPROP if default is None else default, args=words, prog=prog
            )
    except SystemExit as ended:
        fail(option_sentence(ended) or error_sentence(messages.getvalue(), options, see))


def require_known(options: Sequence[Option], words: Sequence[str], prog: str, see: str) -> None:
    """Fail for an option that there is not, with its new name, or a similar one and where to `see` all."""
    known = [typed for option in options if not option.positional for typed in option.typed]
    for word in words:
        name = word.partition("=")[0].replace("_", "-")
        if name.startswith("--") and name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? S{see[1:]}" if near else see
            fail(renamed(name, prog.partition(" ")[2]) or f"There is no option {name}: {hint}")


def error_sentence(message: str, options: Sequence[Option], see: str) -> str:
    """Return the first part of a message of tyro, without its box, or the arguments that are missing; and
    where to `see` all options."""
    parts = re.split(r"^.*(?:───|---).*$", message.replace("│", " "), flags=re.MULTILINE)
    text = textwrap.dedent(parts[1]).strip()
    if not text.startswith("Missing from"):
        return f"{' '.join(text.split()).rstrip('.')}: {see}"
    labels = re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)
    named = [label.split()[0] for label in labels if label.startswith("--")]
    places = [option for option in options if option.positional and option.default is MISSING]
    count = len(labels) - len(named)  # tyro calls them PATH, and does not miss several values
    count += count > 0 and any(get_origin(option.hint) is tuple for option in places)
    *missing, last = [*(option.name for option in places[len(places) - count :]), *named]
    words = f"{', '.join(missing)} and {last} are" if missing else f"{last} is"
    return f"{words} missing: {see}"


# Configurations
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
    kind = next(type(config) for _, config in presets.values() if not callable(config))
    if name in ("-h", "--help"):
        width = max(map(len, presets))
        lines = "".join(f"  {preset:{width}}  {text}\n" for preset, (text, _) in presets.items())
        print(short_help("PRESET|FILE.json", f"{description}\nPresets:\n{lines}", kind))
        sys.exit(0)
    if not name or name.startswith("-"):
        raise TrainingError(f"The first word names a preset or a FILE.json: {', '.join(presets)}.")
    if name.endswith(".json"):
        config = from_file(Path(name))
    elif name in presets:
        config = presets[name][1]
    else:
        raise TrainingError(f"There is no preset {name!r}: {nearest(name, presets)}")
    prog = f"{sys.argv[0]} {name}"
    if {"-h", "--help"} & {*words}:
        print(short_help(name, description, kind, None if callable(config) else config))
        sys.exit(0)
    if "--help-all" in words:
        print(
            help_page(kind, prog=prog, description=description, default=None if callable(config) else config)
        )
        sys.exit(0)
    config = config(words) if callable(config) else config
    return parse(kind, default=config, words=words, prog=prog, full_help="--help-all")


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
