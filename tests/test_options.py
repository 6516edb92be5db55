"""Every number that a user can set has a declared range, and one sentence refuses what is outside it.

The options are found by walking the packages, so that no new one is missed.
"""

import dataclasses
import importlib
import math
import operator
import pkgutil
from collections.abc import Iterator
from dataclasses import MISSING
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import pytest
from annotated_types import Interval
from pydantic import ValidationError
from pydantic.dataclasses import is_pydantic_dataclass

from brushwork.data.errors import DataError
from brushwork.eval.errors import EvalError
from brushwork.models.errors import ModelError
from brushwork.models.options import sentence_of
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.run.run_folder import RunSetup

if TYPE_CHECKING:
    from .conftest import Shell
else:
    Shell = Any

Number = int | float
OURS = (DataError, EvalError, ModelError, TrainingError)
ANYWHERE: tuple[Number, ...] = (math.nan, math.inf, -1, 0, 0.0, 1, 1e308, -(2**64), 2**64)


class Option(NamedTuple):
    """A field that holds a number, or a tuple of them; its bounds as {"ge": 0, "lt": 1}."""

    name: str
    kind: type
    bounds: dict[str, Any]
    several: bool

    def values(self) -> list[Number]:
        """The bounds, the nearest numbers on either side of each, and others."""
        if self.kind is int:
            return [*ANYWHERE, *(limit + step for limit in self.bounds.values() for step in (-1, 0, 1))]
        limits = [float(limit) for limit in self.bounds.values()]
        sides = [math.nextafter(limit, side) for limit in limits for side in (-math.inf, math.inf)]
        return [*ANYWHERE, *limits, *sides]

    def allows(self, value: Number) -> bool:
        if not math.isfinite(value) or (self.kind is int and not isinstance(value, int)):
            return False
        return all(getattr(operator, name)(value, limit) for name, limit in self.bounds.items())


def dataclasses_of_all_packages() -> list[type]:
    folders = ("models", "data", "eval", "training", "scripts")
    packages = [importlib.import_module(f"brushwork.{folder}") for folder in folders]
    inside = [each.name for p in packages for each in pkgutil.walk_packages(p.__path__, f"{p.__name__}.")]
    values = [value for name in inside for value in vars(importlib.import_module(name)).values()]
    return list(dict.fromkeys(v for v in values if isinstance(v, type) and dataclasses.is_dataclass(v)))


def options_of(name: str, hint: Any, several: bool = False) -> Iterator[Option]:
    """The numbers inside a hint."""
    inner, *metadata = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if inner in (int, float):
        intervals = [dataclasses.asdict(each) for each in metadata if isinstance(each, Interval)]
        bounds = {key: limit for each in intervals for key, limit in each.items() if limit is not None}
        yield Option(name, inner, bounds, several)
    for each in get_args(inner):
        yield from options_of(name, each, several or get_origin(inner) is tuple)


def required(owner: type) -> dict[str, Any]:
    """Something for each field without a default."""
    hints = get_type_hints(owner)
    examples: dict[Any, Any] = {Path: Path("x"), str: "x", tuple[Path, ...]: ()}
    return {
        field.name: examples[hint] if (hint := hints[field.name]) in examples else hint()
        for field in dataclasses.fields(owner)
        if field.default is MISSING and field.default_factory is MISSING
    }


CLASSES = dataclasses_of_all_packages()
CHECKED = {
    kind: [each for item in get_type_hints(kind, include_extras=True).items() for each in options_of(*item)]
    for kind in CLASSES
    if is_pydantic_dataclass(kind) and kind is not RunSetup  # which no user sets
}


def test_the_arguments_of_commands_and_all_configurations_are_checked() -> None:
    kinds = [kind for kind in CLASSES if kind.__name__.endswith(("Arguments", "Config"))]
    unchecked = {kind.__name__ for kind in kinds if not is_pydantic_dataclass(kind)}
    assert unchecked <= {"PackArguments", "PackConfig", "MatrixConfig"}, "data/ checks these itself"


@pytest.mark.parametrize("owner", [kind for kind, found in CHECKED.items() if found])
def test_a_number_is_accepted_or_refused_by_a_sentence_that_names_it(owner: type) -> None:
    for option in CHECKED[owner]:
        assert len(option.bounds) == 2, f"{option.name}: declare Annotated[..., Interval(ge=..., le=...)]"
        for value in option.values():
            try:
                owner(**required(owner), **{option.name: (value,) if option.several else value})
            except ValidationError as error:
                sentence = sentence_of(error)
                index = "[0]" if option.several else ""
                assert sentence.startswith(f"{option.name}{index} is {value!r}: it must be "), sentence
                if option.allows(value):
                    assert "multiple of" in sentence or "power of two" in sentence
            except OURS as error:  # a check over several options
                sentence = str(error)
                assert option.allows(value), f"{value}: {sentence}"
                assert option.name in sentence
            else:
                assert option.allows(value), f"{option.name} {value}"
                continue
            assert "\n" not in sentence
            assert sentence.endswith(".")


@pytest.mark.parametrize(
    "words",
    [
        "train toy --loss.r1-interval 0",
        "train toy --growing.fade-kimg -1",
        "pretrain emoji-32 --generator.mapping-lr inf",
        "tune toy --trials 0",
        "tune toy --optimizer.generator-lr 0",
        "stylize x x --evaluations 0",
        "measure x --per-style 0",
        "fetch emoji x --size 4",
        "bench train toy --batch 0",
    ],
)
def test_the_command_line_names_the_option_as_it_was_typed(shell: Shell, words: str) -> None:
    *_, flag, value = words.split()
    sentence = shell.mistake(*words.split())
    assert sentence.startswith(f"brushwork: {flag} is {value}"), sentence
    assert ": it must be " in sentence
    assert sentence.count("\n") == 1


def test_configurations_are_checked_when_they_change_and_convert_nothing() -> None:
    config = TrainConfig()
    for wrong in ({"batch": 0}, {"batch": "8"}, {"batch": 8.0}, {"batch": True}, {"data": "x"}, {"loss": {}}):
        with pytest.raises(ValidationError, match="1 validation error for TrainConfig"):
            dataclasses.replace(config, **wrong)
    assert dataclasses.replace(config, total_kimg=3).total_kimg == 3.0
