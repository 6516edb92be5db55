"""Stopping a long job on SIGINT or SIGTERM after its current step."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class StopRequest:
    """Remembers the signal that asked to stop, if any."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def request(self) -> None:
        """Requests a stop as SIGTERM would; later calls do nothing."""
        self.signal = self.signal or signal.SIGTERM

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt  # a second signal stops at once
        self.signal = signal.Signals(number)


@contextlib.contextmanager
def stop_on_signals(request: StopRequest | None = None) -> Iterator[StopRequest]:
    """Context in which SIGINT and SIGTERM only set `request`; the previous handlers are restored
    afterwards."""
    request = request or StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # only the main thread may set handlers
        return
    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
