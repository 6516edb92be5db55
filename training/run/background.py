"""A thread that writes files beside the training loop, so that no step waits for a disk or an encoder."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType


class Background:
    """Runs calls on one thread, in the order in which they were added.

    If a call fails, the calls after it are dropped, and the next `add`, `check` or `wait` raises its
    exception; so a call that has run proves that all before it succeeded. Leaving the context waits for all
    calls, or after a second Ctrl-C only for the one that is running.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="artifacts")
        self._pending: list[Future[None]] = []
        self._error: BaseException | None = None

    def __enter__(self) -> "Background":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        interrupted = kind is not None and not issubclass(kind, Exception)
        self._thread.shutdown(cancel_futures=interrupted)
        if kind is None:
            self.check()

    def add(self, call: Callable[[], object]) -> None:
        """Adds a call, which must not use anything that the caller changes afterwards."""
        self.check()
        self._pending = [future for future in self._pending if not future.done()]
        self._pending.append(self._thread.submit(self._run, call))

    def wait(self) -> None:
        """Waits for all calls."""
        wait(self._pending)
        self.check()

    def check(self) -> None:
        """Raises the exception of a failed call."""
        if self._error is not None:
            raise self._error

    def _run(self, call: Callable[[], object]) -> None:
        if self._error is not None:
            return
        try:
            call()
        except BaseException as error:
            self._error = error
