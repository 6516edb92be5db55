"""Calls beside the loop: in order, one failure ends them, and it is told."""

import threading
from concurrent.futures import wait
from functools import partial

import pytest

from brushwork.training.run.background import Background

WAIT = 20.0
"""Seconds after which a test gives up."""


def test_calls_are_made_in_order_beside_the_caller_and_all_before_the_end() -> None:
    made: list[int] = []
    gate = threading.Event()
    with Background() as background:
        background.add(lambda: gate.wait(WAIT) or made.append(-1))
        for number in range(50):
            background.add(lambda number=number: made.append(number))
        gate.set()  # not reached if the first call were made here
        background.wait()
        assert made == list(range(50))
        background.add(lambda: made.append(50))
    assert made == list(range(51))


@pytest.mark.parametrize("how", ["add", "check", "wait", "end"])
def test_a_failure_is_told_to_the_caller_and_later_calls_are_dropped(how: str) -> None:
    gate, made = threading.Event(), []

    def fail() -> None:
        assert gate.wait(WAIT)
        raise OSError("the disk is full")

    background = Background()
    background.add(fail)
    background.add(lambda: made.append("later"))
    gate.set()
    if how in ("add", "check"):
        wait(background._pending)
    add = partial(background.add, lambda: made.append("new"))
    acts = {"add": add, "check": background.check, "wait": background.wait, "end": lambda: None}
    with pytest.raises(OSError, match="the disk is full"), background:
        made.append(acts[how]())
    assert made == ([None] if how == "end" else []), "the others raise where they are called"


def test_what_was_asked_for_is_done_before_an_error_of_the_caller_shows() -> None:
    made: list[int] = []

    background = Background()
    for number in range(10):
        background.add(lambda number=number: made.append(number))
    with pytest.raises(ValueError, match="diverged"), background:
        raise ValueError("diverged")
    assert made == list(range(10))


def test_an_impatient_user_waits_for_the_call_that_runs_only() -> None:
    gate, running, made = threading.Event(), threading.Event(), []

    def call() -> None:
        running.set()
        assert gate.wait(WAIT)
        made.append("running")

    background = Background()
    background.add(call)
    background.add(lambda: made.append("waiting"))
    assert running.wait(WAIT)
    threading.Timer(0.1, gate.set).start()
    with pytest.raises(KeyboardInterrupt), background:
        raise KeyboardInterrupt
    assert made == ["running"]
