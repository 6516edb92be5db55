"""Signals that ask a long job to stop in good order."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class StopRequest:
    """Which signal, if any, has asked to stop."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def request(self) -> None:
        """Asks to stop as SIGTERM does, and once at most."""
        self.signal = self.signal or signal.SIGTERM

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt  # asked twice: somebody is in a hurry
        self.signal = signal.Signals(number)


@contextlib.contextmanager
def stop_on_signals(request: StopRequest | None = None) -> Iterator[StopRequest]:
    """While it lasts, SIGINT and SIGTERM only leave a request, in `request` or a new one; the handlers found
    before are put back after."""
    asked = request or StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # only the main thread may set handlers
        return
    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
