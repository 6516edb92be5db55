"""What a study searches: trials of a preset, a metric, and ranges or choices for fields by dotted name."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from operator import attrgetter
from typing import Any, Literal, TypeVar

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import ValidationError

from brushwork.eval.results import about_logged
from brushwork.models.options import sentence_of

from ..config import FREE_TO_CHANGE, TrainConfig
from ..errors import TrainingError
from ..renames import FROM_DATA
from ..restyle.config import TERMS
from ..run.run_folder import Json, RunFolder, flat, to_json
from ..schedules import due
from .config import TuningConfig

Config = TypeVar("Config")
Values = Mapping[str, Any]
"""Numbers by the dotted names of their fields."""
Distribution = FloatDistribution | IntDistribution | CategoricalDistribution
Space = dict[str, Distribution]
"""Ranges and choices by the dotted names of their fields."""

MEASUREMENTS = 4
"""Measurements per trial."""
NEVER_SEARCHED = (*FREE_TO_CHANGE, "seed")
"""Fields without influence on training, or with random influence only."""
RATE_FACTOR, WEIGHT_FACTOR = 5.0, 10.0
"""Default ranges reach from the preset's value divided by this factor to the value times it."""


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """The trials of a study."""

    base: TrainConfig
    """The preset; `out` is the folder of the study."""
    trial: TrainConfig
    """The preset, shortened to a trial."""
    space: Space
    metric: str
    better: Literal["less", "more"]


def make_plan(base: TrainConfig, tuning: TuningConfig) -> StudyPlan:
    """Plan the trials of a preset.

    Raises:
        TrainingError: something cannot be searched or measured.
    """
    if base.max_minutes is not None:
        raise TrainingError(
            f"max_minutes is {base.max_minutes}; trials have equal lengths: give --trial-kimg instead."
        )
    metric = base.metrics.best_by
    about = about_logged(metric)
    if about is None or not (base.metrics.names or base.metrics.restyled):
        raise TrainingError("nothing is measured to search by; name a metric in metrics.names, such as fd.")
    if RunFolder(base.out).config_file.exists():
        raise TrainingError(f"{base.out} holds a run; choose another --out for the study.")
    kimg = tuning.trial_kimg or base.total_kimg
    trial = replace(
        base, resume=False, total_kimg=kimg, growing=base.growing.scaled(kimg / base.total_kimg),
        interval=replace(
            base.interval, checkpoint_kimg=0.0, snapshot_kimg=0.0, metrics_kimg=kimg / MEASUREMENTS
        ),
        trackers=replace(base.trackers, group=base.trackers.group or base.out.name),
    )  # fmt: skip
    space = make_space(base, tuning.search, defaults=tuning.defaults)
    return StudyPlan(base=base, trial=trial, space=space, metric=metric, better=about.better)


def study_identity(plan: StudyPlan, fingerprint: str) -> Json:
    """Return everything that must be equal for trials to be comparable; see `differences`."""
    values = to_json(plan.trial)
    search = {name: str(distribution) for name, distribution in plan.space.items()}
    more = {"images": fingerprint, "trial_kimg": plan.trial.total_kimg, "measured": values["metrics"]}
    return {**values, **more, "search": search}


def count_measurements(config: TrainConfig) -> int:
    """Count the measurements of a run: those that are due, and one at its end."""
    steps = math.ceil(config.total_kimg * 1000 / config.batch)
    before = range(config.batch, steps * config.batch, config.batch)
    return sum(due(config.interval.metrics_kimg, nimg, config.batch) for nimg in before) + 1


# Spaces
def default_space(config: TrainConfig) -> Space:
    """Return ranges around the learning rates and the R1 weight, batches around the batch, and ranges around
    the restyling weights in use."""
    space: Space = {}
    for name in ("optimizer.generator_lr", "optimizer.discriminator_lr"):
        space[name] = _around(attrgetter(name)(config), RATE_FACTOR)
    if gamma := config.loss.gamma(config.generator.resolution, config.batch):
        space["loss.r1_gamma"] = _around(gamma, WEIGHT_FACTOR)
    batches = (config.batch // 2, config.batch, config.batch * 2)
    even = [batch for batch in batches if batch % (2 * config.accumulate) == 0]
    space["batch"] = CategoricalDistribution(even or [config.batch])
    for term in TERMS:
        if config.restyle.uses(term) and (config.generator.content_vae_channels or term != "kl"):
            weight = getattr(config.restyle, term).weight
            space[f"restyle.{term}.weight"] = _around(weight, WEIGHT_FACTOR)
    return space


def _around(centre: float, factor: float) -> FloatDistribution:
    low, high = (float(f"{end:.2g}") for end in (centre / factor, centre * factor))
    return FloatDistribution(low, high, log=True)


def make_space(config: TrainConfig, search: Sequence[str], *, defaults: bool) -> Space:
    """Return the default space, or none, with the fields of `search` replaced or added.

    Raises:
        TrainingError: an entry of `search` cannot be parsed, searched, or set in the configuration.
    """
    space = default_space(config) if defaults else {}
    space |= dict(parse_search(config, text) for text in search)
    if not space:
        raise TrainingError("there is nothing to search; give --search FIELD=LOW:HIGH, or keep --defaults.")
    return space


def parse_search(config: TrainConfig, text: str) -> tuple[str, Distribution]:
    """Parse `optimizer.generator_lr=0.001:0.03` or `batch=8,16,32`. A range with positive ends is searched
    logarithmically.

    Raises:
        TrainingError: the text has another form, or names no field with a number, or a value is not allowed.
    """
    name, _, values = text.partition("=")
    name = name.strip().replace("-", "_")
    known = numeric_fields(config)
    if name not in known:
        near = [full for full in known if full.endswith(f".{name}")] or get_close_matches(name, known, n=1)
        remedy = f"did you mean {near[0]}?" if near else "give one such as optimizer.generator_lr or batch."
        raise TrainingError(f"--search has {name!r}, which is no number that is searched; {remedy}")
    kind = known[name]
    try:
        numbers = [kind(part) for part in values.replace(":", ",").split(",")]
        for number in numbers:
            with_fields(config, {name: number})
        if ":" not in values:
            return name, CategoricalDistribution(list(dict.fromkeys(numbers)))
        low, high = numbers
        return name, (IntDistribution if kind is int else FloatDistribution)(low, high, log=low > 0)
    except ValidationError as error:
        raise TrainingError(f"--search has {text!r}; {sentence_of(error)}") from error
    except ValueError:
        form = "whole numbers" if kind is int else "numbers"
        raise TrainingError(
            f"--search has {text!r}; write FIELD=LOW:HIGH or FIELD=ONE,TWO,THREE with {form}."
        ) from None


def contains(distribution: Distribution, value: object) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return isinstance(value, int | float) and distribution.low <= value <= distribution.high


# Fields
def numeric_fields(config: TrainConfig) -> dict[str, type]:
    """Map the dotted names of all fields that can be searched to int or float."""
    numbers = {name: float if value == "auto" else type(value) for name, value in flat(to_json(config))}
    return {
        name: kind
        for name, kind in numbers.items()
        if kind in (int, float) and name.split(".")[0] not in NEVER_SEARCHED and name not in FROM_DATA
    }


def with_fields(config: Config, values: Values) -> Config:
    """Return the configuration with these fields replaced all at once, so that it is checked as a whole."""
    own: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        head, _, rest = name.partition(".")
        if rest:
            nested.setdefault(head, {})[rest] = value
        else:
            own[head] = value
    own |= {head: with_fields(getattr(config, head), inner) for head, inner in nested.items()}
    return replace(config, **own)  # type: ignore[type-var]
