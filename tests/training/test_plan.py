from dataclasses import replace

import pytest

from brushwork.models.stage import Stage
from brushwork.training.plan import GROWN_BY, RESERVE, RunSchedule
from brushwork.training.presets import emoji_32
from brushwork.training.schedules import GrowingConfig

GROWING = GrowingConfig(start_resolution=8, fade_kimg=(1.0,), steady_kimg=(2.0, 4.0))
"""8 px to 2,000, 16 px to 7,000, 32 px faded in by 8,000."""
RATES = {8: 0.001, 16: 0.01, 32: 0.1}


def schedule(kimg: float) -> RunSchedule:
    return RunSchedule.of(replace(emoji_32(), growing=GROWING, total_kimg=kimg))


def test_a_long_run_is_at_the_place_of_its_images() -> None:
    path = schedule(10.0)
    assert (path.images, path.end) == (10_000, 10_000)
    assert path.scale_for_images(0, 0.0) == 1.0
    stages = {0: Stage(8), 2000: Stage(16, 0.0), 2500: Stage(16, 0.5), 6990: Stage(16), 7500: Stage(32, 0.5)}
    assert {nimg: path.stage_at(float(nimg)) for nimg in stages} == stages


@pytest.mark.parametrize("kimg", [0.5, 3.0, 7.9])
def test_a_run_with_too_few_images_sees_every_resolution_all_the_same(kimg: float) -> None:
    path = schedule(kimg)
    scale = path.scale_for_images(0, 0.0)
    stages = [path.stage_at(nimg / scale) for nimg in range(0, round(kimg * 1000), 10)]
    assert {stage.resolution for stage in stages} == {8, 16, 32}
    assert stages.index(Stage(32)) / len(stages) == pytest.approx(GROWN_BY, abs=0.03)


def test_a_run_that_is_lengthened_goes_on_from_its_place_without_a_jump() -> None:
    short, longer = schedule(1.0), schedule(20.0)
    position = 500 / short.scale_for_images(0, 0.0)
    scale = longer.scale_for_images(500, position)
    assert scale == 1.0
    assert longer.stage_at(position) == short.stage_at(position)


def test_the_time_that_a_stretch_takes_computed_by_hand() -> None:
    path = schedule(10.0)
    # 8 px: 2000 images; 16 px: 1000 + 4000; 32 px: the rest.
    assert path.seconds(0.0, 10_000.0, RATES) == pytest.approx(2 + 50 + 300)
    assert path.seconds(0.0, 1_500.0, RATES) == pytest.approx(1.5)
    assert path.seconds(1_000.0, 4_000.0, RATES) == pytest.approx(1 + 20)


@pytest.mark.parametrize("seconds", [30.0, 120.0, 300.0])
@pytest.mark.parametrize(("nimg", "position"), [(0, 0.0), (800, 2500.0)])
def test_the_shortened_course_takes_the_time_that_is_left_but_for_the_reserve(
    seconds: float, nimg: int, position: float
) -> None:
    path = schedule(10.0)
    scale = path.scale_for_time(nimg, position, RATES, seconds)
    assert scale < 1
    assert scale * path.seconds(position, path.end, RATES) == pytest.approx(RESERVE * seconds)


def test_a_course_is_never_lengthened_and_time_that_is_over_is_no_division_by_0() -> None:
    path = schedule(10.0)
    assert path.scale_for_time(0, 0.0, RATES, 36_000.0) == 1.0
    assert path.scale_for_images(20_000, 10_000.0) == 1.0
    assert 0 < path.scale_for_time(0, 0.0, RATES, -5.0) < 1e-2
    assert path.scale_for_time(5, path.end, RATES, 100.0) == 1.0


def test_the_plan_says_what_is_still_to_come() -> None:
    path = schedule(10.0)
    assert path.describe(0.0, 0, 1.0) == "8 px, 16 px from 2, 32 px from 7 to 10 kimg"
    assert path.describe(2500.0, 1250, 0.5) == "16 px, 32 px from 3.5 to 5 kimg"
