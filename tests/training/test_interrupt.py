import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from brushwork.training.interrupt import StopRequest, stop_on_signals

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_is_remembered_and_a_second_one_interrupts_at_once(number: signal.Signals) -> None:
    def interrupted() -> None:
        with stop_on_signals() as request:
            assert isinstance(signal.getsignal(number), StopRequest)
            assert request.signal is None
            signal.raise_signal(number)
            assert request.signal is number
            signal.raise_signal(signal.SIGINT)

    before = [signal.getsignal(each) for each in NUMBERS]
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [signal.getsignal(each) for each in NUMBERS] == before, "even after an error"


def test_outside_of_the_main_thread_it_only_lends_a_request() -> None:
    def work() -> list[object]:
        with stop_on_signals() as request:
            return [request.signal, signal.getsignal(signal.SIGTERM)]

    with ThreadPoolExecutor(1) as other:
        assert other.submit(work).result() == [None, signal.getsignal(signal.SIGTERM)]
