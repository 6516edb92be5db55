from collections.abc import Callable

import pytest
import torch

from brushwork.eval.benchmark import Timings
from brushwork.training import budget
from brushwork.training.budget import (
    RESERVE,
    course_seconds,
    faster_precision,
    pace_for,
    seconds_of,
    settled_precision,
)
from brushwork.training.schedules import GrowingConfig

COURSE = GrowingConfig(start_resolution=8, fade_kimg=(1.0,), steady_kimg=(2.0, 4.0))
SECONDS = {8: 0.001, 16: 0.01, 32: 0.1}


def test_course_seconds_of_a_course_computed_by_hand() -> None:
    # 8 px: 2000 images; 16 px: 1000 + 4000; 32 px: the rest.
    assert course_seconds(COURSE, 32, 10.0, SECONDS) == pytest.approx(2 + 50 + 300)
    assert course_seconds(COURSE, 32, 1.5, SECONDS) == pytest.approx(1.5), "the run may end early"
    assert course_seconds(COURSE, 32, 4.0, SECONDS) == pytest.approx(2 + 20)


@pytest.mark.parametrize("minutes", [0.5, 2.0, 5.0])
def test_the_shortened_course_takes_the_budget_less_the_reserve(minutes: float) -> None:
    pace = pace_for(minutes, COURSE, 32, 10.0, SECONDS)
    assert pace < 1
    shortened = course_seconds(COURSE.scaled(pace), 32, 10.0 * pace, SECONDS)
    assert shortened == pytest.approx(RESERVE * minutes * 60)


def test_a_course_is_never_lengthened() -> None:
    assert pace_for(600.0, COURSE, 32, 10.0, SECONDS) == 1.0


def test_seconds_of_is_the_median_without_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # The clock advances by what each action takes; it is read before and after each timed one.
    lengths = iter([100.0, 1.0, 50.0, 2.0])
    now = 0.0

    def action() -> None:
        nonlocal now
        now += next(lengths)

    monkeypatch.setattr(budget.time, "perf_counter", lambda: now)
    assert seconds_of(action) == 2.0


@pytest.mark.parametrize(("ratio", "expected"), [(0.5, "bf16"), (0.9, "fp32"), (2.0, "fp32")])
def test_bf16_is_taken_where_it_is_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, ratio: float, expected: str
) -> None:
    def timed(candidates: dict[str, Callable[[], object]], *, repeats: int, warmup: int) -> Timings[object]:
        for action in candidates.values():
            action()
        wall = {name: (ratio if name == "bf16" else 1.0,) * repeats for name in candidates}
        return Timings(wall=wall, processor=wall, results={})

    monkeypatch.setattr(budget, "alternated", timed)
    assert faster_precision(torch.device("cpu")) == expected


def test_only_auto_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.device] = []

    def probe(device: torch.device) -> str:
        seen.append(device)
        return "bf16"

    monkeypatch.setattr(budget, "faster_precision", probe)
    device = torch.device("cpu")
    assert settled_precision("fp32", device) == "fp32"
    assert settled_precision("bf16", device) == "bf16"
    assert not seen
    assert settled_precision("auto", device) == "bf16"
    assert seen == [device]


def test_the_measured_convolution_runs() -> None:
    assert faster_precision(torch.device("cpu")) in ("bf16", "fp32")
