import io

import pytest

from brushwork.data.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def clocked(monkeypatch: pytest.MonkeyPatch, file: io.StringIO, seconds: float, count: int) -> str:
    """What a job of `count` steps of so many seconds shows."""
    now = 0.0
    with Progress(total=count, desc="job", file=file, leave=False) as bar:
        monkeypatch.setattr(bar, "_time", lambda: now)
        bar.start_t = bar.last_print_t = 0.0
        for _ in range(count):
            now += seconds
            bar.update()
    return file.getvalue()


def test_a_log_gets_a_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    said = clocked(monkeypatch, io.StringIO(), 1.0, 200)
    lines = [line for line in said.splitlines() if line]
    assert [line.split("|")[0] for line in lines] == ["job:  30%", "job:  60%", "job:  90%"]
    assert said.count("\r") <= 1, "but for the one with which tqdm ends"
    assert all("1.00it/s" in line for line in lines)


def test_a_log_gets_no_line_of_what_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    assert clocked(monkeypatch, io.StringIO(), 0.1, 200) == ""


def test_a_terminal_gets_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    assert clocked(monkeypatch, Terminal(), 1.0, 20).count("\r") > 10
