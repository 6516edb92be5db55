"""Chores beside the loop: one thread that writes, so that no step waits for a disk or an encoder."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType


class Background:
    """Makes the calls that it is given on one thread, in order, while the caller goes on.

    The order makes a call proof of those before it: after one that fails the rest are dropped, and its
    exception is raised where the caller next adds, checks or waits. A context manager; it ends when all is
    done, or at once with what runs where it ends by a second Ctrl-C. Off, calls are made where they are
    added.
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chores") if enabled else None
        self._pending: list[Future[None]] = []
        self._error: BaseException | None = None

    def __enter__(self) -> "Background":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        hurried = kind is not None and not issubclass(kind, Exception)
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=hurried)
        if kind is None:
            self.check()

    def add(self, call: Callable[[], object]) -> None:
        """Has the call made after all before it; it must not touch what its caller goes on to change."""
        self.check()
        if self._thread is None:
            call()
        else:
            self._pending = [future for future in self._pending if not future.done()]
            self._pending.append(self._thread.submit(self._make, call))

    def wait(self) -> None:
        """Until everything is done."""
        wait(self._pending)
        self._pending = []
        self.check()

    def check(self) -> None:
        """Raises what a call has raised."""
        if self._error is not None:
            raise self._error

    def _make(self, call: Callable[[], object]) -> None:
        if self._error is not None:
            return
        try:
            call()
        except BaseException as error:
            self._error = error
