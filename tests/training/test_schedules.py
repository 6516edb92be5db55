import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brushwork.models.stage import Stage
from brushwork.training.schedules import GrowingConfig, due, phases, stage_at

COURSE = GrowingConfig(start_resolution=8, fade_kimg=(1.0, 2.0), steady_kimg=(3.0, 5.0))
"""8 px to image 3000, fade to 16 px (the second figure: 2000) to 5000, steady to 10000, then 32 px."""


@pytest.mark.parametrize(
    ("nimg", "stage"),
    [
        (0, Stage(8)), (2999, Stage(8)), (3000, Stage(16, 0.0)), (4000, Stage(16, 0.5)),
        (4999, Stage(16, 0.9995)), (5000, Stage(16)), (9999, Stage(16)), (10_000, Stage(32, 0.0)),
        (11_000, Stage(32, 0.5)), (12_000, Stage(32)), (10**9, Stage(32)),
    ],
)  # fmt: skip
def test_stages_change_at_their_images(nimg: int, stage: Stage) -> None:
    assert stage_at(nimg, COURSE, 32) == stage


def test_the_last_figure_serves_all_resolutions_that_follow() -> None:
    spans = [(p.resolution, p.faded - p.begin, p.end - p.faded) for p in phases(COURSE, 128)]
    assert spans[:-1] == [(8, 0, 3000), (16, 2000, 5000), (32, 2000, 5000), (64, 2000, 5000)]
    assert spans[-1] == (128, 2000, float("inf"))


@given(
    start=st.sampled_from([4, 8, 16]),
    fade=st.lists(st.floats(0, 3), min_size=1, max_size=3),
    steady=st.lists(st.floats(0, 3), min_size=1, max_size=3),
)
def test_resolution_and_alpha_only_grow(start: int, fade: list[float], steady: list[float]) -> None:
    config = GrowingConfig(start_resolution=start, fade_kimg=tuple(fade), steady_kimg=tuple(steady))
    stages = [stage_at(nimg, config, 32) for nimg in range(0, 20_000, 97)]
    assert all(0 <= stage.alpha <= 1 for stage in stages)
    assert stages == sorted(stages, key=lambda stage: (stage.resolution, stage.alpha))
    assert stages[-1] == Stage(32)


@pytest.mark.parametrize("factor", [0.125, 0.5, 1.0])
def test_a_scaled_course_is_at_the_same_stage_after_as_many_times_the_images(factor: float) -> None:
    for nimg in range(0, 14_000, 200):
        assert stage_at(nimg * factor, COURSE.scaled(factor), 32) == stage_at(nimg, COURSE, 32)


@pytest.mark.parametrize("kimg", [0.008, 0.02, 0.1, 0.016])
def test_what_has_an_interval_is_due_once_in_every_so_many_images(kimg: float) -> None:
    interval, found = kimg * 1000, [nimg for nimg in range(0, 4001, 8) if due(kimg, nimg, 8)]
    assert found == [math.ceil(i * interval / 8) * 8 for i in range(1, int(4000 / interval) + 1)]
    assert not due(0.0, 8, 8)
