"""Every number that a user can set: its range is declared, and a sentence refuses what lies outside.

The options are found by walking the packages, so that a new one cannot be forgotten.
"""

import dataclasses
import importlib
import math
import operator
import pkgutil
import random
from collections.abc import Iterator
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt
from pydantic import ValidationError
from pydantic.dataclasses import is_pydantic_dataclass

from brushwork.data.errors import DataError
from brushwork.eval.errors import EvalError
from brushwork.models.errors import ModelError
from brushwork.models.options import sentence_of
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.run.run_folder import Facts

if TYPE_CHECKING:
    from .conftest import Shell
else:
    Shell = Any

Number = int | float
OURS = (DataError, EvalError, ModelError, TrainingError)
ANYWHERE: tuple[Number, ...] = (math.nan, math.inf, -math.inf, -1, -1.0, 0, 0.0, 1, 1e308, -(2**64), 2**64)
COMPARED = {Ge: operator.ge, Gt: operator.gt, Le: operator.le, Lt: operator.lt}


# What there is
@dataclass(frozen=True)
class Option:
    """A field that holds a number, or several."""

    owner: type
    name: str
    kind: type
    """int or float"""
    bounds: tuple[Ge | Gt | Le | Lt, ...]
    several: bool
    """Whether it holds a tuple of them."""

    @property
    def edges(self) -> list[Number]:
        """The bounds, and the nearest numbers on either side of each."""
        limits = [limit_of(bound) for bound in self.bounds]
        if self.kind is int:
            return [limit + step for limit in limits for step in (-1, 0, 1)]
        sides = [math.nextafter(limit, side) for limit in limits for side in (-math.inf, math.inf)]
        return [*map(float, limits), *sides]

    def allows(self, value: Number) -> bool:
        """Whether the declared type and bounds do."""
        if not math.isfinite(value) or (self.kind is int and not isinstance(value, int)):
            return False
        return all(COMPARED[type(bound)](value, limit_of(bound)) for bound in self.bounds)

    def make(self, value: Number) -> object:
        """The class with this value, and all else by default."""
        return self.owner(**required(self.owner), **{self.name: (value,) if self.several else value})

    def __str__(self) -> str:
        return f"{self.owner.__module__}.{self.owner.__name__}.{self.name}"


def limit_of(bound: Ge | Gt | Le | Lt) -> Any:
    return getattr(bound, type(bound).__name__.lower())


def dataclasses_of_all_packages() -> list[type]:
    modules = []
    for name in ("models", "data", "eval", "training", "scripts"):
        package = importlib.import_module(f"brushwork.{name}")
        found = pkgutil.walk_packages(package.__path__, f"brushwork.{name}.")
        modules += [importlib.import_module(each.name) for each in found]
    values = [value for module in modules for value in vars(module).values()]
    return list(dict.fromkeys(v for v in values if isinstance(v, type) and dataclasses.is_dataclass(v)))


def leaves(hint: Any, said: tuple[Any, ...] = (), several: bool = False) -> Iterator[tuple[Any, Any, bool]]:
    """The types inside a hint, each with what is said of it, and whether it stands in a tuple."""
    if get_origin(hint) is Annotated:
        inner, *more = get_args(hint)
        flat = [part for each in more for part in (each if isinstance(each, GroupedMetadata) else (each,))]
        yield from leaves(inner, (*said, *flat), several)
    elif get_args(hint):
        for each in get_args(hint):
            yield from leaves(each, (), several or get_origin(hint) is tuple)
    else:
        yield hint, said, several


def options_of(owner: type) -> list[Option]:
    hints = get_type_hints(owner, include_extras=True)
    return [
        Option(
            owner=owner, name=field.name, kind=kind, several=several,
            bounds=tuple(each for each in said if type(each) in COMPARED),
        )
        for field in dataclasses.fields(owner)
        for kind, said, several in leaves(hints[field.name])
        if kind in (int, float)
    ]  # fmt: skip


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
CHECKED = [kind for kind in CLASSES if is_pydantic_dataclass(kind) and kind is not Facts]  # which none sets
OPTIONS = [option for owner in CHECKED for option in options_of(owner)]


# What is allowed
def test_the_arguments_of_commands_and_all_configurations_are_checked() -> None:
    by_hand = {
        kind.__name__
        for kind in CLASSES
        if kind.__name__.endswith(("Arguments", "Config")) and not is_pydantic_dataclass(kind)
    }
    assert by_hand <= {"PackArguments", "PackConfig", "MatrixConfig"}, "these are checked in data/"


def test_every_number_declares_a_lower_and_an_upper_bound() -> None:
    assert len(OPTIONS) > 100
    for option in OPTIONS:
        lower = [bound for bound in option.bounds if isinstance(bound, Ge | Gt)]
        upper = [bound for bound in option.bounds if isinstance(bound, Le | Lt)]
        assert len(lower) == len(upper) == 1, f"{option}: say Annotated[..., Interval(ge=..., le=...)]"


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_a_number_is_accepted_or_a_sentence_that_names_it_refuses_it(option: Option) -> None:
    for value in (*ANYWHERE, *option.edges):
        try:
            option.make(value)
        except ValidationError as error:
            sentence = sentence_of(error)
            index = "[0]" if option.several else ""
            assert sentence.startswith(f"{option.name}{index} is {value!r}: it must be "), sentence
            if option.allows(value):
                assert "multiple of" in sentence or "power of two" in sentence
        except OURS as error:  # by what several options have to say together
            sentence = str(error)
            assert option.allows(value), f"{value}: {sentence}"
            assert option.name in sentence
        else:
            assert option.allows(value), value
            continue
        assert "\n" not in sentence
        assert sentence.endswith(".")


# On the command line
COMMANDS: dict[str, tuple[str, str]] = {
    "train toy": ("training.config", "TrainConfig"),
    "pretrain emoji-32": ("training.config", "TrainConfig"),
    "tune toy": ("scripts.tune", "TuneArguments"),
    "sample x": ("scripts.sample", "SampleArguments"),
    "restyle x": ("scripts.restyle", "RestyleArguments"),
    "stylize x x": ("scripts.stylize", "StylizeArguments"),
    "measure x": ("scripts.measure", "MeasureArguments"),
    "fetch emoji": ("scripts.fetch", "Emoji"),
    "fetch icons solar": ("scripts.fetch", "Icons"),
    "fetch photographs": ("scripts.fetch", "Photographs"),
    "fetch modes": ("scripts.fetch", "Modes"),
    "bench data": ("scripts.bench.data", "DataArguments"),
    "bench growth toy": ("scripts.bench.growth", "GrowthArguments"),
    "bench quality toy": ("scripts.bench.quality", "QualityArguments"),
    "bench restyle": ("scripts.bench.restyle", "RestyleArguments"),
    "bench sample toy": ("scripts.bench.sample", "SampleBenchArguments"),
    "bench styles": ("scripts.bench.styles", "StylesArguments"),
    "bench stylize --content x --style x": ("scripts.bench.stylize", "StylizeArguments"),
    "bench train toy": ("scripts.bench.train", "TrainBenchArguments"),
}
WITHOUT_PREFIX = ("base", "bench", "config", "contest", "tuning")
"""Fields whose own fields are options without their name before them."""
IN_FILES_ALONE = ("rise_kimg", "fall_kimg")
"""Fields that JSON configurations set and the command line does not."""


def typed(owner: type, prefix: str = "--") -> Iterator[tuple[str, Option]]:
    """The options of a class as the command line has them."""
    for option in options_of(owner):
        if option.name in IN_FILES_ALONE:
            continue
        yield f"{prefix}{option.name.replace('_', '-')}", option
    for name, hint in get_type_hints(owner).items():
        if is_pydantic_dataclass(hint):
            inside = prefix if name in WITHOUT_PREFIX else f"{prefix}{name.replace('_', '-')}."
            yield from typed(hint, inside)


def outside(option: Option) -> list[Number]:
    """What may be typed and is not allowed."""
    values = [value for value in (*ANYWHERE, *option.edges) if not option.allows(value)]
    return [value for value in values if option.kind is float or isinstance(value, int)]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line_refuses_it_by_the_option_that_was_typed(shell: Shell, command: str) -> None:
    module, name = COMMANDS[command]
    owner = getattr(importlib.import_module(f"brushwork.{module}"), name)
    chance = random.Random(command)
    for flag, option in chance.sample(known := list(typed(owner)), min(3, len(known))):
        value = chance.choice(outside(option))
        said = shell.mistake(*command.split(), f"{flag}", value)
        assert said.startswith(f"brushwork: {flag} is "), said
        assert ": it must be " in said
        assert said.count("\n") == 1


def test_configurations_are_checked_when_they_change_and_convert_nothing() -> None:
    config = TrainConfig()
    for wrong in ({"batch": 0}, {"batch": "8"}, {"batch": 8.0}, {"batch": True}, {"data": "x"}, {"loss": {}}):
        with pytest.raises(ValidationError, match="1 validation error for TrainConfig"):
            dataclasses.replace(config, **wrong)
    assert dataclasses.replace(config, total_kimg=3).total_kimg == 3.0
