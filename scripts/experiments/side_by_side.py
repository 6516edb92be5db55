"""Child processes side by side, which a signal to their parent stops gracefully."""

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeVar

from brushwork.training.errors import TrainingError
from brushwork.training.interrupt import stop_on_signals

POLL = 0.5
"""Seconds between checks for a signal."""

Job = TypeVar("Job")


def run_side_by_side(
    work: Callable[[Job], bool],
    jobs: Mapping[Path, Job],
    workers: int,
    finished: Callable[[Job], object],
) -> signal.Signals | None:
    """Runs `work` on each job in a process of its own, `workers` at a time, printing to the job's log file.

    `work` must pickle, return whether the job is finished, and return or exit on SIGTERM. Processes also end
    when this process is killed. Calls `finished` after each finished job, and returns the signal that stopped
    the work, if any. Raises TrainingError, with the end of its log, if a job fails; the others are stopped.
    """
    context, waiting = get_context("spawn"), deque(jobs.items())
    running: dict[int, tuple[BaseProcess, Path, Job]] = {}
    with stop_on_signals() as stop:
        try:
            while (running or waiting) and stop.signal is None:
                while waiting and len(running) < workers:
                    log, job = waiting.popleft()
                    process = context.Process(target=_child, args=(work, job, log))
                    process.start()
                    running[process.sentinel] = process, log, job
                for sentinel in wait(list(running), timeout=POLL):
                    process, log, job = running.pop(int(sentinel))  # type: ignore[call-overload]
                    process.join()
                    if process.exitcode == 0:
                        finished(job)
                    elif stop.signal is None:
                        raise TrainingError(_failure(log))
        finally:
            for process, _, _ in running.values():
                process.terminate()
            for process, _, _ in running.values():
                process.join()
    return stop.signal


def _failure(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return (
        f"A process failed; the same command goes on. Its log {log} ends with: {(lines or ['nothing'])[-1]}"
    )


def _child(work: Callable[[Job], bool], job: Job, log: Path) -> None:
    # Ctrl-C goes to the terminal's process group; only the parent should get it.
    os.setpgid(0, 0)
    # Work without a handler of its own exits, and cleans up.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    threading.Thread(target=_stop_without_parent, daemon=True).start()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.exit(0 if work(job) else 1)


def _stop_without_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
