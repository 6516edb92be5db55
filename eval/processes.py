"""Processes that measure together: each extracts features of its share, and all get the whole.

Every process then computes every metric from the same features, so no result has to be sent.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import TypeVar

import torch.distributed as dist
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

from .errors import EvalError

Value = TypeVar("Value")

INTERVAL, TIMEOUT = 1.0, timedelta(seconds=30)
"""Seconds between checks for failures, and the time that a connection may take."""
FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Processes:
    """Rank and number of the processes."""

    rank: int = 0
    count: int = 1

    @classmethod
    def joined(cls) -> "Processes":
        """Returns the running process group, or this process alone."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(rank=dist.get_rank(), count=dist.get_world_size())

    @property
    def main(self) -> bool:
        return self.rank == 0

    def gather(self, mine: dict[int, Value]) -> dict[int, Value]:
        """Returns the union of all processes' dicts, in every process. Keys must be distinct."""
        if self.count == 1:
            return mine
        everyone: list[dict[int, Value]] = [{} for _ in range(self.count)]
        dist.all_gather_object(everyone, mine)
        return {key: value for part in everyone for key, value in part.items()}


class Watch:
    """A context that ends this process soon after another process of the group has failed.

    A failing process sets a key in a store of the main process, and all check the key every second. The
    failing process reports the error; the others exit with code 2, instead of waiting for minutes. If the
    launcher is gone, `orphaned` is called, which ends the process by default.
    """

    def __init__(self, orphaned: Callable[[], object] = lambda: _exit()) -> None:
        self._processes, self._orphaned = Processes.joined(), orphaned
        self._parent, self._done, self._other_failed = os.getppid(), threading.Event(), False

    def __enter__(self) -> "Watch":
        if self._processes.count > 1:
            self._store = _open_store(self._processes.main)
            self._done.clear()
            threading.Thread(target=self._check, name="watch", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._processes.count == 1 or error is None:
            return
        disconnected = isinstance(error, RuntimeError) and "gloo" in str(error)
        if not (disconnected or isinstance(error, dist.DistError)):
            with contextlib.suppress(RuntimeError):  # the store may be gone with its process
                self._store.set(FAILED, "1")
                time.sleep(2 * INTERVAL)  # the store lives as long as this process
        elif self._other_failed:
            _exit()
        else:
            raise EvalError(
                "another process that this one works with is gone, e.g. killed for want of memory: its own "
                "last words say more; repeat the command, with --resume where it trains."
            ) from error

    def _check(self) -> None:
        while not self._done.wait(INTERVAL):
            try:
                self._other_failed = self._store.check([FAILED])
            except RuntimeError:  # the main process is gone; the next collective operation will fail
                return
            if self._other_failed:
                time.sleep(4 * INTERVAL)  # the failing process reports first
                _exit()
            if os.getppid() != self._parent:
                self._orphaned()


def _exit() -> None:
    """Ends this process from any thread."""
    sys.stdout.flush()
    os._exit(2)


def _open_store(main: bool) -> TCPStore:
    host, port, store = os.environ.get("MASTER_ADDR", "localhost"), [0], None
    if main:
        store = TCPStore(host, 0, is_master=True, wait_for_workers=False, timeout=TIMEOUT)
        port = [store.port]
    dist.broadcast_object_list(port)
    return store or TCPStore(host, port[0], is_master=False, timeout=TIMEOUT)


@contextmanager
def launched() -> Iterator[Processes]:
    """Joins the processes that `torchrun` or `accelerate launch` started, for the duration of the block.

    Features are gathered on the CPU, so the backend is gloo on every device.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield Processes.joined()
        return
    dist.init_process_group("gloo")
    try:
        with Watch():
            yield Processes.joined()
            dist.barrier()  # a process that leaves early would abort with its group still open
    finally:
        dist.destroy_process_group()
