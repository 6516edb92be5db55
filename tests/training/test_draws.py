import pytest
import torch
from torch import Tensor

from brushwork.training.draws import Draws, Rows, derived_seed

WHOLE = Rows(start=0, count=6, total=6)


def everything(draws: Draws) -> list[Tensor]:
    return [draws.normal((3,)), draws.uniform(), draws.integers(1, 5), draws.normal((1, 4, 4))]


@pytest.mark.parametrize("parts", [1, 2, 3, 6])
def test_rows_of_a_split_batch_are_those_of_the_whole(parts: int) -> None:
    size = 6 // parts
    split = [
        everything(Draws(1, 800, "generator", rows=Rows(start=i * size, count=size, total=6)))
        for i in range(parts)
    ]
    for whole, pieces in zip(everything(Draws(1, 800, "generator", rows=WHOLE)), zip(*split, strict=True),
                             strict=True):  # fmt: skip
        assert torch.equal(whole, torch.cat(pieces))


def test_seed_time_and_purpose_each_change_the_draws() -> None:
    keys = [(0, 8, "generator"), (1, 8, "generator"), (0, 16, "generator"), (0, 8, "discriminator")]
    drawn = [Draws(*key, rows=WHOLE).normal((4,)) for key in keys]
    for i, one in enumerate(drawn):
        assert torch.equal(one, Draws(*keys[i], rows=WHOLE).normal((4,)))
        assert not any(torch.equal(one, other) for other in drawn[:i])


def test_the_global_random_state_is_neither_read_nor_moved() -> None:
    before = torch.get_rng_state()
    first = everything(Draws(0, rows=WHOLE))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert all(map(torch.equal, first, everything(Draws(0, rows=WHOLE))))


def test_draws_have_the_distributions_they_are_named_after() -> None:
    draws = Draws(0, rows=Rows(start=0, count=4000, total=4000))
    normal, uniform, integers = draws.normal(), draws.uniform(), draws.integers(2, 5)
    assert abs(normal.mean()) < 0.06
    assert abs(normal.std() - 1) < 0.05
    assert abs(uniform.mean() - 0.5) < 0.02
    assert 0 <= uniform.min() <= uniform.max() < 1
    assert integers.unique().tolist() == [2, 3, 4]


def test_derived_seeds_are_equal_in_every_process() -> None:
    # Written down once: a change here would make every run go on with other numbers than it began with.
    assert derived_seed(0, "weights") == 2934036865011653446


def test_derived_seeds_keep_numbers_and_words_apart() -> None:
    seeds = {derived_seed(*parts) for parts in [(1, 23), (12, 3), (123,), ("1", 23), ("1", "23"), (1, "23")]}
    assert len(seeds) == 6
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_derived_seeds_differ_in_the_32_bits_that_a_cpu_generator_looks_at() -> None:
    assert len({derived_seed(0, nimg, "generator") % 2**32 for nimg in range(2000)}) == 2000
