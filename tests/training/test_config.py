from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest

from brushwork.models.discriminator import DiscriminatorConfig
from brushwork.training.adversarial import LossConfig
from brushwork.training.config import FREE_TO_CHANGE, TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.restyle.config import RestyleConfig
from brushwork.training.run.metrics import MetricsConfig
from brushwork.training.schedules import GrowingConfig

Make = Callable[..., TrainConfig]


def test_growing_that_starts_above_the_final_resolution_is_named(make_config: Make) -> None:
    growing = replace(make_config().growing, start_resolution=32)
    with pytest.raises(TrainingError, match=r"start_resolution is 32, above generator.resolution 16"):
        make_config(growing=growing)


def test_restyled_pictures_without_encoders_are_named(make_config: Make) -> None:
    metrics = MetricsConfig(restyled=("truth",))
    with pytest.raises(TrainingError, match=r"metrics.restyled needs encoders: set --generator.encoders"):
        make_config(metrics=metrics)
    make_config(metrics=metrics, generator=replace(make_config().generator, encoders=True))


# Dividing the batch


@pytest.mark.parametrize(("processes", "accumulate", "rows"), [(1, 1, 8), (2, 1, 4), (2, 2, 2), (8, 1, 1)])
def test_the_batch_is_divided_among_processes_and_parts(
    make_config: Make, processes: int, accumulate: int, rows: int
) -> None:
    assert make_config(accumulate=accumulate).rows_of(processes) == rows


@pytest.mark.parametrize(("processes", "accumulate", "multiple"), [(3, 1, 3), (16, 1, 16), (2, 3, 6)])
def test_a_batch_that_does_not_divide_is_named_with_the_remedy(
    make_config: Make, processes: int, accumulate: int, multiple: int
) -> None:
    with pytest.raises(TrainingError, match=f"batch 8 does not divide .* take a multiple of {multiple}"):
        make_config(accumulate=accumulate).rows_of(processes)


# Documentation and storage


def test_every_field_of_every_part_says_what_it_is() -> None:
    # The docstrings are the command line's help.
    parts = [TrainConfig(), *(v for v in vars(TrainConfig()).values() if is_dataclass(v))]
    for part in parts:
        source = Path(__import__(type(part).__module__, fromlist=["_"]).__file__ or "").read_text()
        body = source.split(f"class {type(part).__name__}:")[1].split("\n\n\n")[0]
        for field in fields(part):
            if part is not parts[0] or not is_dataclass(getattr(part, field.name)):
                after = body.split(f"\n    {field.name}: ")[1].split("\n", 1)[1]
                assert after.lstrip().startswith('"""'), f"{type(part).__name__}.{field.name}"


def test_what_is_free_to_change_exists() -> None:
    assert set(FREE_TO_CHANGE) <= {field.name for field in fields(TrainConfig)}


# Neighbours of one style


def test_the_minibatch_statistics_compare_pictures_of_one_style(make_config: Make) -> None:
    config = make_config(batch=24, discriminator=DiscriminatorConfig(minibatch_group=4))
    assert config.style_run(1) == 4
    assert config.style_run(4) == 3, "groups of 6 rows"
    assert replace(config, discriminator=DiscriminatorConfig(minibatch_group=1)).style_run(1) == 1
    averaged = replace(config.discriminator, minibatch_std="average")
    assert replace(config, discriminator=averaged).style_run(1) == 1, "as in the original"
    ramp = LossConfig(ramp_start_kimg=1.0, ramp_end_kimg=2.0)
    assert replace(config, loss=ramp).style_run(1) == 1, "generated pictures without a label are of any style"
    encoders = replace(config.generator, encoders=True)
    own = {"generator": encoders, "growing": GrowingConfig(start_resolution=16)}
    assert replace(config, **own, restyle=RestyleConfig(restyling=1.0)).style_run(1) == 1
    assert replace(config, **own, restyle=RestyleConfig(autoencoding=1.0)).style_run(1) == 4
