"""Processes side by side: all jobs are done, and nothing is left when one fails or a signal comes."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from brushwork.scripts.experiments.side_by_side import Children


def children(work: object, tmp_path: Path) -> Children:
    return Children(work, lambda job: tmp_path / f"{job}.txt", workers=2)  # type: ignore[arg-type]


def test_all_jobs_are_done_and_what_they_print_is_kept(tmp_path: Path) -> None:
    done: list[str] = []
    assert children(bool, tmp_path).run(["a", "b", "c"], done.append) is None
    assert sorted(done) == ["a", "b", "c"]
    assert (tmp_path / "a.txt").exists()


def test_an_error_of_a_job_is_raised_after_the_others_have_stopped(tmp_path: Path) -> None:
    done: list[object] = []
    began = time.monotonic()
    with pytest.raises(TypeError, match="complex"):
        children(time.sleep, tmp_path).run([1j, 600.0], done.append)
    assert time.monotonic() - began < 60
    assert not done
    assert "Traceback" in (tmp_path / "1j.txt").read_text()


def test_a_signal_is_passed_on_and_ends_it_all(tmp_path: Path) -> None:
    jobs = children(time.sleep, tmp_path)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    assert jobs.run([600.0, 601.0, 602.0], lambda _: None) is signal.SIGTERM
    assert not jobs.running
