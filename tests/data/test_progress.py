import io

import pytest

from brushwork.data.progress import Progress


def clocked(monkeypatch: pytest.MonkeyPatch, file: io.StringIO, seconds: float, count: int) -> str:
    """The output of a job of `count` steps, each of so many seconds."""
    now = 0.0
    with Progress(total=count, desc="job", file=file, leave=False) as bar:
        monkeypatch.setattr(bar, "_time", lambda: now)
        bar.start_t = bar.last_print_t = 0.0
        for _ in range(count):
            now += seconds
            bar.update()
    return file.getvalue()


def test_a_log_gets_a_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    text = clocked(monkeypatch, io.StringIO(), 1.0, 200)
    lines = [line for line in text.splitlines() if line]
    assert [line.split("|")[0] for line in lines] == ["job:  30%", "job:  60%", "job:  90%"]
    assert text.count("\r") <= 1, "tqdm itself ends with one"
    assert all("1.00it/s" in line for line in lines)


def test_a_short_job_has_no_line_and_a_terminal_gets_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    assert clocked(monkeypatch, io.StringIO(), 0.1, 200) == ""
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    assert clocked(monkeypatch, terminal, 1.0, 20).count("\r") > 10
