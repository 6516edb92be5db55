"""Child processes side by side, which a signal to their parent stops gracefully."""

import os
import pickle
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Generic, TypeVar

from brushwork.training.errors import TrainingError
from brushwork.training.interrupt import stop_on_signals

POLL = 0.5
"""Seconds between checks for a signal."""

Job = TypeVar("Job")


class Children(Generic[Job]):
    """Runs `work(job)` for each job in a process of its own, `workers` at a time, printing to `log(job)`.

    `work` must pickle, return whether the job is finished, and return or exit on SIGTERM. Processes also end
    when this process is killed.
    """

    def __init__(self, work: Callable[[Job], bool], log: Callable[[Job], Path], workers: int) -> None:
        self.work, self.log, self.workers = work, log, workers
        self.running: dict[Connection, tuple[BaseProcess, Job]] = {}

    def run(self, jobs: Sequence[Job], finished: Callable[[Job], None]) -> signal.Signals | None:
        """Calls `finished` after each finished job; returns the signal that stopped the work, if any.

        If a job fails, the other processes are stopped and its error is raised.
        """
        waiting, error, stopping = deque(jobs), None, False
        with stop_on_signals() as stop:
            try:
                while self.running or (waiting and error is None and stop.signal is None):
                    if not stopping and (error is not None or stop.signal is not None):
                        stopping = True
                        waiting.clear()
                        self._stop()
                    while waiting and len(self.running) < self.workers:
                        self._start(waiting.popleft())
                    for connection in wait(list(self.running), timeout=POLL):
                        assert isinstance(connection, Connection)
                        done, job, failure = self._ended(connection)
                        if done:
                            finished(job)
                        elif not stopping and stop.signal is None:
                            error = failure or TrainingError(
                                f"A process was killed (its log: {self.log(job)}); the same command goes on."
                            )
            finally:  # also after a second Ctrl-C
                self._stop()
                for process, _ in self.running.values():
                    process.join()
        if error is not None:
            raise error
        return stop.signal

    def _start(self, job: Job) -> None:
        context = get_context("spawn")
        mine, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_child, args=(theirs, self.work, job, self.log(job)))
        process.start()
        theirs.close()
        self.running[mine] = process, job

    def _ended(self, connection: Connection) -> tuple[bool, Job, BaseException | None]:
        process, job = self.running.pop(connection)
        try:
            answer = connection.recv()
        except EOFError:  # killed
            answer = None
        connection.close()
        process.join()
        if isinstance(answer, BaseException):
            return False, job, answer
        return bool(answer), job, None

    def _stop(self) -> None:
        for process, _ in self.running.values():
            process.terminate()


def _child(connection: Connection, work: Callable[[Job], bool], job: Job, log: Path) -> None:
    # Ctrl-C goes to the terminal's process group; only the parent should get it.
    os.setpgid(0, 0)
    # Work without a handler of its own exits, and cleans up.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    threading.Thread(target=_stop_without_parent, daemon=True).start()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            connection.send(work(job))
        except Exception as error:
            traceback.print_exc()
            connection.send(_picklable(error))
        sys.stdout.flush()
        sys.stderr.flush()


def _stop_without_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def _picklable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error
