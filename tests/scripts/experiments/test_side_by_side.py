"""Processes side by side: all jobs are done, and nothing is left when one fails or a signal comes."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from brushwork.scripts.experiments.side_by_side import run_side_by_side
from brushwork.training.errors import TrainingError


def run(work: object, tmp_path: Path, jobs: Sequence[object], finished: Callable[[object], object]) -> object:
    logs = {tmp_path / f"{job}.txt": job for job in jobs}
    return run_side_by_side(work, logs, 2, finished)  # type: ignore[arg-type]


def test_all_jobs_are_done_with_a_log_each(tmp_path: Path) -> None:
    done: list[object] = []
    assert run(bool, tmp_path, ["a", "b", "c"], done.append) is None
    assert sorted(map(str, done)) == ["a", "b", "c"]
    assert (tmp_path / "a.txt").exists()


def test_a_job_that_fails_stops_the_others_and_its_log_is_named(tmp_path: Path) -> None:
    done: list[object] = []
    began = time.monotonic()
    with pytest.raises(TrainingError, match=r"1j\.txt ends with: TypeError: .*complex"):
        run(time.sleep, tmp_path, [1j, 600.0], done.append)
    assert time.monotonic() - began < 60
    assert not done
    assert "Traceback" in (tmp_path / "1j.txt").read_text()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(("work", "job"), [(os._exit, 3), (bool, 0)])
def test_a_job_that_is_killed_or_not_finished_is_an_error(work: object, job: int, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="ends with: nothing"):
        run(work, tmp_path, [job], print)


def test_a_signal_is_passed_on_and_ends_it_all(tmp_path: Path) -> None:
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    assert run(time.sleep, tmp_path, [600.0, 601.0, 602.0], print) is signal.SIGTERM
    assert not multiprocessing.active_children()
