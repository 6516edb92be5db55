"""Configurations as JSON files: what `brushwork tune` writes, what `brushwork train FILE.json` reads.

A field that a file leaves out has its default; one that does not exist, or has another type, is a mistake.
"""

from dataclasses import asdict, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Interval
from pydantic import TypeAdapter, ValidationError

from brushwork.data.errors import DataError
from brushwork.data.files import write_json
from brushwork.models.errors import ModelError
from brushwork.models.options import options, sentence_of

from .config import TrainConfig
from .errors import TrainingError
from .renames import renamed
from .run.run_folder import Json, plain

VERSION = 1
"""The version of the files that are written; newer ones are refused."""


@options
class PresetFile:
    """The content of a preset file, or of a run's config.json."""

    version: Annotated[int, Interval(ge=1, le=VERSION)] = VERSION
    about: str = ""
    """Origin of the file."""
    config: TrainConfig
    setup: Json = field(default_factory=dict)
    facts: Json = field(default_factory=dict)
    """Facts of a run, in its config.json. They are not read."""


READER = TypeAdapter(PresetFile)


def write_preset(path: Path, config: TrainConfig, *, about: str) -> None:
    """Writes a configuration, with a line on where it comes from; the file is replaced in one go."""
    write_json(path, {"version": VERSION, "about": about, "config": to_json(config)})


def to_json(config: TrainConfig) -> Json:
    """All fields, as JSON knows them."""
    return plain(asdict(config))


def read_preset(path: Path) -> TrainConfig:
    """Reads a configuration from a file of `write_preset`, or from the config.json of a run.

    `resume` is off: each command says anew whether it resumes.

    Raises:
        TrainingError: no such file, not such a file, or one whose fields or values are not valid.
    """
    try:
        config = READER.validate_json(path.read_bytes()).config
    except FileNotFoundError as error:
        raise TrainingError(f"{path} does not exist; give the name of a preset, or a JSON file.") from error
    except OSError as error:
        raise TrainingError(f"{path} cannot be read ({error.strerror}); give another file.") from error
    except ValidationError as error:
        raise TrainingError(f"{path} {_sentence(error)}") from error
    except (TrainingError, ModelError, DataError) as error:
        raise TrainingError(f"{path}: {error}") from error
    return replace(config, resume=False)


def _sentence(error: ValidationError) -> str:
    """Describes the first mistake in a file."""
    first = error.errors(include_url=False)[0]
    kind, place = first["type"], first["loc"]
    if kind == "json_invalid":
        return f"is damaged ({first['msg']}); write it anew, or take another."
    if place in ((), ("config",)):
        return "holds no configuration; give a file of brushwork tune, or the config.json of a run."
    if (kind, place) == ("less_than_equal", ("version",)):
        return f"has version {first['input']}, newer than {VERSION}, which this brushwork reads; update it."
    return f"is wrong: {_unknown(place) if kind == 'unexpected_keyword_argument' else sentence_of(error)}"


def _unknown(place: tuple[int | str, ...]) -> str:
    if sentence := renamed(".".join(str(part) for part in place if part != "config")):
        return sentence
    kind: Any = PresetFile
    for part in place[:-1]:
        kind = {each.name: each.type for each in fields(kind)}[str(part)]
    prefix, known = "".join(f"{part}." for part in place[:-1]), [each.name for each in fields(kind)]
    near = get_close_matches(str(place[-1]), known, n=1)
    remedy = f"did you mean {prefix}{near[0]}?" if near else f"there are {', '.join(known)}."
    return f"{prefix}{place[-1]} is no field; {remedy}"
