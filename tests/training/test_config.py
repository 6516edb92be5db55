import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest

from brushwork.models.discriminator import DiscriminatorConfig
from brushwork.models.generator import GeneratorConfig
from brushwork.training.config import FREE_TO_CHANGE, TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.restyle.config import RestyleConfig, Term
from brushwork.training.run.metrics import MetricsConfig
from brushwork.training.schedules import GrowingConfig

Make = Callable[..., TrainConfig]
ENCODERS = GeneratorConfig(resolution=16, encoders=True, content_resolution=8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"growing": GrowingConfig(start_resolution=32)}, "is 32, above generator.resolution 16"),
        ({"metrics": MetricsConfig(restyled=("content",))}, "metrics.restyled needs encoders: set --gen"),
        ({"restyle": RestyleConfig(contrast=1.0)}, "need encoders: set --generator.encoders"),
        ({"restyle": RestyleConfig(restyling=1.0, paired=Term(weight=1.0)), "generator": ENCODERS},
         "set --loader.paired, or its weight to 0"),
        ({"generator": replace(ENCODERS, content_resolution=16)}, "is 8, below generator.content_resolution"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_together_are_named(make_config: Make, changes: Any, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        make_config(**changes)


def test_the_batch_is_divided_among_processes_and_parts(make_config: Make) -> None:
    for processes, accumulate, rows in [(1, 1, 8), (2, 1, 4), (2, 2, 2), (8, 1, 1)]:
        assert make_config(accumulate=accumulate).rows_of(processes) == rows
    for processes, accumulate, multiple in [(3, 1, 3), (16, 1, 16), (2, 3, 6)]:
        with pytest.raises(TrainingError, match=f"batch 8 does not divide .* take a multiple of {multiple}"):
            make_config(accumulate=accumulate).rows_of(processes)


def test_every_field_has_a_docstring_which_is_its_help() -> None:
    assert set(FREE_TO_CHANGE) <= {field.name for field in fields(TrainConfig)}
    parts = [part for part in vars(TrainConfig()).values() if is_dataclass(part)]
    for part in (TrainConfig(), *parts):
        source = inspect.getsource(type(part))
        for field in fields(part):
            if getattr(part, field.name) not in parts:
                after = source.split(f"\n    {field.name}: ")[1].split("\n", 1)[1]
                assert after.lstrip().startswith('"""'), f"{type(part).__name__}.{field.name}"


def test_the_minibatch_statistics_compare_pictures_of_one_style(make_config: Make) -> None:
    config = make_config(
        batch=24, discriminator=DiscriminatorConfig(minibatch_group=4), generator=ENCODERS,
        restyle=RestyleConfig(autoencoding=1.0),
    )  # fmt: skip
    assert config.style_run(1) == 4
    assert config.style_run(4) == 3, "groups of 6 rows"
    averaged = replace(config.discriminator, minibatch_std="average")
    assert replace(config, discriminator=averaged).style_run(1) == 1, "as in the original"
    assert replace(config, restyle=RestyleConfig(restyling=1.0)).style_run(1) == 1
