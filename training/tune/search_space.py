"""What a search may change: fields of a training configuration, by their dotted names, and between what."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from difflib import get_close_matches
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import ValidationError

from brushwork.models.options import sentence_of

from ..config import FREE_TO_CHANGE, TrainConfig
from ..errors import TrainingError
from ..restyle.config import TERMS

Value = int | float
Values = Mapping[str, Value]
"""Values of searched fields, by their dotted names."""

NEVER_SEARCHED = (*FREE_TO_CHANGE, "seed")
"""Fields that are nothing to tune: they do not change what is learnt, or by luck only."""

RATE_FACTOR, WEIGHT_FACTOR = 5.0, 10.0
"""How far the default space reaches from the preset's learning rates and weights, to either side."""


@dataclass(frozen=True)
class Range:
    """Everything from `low` to `high`, drawn evenly or (log) evenly in its logarithm."""

    name: str
    low: Value
    high: Value
    log: bool = False
    whole: bool = False
    """Whole numbers only."""

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    @property
    def ends(self) -> tuple[Value, ...]:
        return (self.low, self.high)

    def __str__(self) -> str:
        return f"{self.name}={self.low}:{self.high}"


@dataclass(frozen=True)
class Choice:
    """One of `options`."""

    name: str
    options: tuple[Value, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.options

    @property
    def ends(self) -> tuple[Value, ...]:
        return self.options

    def __str__(self) -> str:
        return f"{self.name}={','.join(map(str, self.options))}"


Dimension = Range | Choice
Space = tuple[Dimension, ...]


# Spaces
def default_space(config: TrainConfig) -> Space:
    """Learning rates, the weight of R1 and the batch around the preset's own; with encoders, the weights of
    restyling that the preset uses, too."""
    rates = [f"optimizer.{name}" for name in ("generator_lr", "discriminator_lr")]
    gamma = config.loss.gamma(config.generator.resolution, config.batch)
    even = 2 * config.accumulate
    batches = [batch for batch in (config.batch // 2, config.batch, config.batch * 2) if batch % even == 0]
    return (
        *(_around(name, float(value_of(config, name)), RATE_FACTOR) for name in rates),
        *([_around("loss.r1_gamma", gamma, WEIGHT_FACTOR)] if gamma else []),
        Choice("batch", tuple(batches) or (config.batch,)),
        *(
            _around(f"restyle.{term}.weight", getattr(config.restyle, term).weight, WEIGHT_FACTOR)
            for term in TERMS
            if config.restyle.uses(term) and (config.generator.content_vae_channels or term != "kl")
        ),
    )


def _around(name: str, centre: float, factor: float) -> Range:
    low, high = (float(f"{end:.2g}") for end in (centre / factor, centre * factor))
    return Range(name, low, high, log=True)


def space_of(config: TrainConfig, search: Sequence[str], *, defaults: bool) -> Space:
    """The default space (or none) with the dimensions of `search` in place of its own or beside them.

    Raises:
        TrainingError: what cannot be read or searched; and what the configuration refuses, as its own error.
    """
    dimensions: dict[str, Dimension] = {}
    for dimension in default_space(config) if defaults else ():
        dimensions[dimension.name] = dimension
    for text in search:
        dimension = parse_dimension(text)
        dimensions[dimension.name] = dimension
    if not dimensions:
        raise TrainingError("there is nothing to search; give --search FIELD=LOW:HIGH, or keep --defaults.")
    for dimension in dimensions.values():
        _require_allowed(config, dimension)
    return tuple(dimensions.values())


def _require_allowed(config: TrainConfig, dimension: Dimension) -> None:
    for value in dimension.ends:
        try:
            assigned(config, {dimension.name: value})
        except ValidationError as error:
            raise TrainingError(f"--search has {str(dimension)!r}; {sentence_of(error)}") from error


def parse_dimension(text: str) -> Dimension:
    """`optimizer.generator_lr=0.001:0.03` or `batch=8,16,32`; a range whose ends are positive is
    logarithmic."""
    name, sign, values = text.partition("=")
    name = name.strip().replace("-", "_")
    if not sign or not values:
        raise TrainingError(f"--search has {text!r}; write FIELD=LOW:HIGH or FIELD=ONE,TWO,THREE.")
    whole = _is_whole(name)
    if ":" in values:
        ends = [_number(part, text, whole) for part in values.split(":")]
        if len(ends) != 2 or not ends[0] < ends[1]:
            raise TrainingError(f"--search has {text!r}; a range is LOW:HIGH, the lower end first.")
        return Range(name, *ends, log=ends[0] > 0, whole=whole)
    options = tuple(_number(part, text, whole) for part in values.split(","))
    if len(set(options)) < len(options):
        raise TrainingError(f"--search has {text!r}, with a value given twice; give each once.")
    return Choice(name, options)


def _number(part: str, text: str, whole: bool) -> Value:
    try:
        value = int(part) if whole else float(part)
    except ValueError:
        kind = "a whole number" if whole else "a number"
        raise TrainingError(f"--search has {part!r} in {text!r}; it must be {kind}.") from None
    if not math.isfinite(value):
        raise TrainingError(f"--search has {part!r} in {text!r}; it must be finite.")
    return value


# Fields
def field_types(kind: type) -> dict[str, Any]:
    """Names and types of a configuration's fields, without their ranges."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def numeric_fields(kind: type = TrainConfig, prefix: str = "") -> dict[str, bool]:
    """Dotted names of the fields that can be searched, and whether they take whole numbers only."""
    found: dict[str, bool] = {}
    for name, type_of in field_types(kind).items():
        if not prefix and name in NEVER_SEARCHED:
            continue
        if is_dataclass(type_of):
            found |= numeric_fields(type_of, f"{prefix}{name}.")  # pyright: ignore[reportArgumentType]
        elif float in _arms(type_of) or type_of is int:
            found[f"{prefix}{name}"] = type_of is int
    return found


def _arms(kind: Any) -> tuple[Any, ...]:
    """The types that a field of type `kind` may have: those of a union, or itself."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _is_whole(name: str) -> bool:
    known = numeric_fields()
    if name in known:
        return known[name]
    if name.split(".")[0] in NEVER_SEARCHED:
        raise TrainingError(f"--search has {name!r}, which does not change how to learn; leave it out.")
    near = [full for full in known if full.endswith(f".{name}")] or get_close_matches(name, known, n=1)
    remedy = f"did you mean {near[0]}?" if near else "give one such as optimizer.generator_lr or batch."
    raise TrainingError(f"--search has {name!r}, which is no field with a number; {remedy}")


def value_of(config: object, name: str) -> Any:
    """The field's value in a configuration."""
    for part in name.split("."):
        config = getattr(config, part)
    return config


def assigned(config: TrainConfig, values: Values) -> TrainConfig:
    """The configuration with these fields changed, all at once, so that its own checks see the whole."""
    return _changed(config, values)


def _changed(part: Any, values: Values) -> Any:
    own: dict[str, Any] = {}
    inside: dict[str, dict[str, Value]] = {}
    for name, value in values.items():
        head, _, rest = name.partition(".")
        if rest:
            inside.setdefault(head, {})[rest] = value
        else:
            own[head] = value
    own |= {head: _changed(getattr(part, head), inner) for head, inner in inside.items()}
    return replace(part, **own)
