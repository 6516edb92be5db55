"""Every number that a user can set has a declared range, and one sentence refuses what is outside it.

The options are found by walking the packages, so that no new one is missed.
"""

import dataclasses
import importlib
import math
import operator
import pkgutil
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
from brushwork.training.run.run_folder import RunSetup

if TYPE_CHECKING:
    from .conftest import Shell
else:
    Shell = Any

Number = int | float
OURS = (DataError, EvalError, ModelError, TrainingError)
ANYWHERE: tuple[Number, ...] = (math.nan, math.inf, -1, 0, 0.0, 1, 1e308, -(2**64), 2**64)
COMPARED = {Ge: operator.ge, Gt: operator.gt, Le: operator.le, Lt: operator.lt}


@dataclass(frozen=True)
class Option:
    """A field that holds a number, or a tuple of them."""

    owner: type
    name: str
    kind: type
    bounds: tuple[Ge | Gt | Le | Lt, ...]
    several: bool

    @property
    def edges(self) -> list[Number]:
        """The bounds, and the nearest numbers on either side of each."""
        limits = [limit_of(bound) for bound in self.bounds]
        if self.kind is int:
            return [limit + step for limit in limits for step in (-1, 0, 1)]
        sides = [math.nextafter(limit, side) for limit in limits for side in (-math.inf, math.inf)]
        return [*map(float, limits), *sides]

    def allows(self, value: Number) -> bool:
        if not math.isfinite(value) or (self.kind is int and not isinstance(value, int)):
            return False
        return all(COMPARED[type(bound)](value, limit_of(bound)) for bound in self.bounds)

    def make(self, value: Number) -> object:
        """The class with this value, and all else by default."""
        return self.owner(**required(self.owner), **{self.name: (value,) if self.several else value})


def limit_of(bound: Ge | Gt | Le | Lt) -> Any:
    return getattr(bound, type(bound).__name__.lower())


def dataclasses_of_all_packages() -> list[type]:
    modules = []
    for name in ("models", "data", "eval", "training", "scripts"):
        package = importlib.import_module(f"brushwork.{name}")
        inside = pkgutil.walk_packages(package.__path__, f"brushwork.{name}.")
        modules += [importlib.import_module(each.name) for each in inside]
    values = [value for module in modules for value in vars(module).values()]
    return list(dict.fromkeys(v for v in values if isinstance(v, type) and dataclasses.is_dataclass(v)))


def leaves(hint: Any, metadata: tuple[Any, ...] = (), several: bool = False) -> Iterator[Any]:
    """The types inside a hint, each with its metadata, and whether it is inside a tuple."""
    if get_origin(hint) is Annotated:
        inner, *more = get_args(hint)
        flat = [part for each in more for part in (each if isinstance(each, GroupedMetadata) else (each,))]
        yield from leaves(inner, (*metadata, *flat), several)
    elif get_args(hint):
        for each in get_args(hint):
            yield from leaves(each, (), several or get_origin(hint) is tuple)
    else:
        yield hint, metadata, several


def options_of(owner: type) -> list[Option]:
    hints = get_type_hints(owner, include_extras=True)
    return [
        Option(owner, field.name, kind, tuple(each for each in metadata if type(each) in COMPARED), several)
        for field in dataclasses.fields(owner)
        for kind, metadata, several in leaves(hints[field.name])
        if kind in (int, float)
    ]


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
CHECKED = [
    kind for kind in CLASSES if is_pydantic_dataclass(kind) and kind is not RunSetup
]  # no user sets Facts


def test_the_arguments_of_commands_and_all_configurations_are_checked() -> None:
    unchecked = {
        kind.__name__
        for kind in CLASSES
        if kind.__name__.endswith(("Arguments", "Config")) and not is_pydantic_dataclass(kind)
    }
    assert unchecked <= {"PackArguments", "PackConfig", "MatrixConfig"}, "data/ checks these itself"


@pytest.mark.parametrize("owner", [kind for kind in CHECKED if options_of(kind)])
def test_a_number_is_accepted_or_refused_by_a_sentence_that_names_it(owner: type) -> None:
    for option in options_of(owner):
        assert len(option.bounds) == 2, f"{option.name}: declare Annotated[..., Interval(ge=..., le=...)]"
        for value in (*ANYWHERE, *option.edges):
            try:
                option.make(value)
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
        "sample x --psi nan",
        "restyle x --strength 1.5",
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
