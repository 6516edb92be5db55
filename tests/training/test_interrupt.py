import signal
import threading

import pytest

from brushwork.training.interrupt import StopRequest, stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_a_request_and_the_work_goes_on(number: signal.Signals) -> None:
    with stop_on_signals() as request:
        assert request.signal is None
        signal.raise_signal(number)
        assert request.signal is number


def test_the_second_signal_interrupts_at_once() -> None:
    with stop_on_signals():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_the_handlers_found_before_are_put_back_even_after_an_error() -> None:
    def fail() -> None:
        with stop_on_signals():
            assert isinstance(signal.getsignal(signal.SIGTERM), StopRequest)
            raise KeyError

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyError):
        fail()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_outside_of_the_main_thread_it_only_lends_a_request() -> None:
    seen: list[object] = []

    def work() -> None:
        with stop_on_signals() as request:
            seen.extend([request.signal, signal.getsignal(signal.SIGTERM)])

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None, before]
