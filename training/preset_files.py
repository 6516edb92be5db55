"""Configurations as JSON files: what `brushwork tune` writes, what `brushwork train FILE.json` reads.

A field that a file leaves out has its default; one that does not exist, or has another type, is a mistake.
"""

from dataclasses import field, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from brushwork.data.errors import DataError
from brushwork.data.files import write_json
from brushwork.models.errors import ModelError
from brushwork.models.options import options, sentence_of

from .config import TrainConfig
from .errors import TrainingError
from .renames import Json, updated
from .run.run_folder import to_json

VERSION = 1


@options
class PresetFile:
    """The content of a preset file, or of a run's config.json."""

    version: Literal[1] = VERSION
    about: str = ""
    """Origin of the file."""
    config: TrainConfig
    setup: Json = field(default_factory=dict)
    """Facts of a run, in its config.json. They are not read."""


def write_preset(path: Path, config: TrainConfig, *, about: str) -> None:
    """Writes a configuration, with a line on where it comes from; the file is replaced in one go."""
    write_json(path, {"version": VERSION, "about": about, "config": to_json(config)})


def read_preset(path: Path) -> TrainConfig:
    """Reads a configuration from a file of `write_preset`, or from the config.json of a run.

    `resume` is off: each command says anew whether it resumes.

    Raises:
        TrainingError: no such file, not such a file, or one whose fields or values are not valid.
    """
    try:
        config = TypeAdapter(PresetFile).validate_json(updated(path.read_bytes())).config
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
    if first["type"] == "json_invalid":
        return f"is damaged ({first['msg']}); write it anew, or take another."
    if first["loc"] in ((), ("config",)):
        return "holds no configuration; give a file of brushwork tune, or the config.json of a run."
    return f"is wrong: {sentence_of(error)}"
