"""Published loops and ours, measured by the same loss."""

import pytest
import torch

from brushwork.scripts.bench import stylize
from brushwork.scripts.bench.stylize import RECIPES, Outcome, Recipe, Task, final_loss, run

CONTENT, STYLE = torch.randint(
    96, 160, (2, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
)


def task(recipe: Recipe, evaluations: int) -> Task:
    sizes = stylize.BenchmarkSizes(backbone="random", side=32, evaluations=evaluations, repeats=1)
    return Task(recipe=recipe, sizes=sizes, content=CONTENT, style=STYLE)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_published_loop_lowers_the_loss(recipe: Recipe) -> None:
    ends = [final_loss(task(recipe, 1), torch.full((1, 3, 32, 32), 0.5))]
    for evaluations in (1, 60):
        found = stylize.published_loop(task(recipe, evaluations))
        assert found.evaluations == len(found.losses) >= evaluations
        assert 0 <= found.image.min() <= found.image.max() <= 1
        ends.append(final_loss(task(recipe, 1), found.image))
    assert ends[2] < min(ends[1], 0.5 * ends[0])


@pytest.mark.parametrize("recipe", RECIPES)
def test_ours_stops_at_the_target_loss(recipe: Recipe) -> None:
    theirs = run(task(recipe, 12))
    assert theirs.evaluations >= 12
    assert 0 < theirs.lowest_after <= theirs.seconds
    target, long = 1.2 * theirs.lowest, task(recipe, 100)
    mine = run(long, target)
    assert mine.lowest <= target
    assert 0 < mine.evaluations < len(stylize.our_config(long).sides(32)) * 100


def outcome(seconds: float, loss: float) -> Outcome:
    return Outcome(
        lowest=loss, lowest_after=seconds / 2, picture=loss, seconds=seconds, processor=seconds,
        evaluations=1, peak=1.0,
    )  # fmt: skip


def test_the_ratio_is_the_median_over_rounds_and_misses_are_noted() -> None:
    theirs = [outcome(10.0, 1.0)] * 3
    ours = [outcome(2.0, 1.0), outcome(4.0, 0.9), outcome(9.0, 1.1)]
    table = stylize.losses_table("tutorial", theirs, ours)
    assert (table.data["ratio"], table.data["ratio_to_lowest"]) == pytest.approx((0.4, 0.8))
    assert [row[1] for row in table.rows] == ["10.0", "4.0"]
    assert "0.40 of those that its loop takes, 0.80 of those" in table.notes[0]
    assert "In 1 of 3 rounds" in table.notes[1]
    assert len(stylize.losses_table("tutorial", theirs[:2], ours[:2]).notes) == 1
