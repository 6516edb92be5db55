"""Published loops and ours, measured by the same loss."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from brushwork.scripts.bench.stylize import (
    RECIPES,
    BenchmarkSizes,
    LossComparison,
    Outcome,
    Recipe,
    final_loss,
    our_config,
    published_loop,
    run_baseline,
    run_ours,
)
from brushwork.training.style_transfer.transfer import to_float

SIZES = BenchmarkSizes(backbone="random", side=32, evaluations=12, repeats=1)


def noise(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(96, 160, (3, 32, 32), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_published_loop_lowers_the_loss(recipe: Recipe) -> None:
    content, style = to_float(noise(0), torch.device("cpu")), to_float(noise(1), torch.device("cpu"))
    ends = [final_loss(recipe, SIZES, noise(0), noise(1), torch.full_like(content, 0.5))]
    for evaluations in (1, 60):
        image, losses = published_loop(recipe, replace(SIZES, evaluations=evaluations), content, style)
        assert len(losses) >= evaluations
        assert image.min() >= 0
        assert image.max() <= 1
        ends.append(final_loss(recipe, SIZES, noise(0), noise(1), image))
    assert ends[2] < 0.5 * ends[0]
    assert ends[2] < ends[1]


@pytest.mark.parametrize("recipe", RECIPES)
def test_ours_stops_at_the_target_loss(recipe: Recipe) -> None:
    theirs = run_baseline(recipe, SIZES, noise(0), noise(1))
    assert theirs.evaluations >= 12
    target = 1.2 * theirs.lowest
    mine = run_ours(recipe, replace(SIZES, evaluations=100), noise(0), noise(1), target)
    assert mine.lowest <= target
    total = len(our_config(recipe, SIZES).sides(32)) * 100
    assert 0 < mine.evaluations < total


def test_the_ratio_is_the_median_over_rounds_and_misses_are_noted() -> None:
    def outcome(seconds: float, loss: float) -> Outcome:
        return Outcome(
            lowest=loss, lowest_after=seconds / 2, picture=loss, seconds=seconds, processor=seconds,
            evaluations=1, peak=1.0,
        )  # fmt: skip

    comparison = LossComparison(
        recipe="tutorial", theirs=tuple(outcome(10.0, 1.0) for _ in range(3)),
        ours=(outcome(2.0, 1.0), outcome(4.0, 0.9), outcome(9.0, 1.1)),
    )  # fmt: skip
    assert comparison.ratio == pytest.approx(0.4)
    notes = comparison.table.notes
    assert "0.40 of those that its loop takes, 0.80 of those" in notes[0]
    assert "In 1 rounds" in notes[1]
