"""What styles cost, on tiny networks: parameters exactly, times only that they are taken."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from brushwork.scripts.bench.styles import TASKS, compare_counts, footprint, run_of, sizes_part
from brushwork.training.config import TrainConfig
from brushwork.training.schedules import GrowingConfig


@pytest.fixture
def base(make_config: Callable[..., TrainConfig]) -> TrainConfig:
    plain = make_config()
    generator = replace(plain.generator, encoders=True, content_resolution=8)
    return replace(plain, generator=generator, growing=GrowingConfig(start_resolution=8))


def test_a_style_more_is_a_row_in_three_tables(base: TrainConfig) -> None:
    """8 values each in the mapping network and the style encoder, and the width of the discriminator."""
    few, many = (footprint(styles, 4, base) for styles in (3, 30))
    width = run_of(3, 4, base).state.nets.discriminator.table.shape[1]
    assert few.per_style == many.per_style == 2 * 8 + width
    assert many.parameters - few.parameters == 27 * few.per_style
    assert 0 < few.before <= few.peak
    table = sizes_part((few, many)).table
    shared = [row[3] for row in table.rows]
    assert shared[0] == shared[1] == f"{few.parameters - 3 * few.per_style:,}"


def test_steps_train_all_that_they_should(base: TrainConfig) -> None:
    for regime in ("sampling", "restyling"):
        run = run_of(3, 4, base)
        generator, discriminator = run.state.nets.generator, run.state.nets.discriminator
        before = {name: value.clone() for name, value in generator.named_parameters()}
        table, average = discriminator.table.clone(), generator.mapping.average.clone()
        run.step(regime)
        moved = {name for name, value in generator.named_parameters() if not torch.equal(value, before[name])}
        assert any(name.startswith("synthesis") for name in moved)
        assert any(name.startswith("style_encoder") for name in moved) is (regime == "restyling")
        assert not torch.equal(discriminator.table, table)
        assert not torch.equal(generator.mapping.average, average)
        assert all(parameter.requires_grad for parameter in discriminator.parameters())


def test_every_task_is_compared_with_the_first_number_of_styles(base: TrainConfig) -> None:
    runs = {count: run_of(count, 4, base) for count in (2, 20)}
    found = {task: compare_counts(task, runs, batch=4, repeats=1) for task in TASKS}
    for one in found.values():
        assert one.timings.names == ("2 styles", "20 styles")
        assert "times 2 styles" in one.table.header
        assert "4 pictures" in one.title
    assert found["generating"].timings.results["20 styles"].shape == (4, 3, 16, 16)
    assert found["encoding"].timings.results["2 styles"].shape == (4, 8)
