"""What ends a command: one sentence for mistakes, silence for a reader that has gone, a trace for faults."""

import errno
import importlib
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from brushwork.data.files import write_file
from brushwork.scripts.cli import VERBS, main, run_command
from brushwork.training.presets import PRESETS, toy

if TYPE_CHECKING:
    from ..conftest import Shell
else:
    Shell = Any


def run_python(code: str) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", code]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# Files
def below_a_file(folder: Path) -> Path:
    (folder / "file").write_text("")
    return folder / "file" / "x"


def folder_of_that_name(folder: Path) -> Path:
    (folder / "taken" / "x").mkdir(parents=True)
    return folder / "taken"


def in_a_loop(folder: Path) -> Path:
    (folder / "loop").symlink_to(folder / "loop")
    return folder / "loop" / "x"


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (below_a_file, errno.ENOTDIR),
        (folder_of_that_name, errno.EISDIR),
        (in_a_loop, errno.ELOOP),
        (lambda folder: folder / ("x" * 300) / "y", errno.ENAMETOOLONG),
    ],
)
def test_a_place_that_cannot_be_written_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, place: Callable[[Path], Path], why: int
) -> None:
    path = place(tmp_path)
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: write_file(path, "content"))
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith(f"brushwork: cannot read or write {tmp_path}")
    assert said.count("\n") == 1
    assert "; mend that, then repeat." in said
    assert isinstance(ended.value.__context__, OSError)
    assert ended.value.__context__.errno in (why, errno.EEXIST)


def test_a_file_that_may_not_grow_is_a_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(SystemExit) as ended:
            run_command(lambda: write_file(tmp_path / "large", "x" * 10000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ended.value.code == 2
    assert "File too large; mend that, then repeat." in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "fault",
    [ValueError("x"), OSError("no number"), ConnectionRefusedError(errno.ECONNREFUSED, "x"), KeyError()],
)
def test_a_fault_of_ours_keeps_its_trace(fault: Exception) -> None:
    def fail() -> None:
        raise fault

    with pytest.raises(type(fault)) as raised:
        run_command(fail)
    assert raised.value is fault


def test_a_reader_that_has_gone_ends_the_command_without_a_word() -> None:
    lines = "[print('x' * 99) for _ in range(10**5)]"
    code = f"from brushwork.scripts.cli import run_command; run_command(lambda: {lines})"
    with run_python(code) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141


# Interrupts
def test_an_interrupt_while_a_verb_is_imported_is_no_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib, "import_module", interrupted)
    monkeypatch.setattr(sys, "argv", ["brushwork", "train", "toy"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "brushwork: interrupted\n"


def test_nothing_that_takes_long_is_imported_before_mistakes_are_caught() -> None:
    slow = "{'torch', 'numpy', 'pydantic', 'tyro'}"
    with run_python(f"import sys, brushwork.scripts.cli; print({slow} & set(sys.modules))") as process:
        assert process.communicate()[0] == "set()\n"


# Options
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_alone_says_what_it_lacks(shell: Shell, verb: str) -> None:
    if verb == "bench":
        assert "usage" in shell(verb)
        return
    with pytest.raises(SystemExit) as ended:
        shell(verb)
    assert ended.value.code == 2
    assert shell.capsys.readouterr().err


def test_a_value_that_is_refused_after_parsing_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: replace(toy().loss, r1_gamma=float("nan")))
    assert ended.value.code == 2
    assert capsys.readouterr().err == "brushwork: r1_gamma is nan: it must be a finite number or 'auto'.\n"


def test_an_unknown_option_is_looked_up_in_a_command_that_exists(shell: Shell) -> None:
    with pytest.raises(SystemExit) as ended:
        shell("train", "toy", "--bacth", "3")
    assert ended.value.code == 2
    said = shell.capsys.readouterr().err
    assert "--batch" in said
    assert "brushwork train toy --help" in said


# Presets
@pytest.mark.parametrize(
    "command", ["train", "pretrain", "tune", "bench train", "bench growth", "bench quality"]
)
def test_presets_are_listed_and_an_unknown_one_is_a_mistake(shell: Shell, command: str) -> None:
    with pytest.raises(SystemExit) as ended:
        shell(*command.split(), "--help")
    assert ended.value.code == 0
    said = shell.capsys.readouterr().out
    assert f"usage: brushwork {command} PRESET" in said
    assert f"brushwork {command} PRESET --help" in said
    for name, (text, _) in PRESETS.items():
        assert f"{name} " in said
        assert text in said
    assert "no preset 'emojj-32': did you mean 'emoji-32'?" in shell.mistake(*command.split(), "emojj-32")
    for words in ((), ("--seed", "1")):
        assert "first word names a preset or a FILE.json: emoji-32, " in shell.mistake(
            *command.split(), *words
        )
