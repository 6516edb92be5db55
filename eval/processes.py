"""Several processes that measure together: each takes its share, all get the whole.

Every process computes every figure from the same features, so nothing has to be told afterwards.
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

LOOK_EVERY = 1.0
"""Seconds between looks at the board of failures."""
PATIENCE = timedelta(seconds=30)
FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Processes:
    """Which process this is, of how many."""

    rank: int = 0
    count: int = 1

    @classmethod
    def joined(cls) -> "Processes":
        """This process among those of the running group; alone where there is none."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(rank=dist.get_rank(), count=dist.get_world_size())

    @property
    def main(self) -> bool:
        return self.rank == 0

    def gather(self, mine: dict[int, Value]) -> dict[int, Value]:
        """What all processes have, in every process; keys say whose is whose, so they must be distinct."""
        if self.count == 1:
            return mine
        everyone: list[dict[int, Value]] = [{} for _ in range(self.count)]
        dist.all_gather_object(everyone, mine)
        return {key: value for part in everyone for key, value in part.items()}


class Watch:
    """A context in which no process waits for another that has failed or is gone.

    Processes that work together meet again and again, and would wait for minutes for one that does not come.
    So each failure is written on a board, a store that the main process keeps, and all look at it every
    second: whoever failed says why, the others end with exit code 2 soon after. Where the launcher is gone,
    `orphaned` is called, which by default ends the process, too. Alone, there is nothing to watch.
    """

    def __init__(self, orphaned: Callable[[], object] = lambda: _end()) -> None:
        self._processes, self._orphaned = Processes.joined(), orphaned
        self._parent, self._done, self._told = os.getppid(), threading.Event(), False

    def __enter__(self) -> "Watch":
        if self._processes.count > 1:
            self._board = _board(self._processes)
            self._done.clear()
            threading.Thread(target=self._look, name="watch", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._processes.count == 1 or error is None:
            return
        if not (isinstance(error, RuntimeError) and _is_of_others(error)):
            with contextlib.suppress(RuntimeError):  # the board may be gone with its process
                self._board.set(FAILED, "1")
                time.sleep(2 * LOOK_EVERY)  # as long as this process lives, so does the board
        elif self._told:
            _end()
        else:
            raise EvalError(
                "another process that this one works with is gone, e.g. killed for want of memory: its own "
                "last words say more; repeat the command, with --resume where it trains."
            ) from error

    def _look(self) -> None:
        while not self._done.wait(LOOK_EVERY):
            try:
                self._told = self._board.check([FAILED])
            except RuntimeError:  # the process that keeps it is gone, and the next meeting says so
                return
            if self._told:
                time.sleep(4 * LOOK_EVERY)  # whoever failed is to speak and to end first
                _end()
            if os.getppid() != self._parent:
                self._orphaned()


def _end() -> None:
    """Ends this process from any thread."""
    sys.stdout.flush()
    os._exit(2)


def _board(processes: Processes) -> TCPStore:
    host, port = os.environ.get("MASTER_ADDR", "localhost"), [0]
    board = None
    if processes.main:
        board = TCPStore(host, 0, is_master=True, wait_for_workers=False, timeout=PATIENCE)
        port = [board.port]
    dist.broadcast_object_list(port)
    return board or TCPStore(host, port[0], is_master=False, timeout=PATIENCE)


def _is_of_others(error: RuntimeError) -> bool:
    """Whether it tells of a connection rather than of this process."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


@contextmanager
def launched() -> Iterator[Processes]:
    """This process among those that `torchrun` or `accelerate launch` started, for the time of the block.

    Features are gathered on the CPU, so gloo will do whatever the devices.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield Processes.joined()
        return
    dist.init_process_group("gloo")
    try:
        with Watch():
            yield Processes.joined()
            dist.barrier()  # who left early would abort with its group still open
    finally:
        dist.destroy_process_group()
