"""What ends a command: one sentence for user errors, nothing for a closed output, a traceback for bugs."""

import errno
import importlib
import importlib.metadata
import math
import re
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from brushwork.data.files import write_file
from brushwork.scripts import arguments
from brushwork.scripts.bench import BENCHMARKS
from brushwork.scripts.cli import VERBS, fail, run_command
from brushwork.scripts.experiments import EXPERIMENTS
from brushwork.training.presets import PRESETS, toy

from ..conftest import Shell

CONFIGURED = ("train", "pretrain", "tune", "bench train", "bench growth")
COMMANDS = [
    *(verb for verb in VERBS if verb not in ("bench", "fetch", "reproduce", *CONFIGURED)),
    *(f"fetch {what}" for what in ("emoji", "icons", "photographs", "modes", "hed-vgg16")),
    *(f"bench {name}" for name in BENCHMARKS),
    *(f"reproduce {name}" for name in EXPERIMENTS),
    *("train", "pretrain", "tune"),
]


def printed_by(shell: Shell, code: int, action: Callable[..., object], *arguments: object) -> str:
    """What an action prints that ends with this exit code."""
    with pytest.raises(SystemExit) as ended:
        action(*arguments)
    assert ended.value.code == code
    return "".join(shell.capsys.readouterr())


def help_of(shell: Shell, command: str, option: str = "--help") -> str:
    return printed_by(shell, 0, shell, *command.split(), option)


@pytest.mark.parametrize("name", ["file/x", "folder", "x" * 300])
def test_a_file_that_cannot_be_written_is_named(shell: Shell, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "x").mkdir(parents=True)
    printed = printed_by(shell, 2, run_command, lambda: write_file(tmp_path / name, "content"))
    assert printed.startswith(f"brushwork: cannot read or write {tmp_path}")
    assert printed.endswith("; fix this, then repeat.\n")
    assert printed.count("\n") == 1


def test_a_file_above_the_size_limit_is_a_sentence(shell: Shell, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        printed = printed_by(shell, 2, run_command, lambda: write_file(tmp_path / "large", "x" * 9999))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "File too large; fix this, then repeat." in printed
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "bug", [ValueError("x"), OSError("x"), ConnectionRefusedError(errno.ECONNREFUSED, "x")]
)
def test_a_bug_keeps_its_traceback(bug: Exception) -> None:
    def fail() -> None:
        raise bug

    with pytest.raises(type(bug)) as raised:
        run_command(fail)
    assert raised.value is bug


def test_a_gpu_that_is_too_small_is_a_sentence(shell: Shell) -> None:
    def fill() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    assert "divide the batch by --accumulate" in printed_by(shell, 2, run_command, fill)


def test_a_mistake_that_a_second_process_makes_later_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for rank, sentence in ((0, "wrong."), (1, "wrong."), (1, "also wrong.")):
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / f"{rank}/error.json"))
        with pytest.raises(SystemExit):
            fail(sentence)
    assert capsys.readouterr().err == "brushwork: wrong.\nbrushwork: also wrong.\n"


def test_a_closed_output_ends_the_command_silently() -> None:
    lines = "[print('x' * 99) for _ in range(10**5)]"
    code = f"from brushwork.scripts.cli import run_command; run_command(lambda: {lines})"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141


def test_an_interrupt_during_imports_has_no_traceback(shell: Shell) -> None:
    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    shell.monkeypatch.setattr(importlib, "import_module", interrupted)
    assert printed_by(shell, 130, shell, "train", "toy") == "brushwork: interrupted\n"


def test_slow_packages_are_imported_after_errors_are_caught() -> None:
    slow = "{'torch', 'numpy', 'pydantic', 'tyro'}"
    code = f"import sys, brushwork.scripts.cli; print({slow} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


def test_verbs_and_benchmarks_are_listed_and_an_unknown_one_is_an_error(shell: Shell) -> None:
    assert shell("--version") == f"brushwork {importlib.metadata.version('brushwork')}\n"
    assert all(f"  {verb} " in shell() for verb in VERBS)
    assert all(f"  {name} " in shell("bench") for name in BENCHMARKS)
    assert re.search("  hed-vgg16 +Take the weights", shell("fetch"))
    assert "no verb 'emboss': take one of fetch, pack" in shell.mistake("emboss")
    assert "no verb 'trian': did you mean 'train'?" in shell.mistake("trian", "toy")
    assert "no benchmark 'metric': did you mean 'metrics'?" in shell.mistake("bench", "metric")


def test_a_value_that_is_refused_after_parsing_is_a_sentence(shell: Shell) -> None:
    printed = printed_by(shell, 2, run_command, lambda: replace(toy().loss, r1_gamma=math.nan))
    assert printed == "brushwork: r1_gamma is nan: it must be a finite number or 'auto'.\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("train toy --every.tick-kimg 1", "--every.tick-kimg is now called --interval.status-kimg."),
        ("pack a b --near-bits 3", "--near-bits was removed (docs/renames.md says why): leave it out."),
        ("pack --near-bits=3", "--near-bits was removed"),
        (
            "train toy --bacth 3",
            "no option --bacth: did you mean --batch? See `brushwork train toy --help-all`.",
        ),
        ("tune toy --zzz 3", "There is no option --zzz: see `brushwork tune toy --help-all`."),
        ("train toy --augment.cutout x", "'x': see `brushwork train toy --help-all`."),
        (
            "train toy --augment.ada-kimg 3",
            "augment.ada_kimg is 3, but nothing is augmented adaptively: name",
        ),
        (
            "train toy --generator.channels 4",
            "--generator.channels is decided by the data set: pack the images",
        ),
        ("train toy --strict", "There is no option --strict: "),
        ("pack", "FOLDER, DATASET and --resolution are missing: see `brushwork pack --help`."),
        ("stylize", "CONTENT and STYLES are missing: see `brushwork stylize --help`."),
        ("sample", "RUN is missing: see `brushwork sample --help`."),
        ("restyle a b --looks own", "--style-code content (before: own) or latent (before: drawn)."),
        ("restyle a b --blend a=.5,b=.5", "--style, with blends such as a=0.5+b=0.5."),
        ("sample a --keep", "--keep is now called --skip-existing."),
        ("fetch emoji a --margin 1", "--margin was removed"),
        ("fetch emojy a", "There is no source 'emojy': did you mean 'emoji'? There are emoji, icons, "),
        ("pack a", "DATASET and --resolution are missing: see `brushwork pack --help`."),
        ("stylize a", "There is no style to follow: name an image, several, or a folder of them."),
        ("restyle a b --mode round", "invalid choice 'round' for argument '--mode'. Expected one of ("),
        ("sample a b", "Unrecognized options: b: see `brushwork sample --help`."),
        ("sample a --psi x", "Error parsing --psi: could not convert string to float: 'x': see"),
    ],
)
def test_old_options_and_mistakes_are_one_sentence(shell: Shell, words: str, sentence: str) -> None:
    printed = shell.mistake(*words.split())
    assert sentence in printed
    assert printed.count("\n") == 1


def test_help_shows_what_may_be_left_out_and_is_not_wider_than_the_terminal(shell: Shell) -> None:
    shell.monkeypatch.setenv("COLUMNS", "80")
    assert "usage: brushwork bench data [DATASET] [OPTIONS]" in help_of(shell, "bench data")
    text = help_of(shell, "stylize")
    assert "usage: brushwork stylize CONTENT STYLES ... [OPTIONS]" in text
    assert max(map(len, text.partition("Arguments:")[2].splitlines())) <= 80
    assert re.search(r"^  --optimizer \{lbfgs,adam-lbfgs\} .*", text, re.MULTILINE)
    assert re.search(r"^  --clamp --no-clamp +Clamp the image", text, re.MULTILINE)
    assert "[0.5]" in text
    assert "Defaults in brackets" not in help_of(shell, "train")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_that_parse(shell: Shell, command: str) -> None:
    text = help_of(shell, command)
    examples = re.findall(r"^ +brushwork (.+)$", text, re.MULTILINE)
    assert examples or command.startswith("bench")
    parse = arguments.parse

    def parse_only(*words: Any, **options: Any) -> NoReturn:
        parse(*words, **options)
        raise SystemExit(0)

    for module in ("arguments", "stylize", "train"):
        shell.monkeypatch.setattr(f"brushwork.scripts.{module}.parse", parse_only)
    for example in examples:
        if not example.split()[1].endswith(".json"):
            printed_by(shell, 0, shell, *shlex.split(example))


@pytest.mark.parametrize("command", CONFIGURED)
def test_help_lists_presets_and_main_options(shell: Shell, command: str) -> None:
    text = help_of(shell, command)
    assert f"usage: brushwork {command} PRESET" in text
    for name, (about, _) in PRESETS.items():
        assert f"{name} " in text
        assert about in text
    short = help_of(shell, f"{command} emoji-32")
    assert short.count("\n") < 60
    assert f"brushwork {command} emoji-32 --help-all" in short
    for text_of_options in (text, short):
        for names in arguments.MAIN_OPTIONS.values():
            assert all(f"  --{name} " in text_of_options for name in names)
    assert re.search(r"--optimizer.generator-lr .* \[0.01\]$", short, re.MULTILINE)
    words = command.split()
    assert "no preset 'emojj-32': did you mean 'emoji-32'?" in shell.mistake(*words, "emojj-32")
    wrong = shell.mistake(*words, "--seed", "1")
    assert re.search(r"first word names a preset or a FILE.json: (auto, )?emoji-32, ", wrong)


def test_help_all_lists_every_option(shell: Shell) -> None:
    text = help_of(shell, "tune toy", "--help-all")
    assert "--trials" in help_of(shell, "tune toy")
    for option in arguments.options_of(type(toy())):
        if option.name.rpartition(".")[2] not in ("rise-kimg", "fall-kimg"):  # only in files
            assert f"--{option.name}" in text
