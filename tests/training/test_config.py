from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
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


def test_every_field_of_every_part_says_what_it_is() -> None:
    # The docstrings are the command line's help.
    assert set(FREE_TO_CHANGE) <= {field.name for field in fields(TrainConfig)}
    parts = [TrainConfig(), *(v for v in vars(TrainConfig()).values() if is_dataclass(v))]
    for part in parts:
        source = Path(__import__(type(part).__module__, fromlist=["_"]).__file__ or "").read_text()
        body = source.split(f"class {type(part).__name__}:")[1].split("\n\n\n")[0]
        for field in fields(part):
            if part is not parts[0] or not is_dataclass(getattr(part, field.name)):
                after = body.split(f"\n    {field.name}: ")[1].split("\n", 1)[1]
                assert after.lstrip().startswith('"""'), f"{type(part).__name__}.{field.name}"


def test_the_minibatch_statistics_compare_pictures_of_one_style(make_config: Make) -> None:
    config = make_config(batch=24, discriminator=DiscriminatorConfig(minibatch_group=4))
    assert config.style_run(1) == 4
    assert config.style_run(4) == 3, "groups of 6 rows"
    assert replace(config, discriminator=DiscriminatorConfig(minibatch_group=1)).style_run(1) == 1
    averaged = replace(config.discriminator, minibatch_std="average")
    assert replace(config, discriminator=averaged).style_run(1) == 1, "as in the original"
    encoders = replace(config.generator, encoders=True)
    own = {"generator": encoders, "growing": GrowingConfig(start_resolution=16)}
    assert replace(config, **own, restyle=RestyleConfig(restyling=1.0)).style_run(1) == 1
    assert replace(config, **own, restyle=RestyleConfig(autoencoding=1.0)).style_run(1) == 4
