"""Configurations as JSON files: what `brushwork tune` writes, what `brushwork train FILE.json` reads.

Reading is strict. A field that a file leaves out has its default, so that older files stay readable; one that
does not exist, or has another type, is a mistake.
"""

import json
import math
import types
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from brushwork.data.errors import DataError
from brushwork.data.files import write_json
from brushwork.models.errors import ModelError

from .config import TrainConfig
from .errors import TrainingError
from .run_folder import Json, plain

Part = TypeVar("Part")

VERSION = 1
"""Of the files that are written; newer ones are refused."""

KEYS = ("version", "about", "config", "facts")
"""What stands at the top of a file; `facts` are those of a run's config.json, and are not read."""


# Files
def write_preset(path: Path, config: TrainConfig, *, about: str) -> None:
    """Writes a configuration, with a line on where it comes from; the file is replaced in one go."""
    content = {"version": VERSION, "about": about, "config": to_json(config)}
    write_json(path, content)


def read_preset(path: Path) -> TrainConfig:
    """The configuration in a file of `write_preset`, or in the config.json of a run; `resume` is off.

    Raises:
        TrainingError: no such file, not such a file, or one whose fields or values are not valid.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except FileNotFoundError as error:
        raise TrainingError(f"{path} does not exist; give the name of a preset, or a JSON file.") from error
    except OSError as error:
        raise TrainingError(f"{path} cannot be read ({error.strerror}); give another file.") from error
    except (ValueError, RecursionError) as error:  # no JSON, or no UTF-8
        raise TrainingError(f"{path} is damaged ({error}); write it anew, or take another.") from error
    if not isinstance(content, dict) or not isinstance(content.get("config"), dict):
        raise TrainingError(
            f"{path} holds no configuration; give a file of brushwork tune, or the config.json of a run."
        )
    version = content.get("version", VERSION)
    if type(version) is not int or version < 1:
        raise TrainingError(f"{path}: version is {version!r}; it must be {VERSION}.")
    if version > VERSION:
        raise TrainingError(
            f"{path} has version {version}, newer than {VERSION}, which this brushwork reads; update it."
        )
    try:
        _require_known(content, KEYS, "")
        return from_json(content["config"])
    except (TrainingError, ModelError, DataError) as error:
        raise TrainingError(f"{path}: {error}") from error


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


# Configurations
def to_json(config: TrainConfig) -> Json:
    """All fields, as JSON knows them."""
    return plain(asdict(config))


def from_json(tree: Json) -> TrainConfig:
    """The inverse of `to_json`, but for `resume`, which is off: to go on is said anew each time.

    Raises:
        TrainingError, ModelError, DataError: an unknown field, a wrong type or an invalid value, by its name.
    """
    return replace(_part(tree, TrainConfig, ""), resume=False)


def field_types(kind: type) -> dict[str, Any]:
    """Names and types of a configuration's fields."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def arms(kind: Any) -> tuple[Any, ...]:
    """The types that a field of type `kind` may have: those of a union, or itself."""
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _part(tree: Any, kind: type[Part], name: str) -> Part:
    if not isinstance(tree, dict):
        raise _mistake(name, tree, kind)
    types_of, prefix = field_types(kind), f"{name}." if name else ""
    _require_known(tree, tuple(types_of), prefix)
    values = {key: _value(value, types_of[key], f"{prefix}{key}") for key, value in tree.items()}
    return kind(**values)


def _require_known(tree: Mapping[str, Any], known: tuple[str, ...], prefix: str) -> None:
    for key in tree:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            remedy = f"did you mean {prefix}{near[0]}" if near else f"there are {', '.join(known)}"
            raise TrainingError(f"{prefix}{key} is no field; {remedy}.")


def _value(value: Any, kind: Any, name: str) -> Any:
    """`value` from JSON as the type `kind` wants it."""
    if is_dataclass(kind):
        return _part(value, kind, name)  # pyright: ignore[reportArgumentType]
    if isinstance(value, list) and get_origin(kind) is tuple:
        return tuple(_value(item, get_args(kind)[0], f"{name}[{i}]") for i, item in enumerate(value))
    for arm in arms(kind):
        if get_origin(arm) is Literal:
            if any(type(value) is type(choice) and value == choice for choice in get_args(arm)):
                return value
        elif arm is Path and isinstance(value, str):
            return Path(value)
        elif arm is float and isinstance(value, int | float) and _is_finite(value):
            return float(value)
        elif type(value) is arm:
            return value
    raise _mistake(name, value, kind)


def _is_finite(value: int | float) -> bool:
    try:
        return not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


# Sentences
def _mistake(name: str, value: Any, kind: Any) -> TrainingError:
    words = " or ".join(_words(arm) for arm in arms(kind))
    return TrainingError(f"{name} is {json.dumps(value)[:60]}; it must be {words}.")


def _words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(json.dumps(choice) for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return f"a list, each {_words(get_args(kind)[0])}"
    if is_dataclass(kind):
        return "an object of its fields"
    names = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text",
             Path: "a path", types.NoneType: "null"}  # fmt: skip
    return names[kind]
