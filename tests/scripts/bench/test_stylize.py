"""Rivals as they are published, judged by the loss that we lower."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from brushwork.scripts.bench.stylize import (
    RECIPES,
    Outcome,
    Race,
    Recipe,
    Sizes,
    judged,
    ours,
    published_loop,
    remember_all,
    run_ours,
    run_published,
)
from brushwork.training.style_transfer.config import StylizeConfig
from brushwork.training.style_transfer.transfer import Stylizer, TransferInputs, to_float

SIZES = Sizes(backbone="random", side=32, evaluations=12, repeats=1)


def noise(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(96, 160, (3, 32, 32), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_published_loop_lowers_the_loss_that_is_judged(recipe: Recipe) -> None:
    content, style = to_float(noise(0), torch.device("cpu")), to_float(noise(1), torch.device("cpu"))
    ends = [judged(recipe, SIZES, noise(0), noise(1), torch.full_like(content, 0.5))]
    for evaluations in (1, 60):
        found, seen = published_loop(recipe, replace(SIZES, evaluations=evaluations), content, style)
        assert len(seen) >= evaluations
        assert found.min() >= 0
        assert found.max() <= 1
        ends.append(judged(recipe, SIZES, noise(0), noise(1), found))
    assert ends[2] < 0.5 * ends[0]
    assert ends[2] < ends[1]


@pytest.mark.parametrize("recipe", RECIPES)
def test_we_stop_as_soon_as_we_are_as_low(recipe: Recipe) -> None:
    theirs = run_published(recipe, SIZES, noise(0), noise(1))
    assert theirs.evaluations >= 12
    goal = 1.2 * theirs.lowest
    mine = run_ours(recipe, replace(SIZES, evaluations=100), noise(0), noise(1), goal)
    assert mine.lowest <= goal
    total = len(ours(recipe, SIZES).sides(32)) * 100
    assert 0 < mine.evaluations < total


def test_all_steps_that_may_be_remembered_take_their_memory() -> None:
    config = StylizeConfig(backbone="random", history=7, evaluations=4, precision="fp32")
    stylizer = Stylizer(TransferInputs(content=noise(0), styles=[noise(1)]), config)
    stylizer.advance()
    remember_all(stylizer)
    stylizer.advance()
    assert stylizer.state_dict()["optimizer.pair_steps"].shape == (7, 3, 32, 32)


def test_the_ratio_is_the_median_over_rounds_and_misses_are_told() -> None:
    def outcome(seconds: float, loss: float) -> Outcome:
        return Outcome(
            lowest=loss, lowest_after=seconds / 2, picture=loss, seconds=seconds, processor=seconds,
            evaluations=1, peak=1.0,
        )  # fmt: skip

    race = Race(
        recipe="tutorial", theirs=tuple(outcome(10.0, 1.0) for _ in range(3)),
        ours=(outcome(2.0, 1.0), outcome(4.0, 0.9), outcome(9.0, 1.1)),
    )  # fmt: skip
    assert race.ratio == pytest.approx(0.4)
    notes = race.table().notes
    assert "0.40 of those that its loop takes, 0.80 of those" in notes[0]
    assert "In 1 rounds" in notes[1]
