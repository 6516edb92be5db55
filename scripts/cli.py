"""The command `brushwork VERB`: finds the verb, parses its options, turns mistakes into one sentence.

What takes long to import is imported where it is used, so that the run_command is there before it.
"""

import contextlib
import difflib
import errno
import importlib
import importlib.metadata
import io
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn, TypeVar

from brushwork.data.errors import DataError
from brushwork.eval.errors import EvalError
from brushwork.models.errors import ModelError
from brushwork.training.errors import TrainingError

Arguments = TypeVar("Arguments")

VERBS = {
    "fetch": "fetch pictures in several styles: emoji, icons, photographs, modes",
    "pack": "curate a folder of styles into a data set",
    "pretrain": "prepare a generator on pictures without labels",
    "train": "train a style-conditional StyleGAN",
    "tune": "search better settings of a preset by short trainings",
    "sample": "draw pictures, grids and figures from a trained run",
    "restyle": "redraw pictures in a style, by name or like other pictures",
    "stylize": "redraw pictures like others by optimising pixels, without a trained run",
    "measure": "measure how well a run keeps the styles",
    "bench": "time and compare with other implementations",
}
WITHOUT_A_NAME = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a disk refuses in the middle of a file, where the system no longer says which: full, over the quota,
too large, broken."""
USAGE = "usage: brushwork VERB ...\n\n" + "".join(f"  {verb:9} {text}\n" for verb, text in VERBS.items())


# Mistakes
def run_command(action: Callable[[], object]) -> None:
    """Runs an action; a mistake of the user's ends it with one sentence and exit code 2."""
    try:
        try:
            action()
        finally:
            sys.stdout.flush()  # or a reader that has gone would show when the interpreter ends
    except (DataError, EvalError, ModelError, TrainingError) as error:
        fail(str(error))
    except (OSError, ValueError) as error:
        if isinstance(error, BrokenPipeError) and _reader_has_gone():
            sys.exit(141)  # as a shell says of a program that SIGPIPE ended
        sentence = _of_a_file(error) if isinstance(error, OSError) else _refused(error)
        if sentence is None:
            raise
        fail(sentence)
    except KeyboardInterrupt:
        print("brushwork: interrupted", file=sys.stderr)
        sys.exit(130)


def fail(sentence: str) -> NoReturn:
    """Ends the command with a sentence and exit code 2."""
    print(f"brushwork: {sentence}", file=sys.stderr)
    sys.exit(2)


def nearest(word: str, known: Iterable[str]) -> str:
    """What to try instead of a word that is not known, as the end of a sentence."""
    near = difflib.get_close_matches(word, known, n=1)
    hint = f"did you mean {near[0]!r}? There are" if near else "take one of"
    return f"{hint} {', '.join(known)}."


def _of_a_file(error: OSError) -> str | None:
    """What to say of a file that cannot be read or written; None: it is no matter of a file."""
    name = error.filename2 or error.filename
    if error.errno is None or (name is None and error.errno not in WITHOUT_A_NAME):
        return None
    return f"cannot read or write {name or 'the results'}: {error.strerror}; mend that, then repeat."


def _reader_has_gone() -> bool:
    """Whether nobody reads standard output any more, which is then turned off."""
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _refused(error: BaseException | None) -> str | None:
    """What to say of an option's value that is not allowed; None: the error does not come of one."""
    from pydantic import ValidationError

    from brushwork.models.options import sentence_of

    within = ""
    while error is not None and not isinstance(error, ValidationError):
        within = getattr(error, "arg", "")  # where tyro's error was: the field whose own options were refused
        error = error.__context__
    return None if error is None else sentence_of(error, lambda name: _as_typed(f"{within}.{name}"))


def _as_typed(name: str) -> str:
    """The option by which the command line set a field, else the field's dotted name."""
    parts = name.partition("[")[0].replace("_", "-").split(".")
    typed = {word.partition("=")[0].replace("_", "-") for word in sys.argv if word.startswith("--")}
    options = (f"--{'.'.join(parts[start:])}" for start in range(len(parts)))
    return next((option for option in options if option in typed), name.lstrip("."))


def _renamed(message: str) -> str | None:
    """What to say of an option that once had another name; None if tyro's message is of something else."""
    if "nrecognized" not in message:
        return None
    from brushwork.training.renames import renamed

    typed = [word.partition("=")[0] for word in sys.argv if word.startswith("--")]
    return next((sentence for word in typed if word in message and (sentence := renamed(word))), None)


# Command lines
def parse(
    kind: type[Arguments],
    *,
    default: Arguments | None = None,
    words: Sequence[str] | None = None,
    prog: str | None = None,
    description: str | None = None,
) -> Arguments:
    """The options of a command line, by default this process's; a mistake ends the command."""
    import tyro

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                kind, default=tyro.MISSING_NONPROP if default is None else default, args=words, prog=prog,
                description=description,
            )  # fmt: skip
    except SystemExit as ended:
        if sentence := _refused(ended) or _renamed(said.getvalue()):
            fail(sentence)
        sys.stderr.write(said.getvalue())
        raise


def parse_and_run(arguments: type[Arguments], main: Callable[[Arguments], object]) -> None:
    """Parses the command line as `arguments` and runs `main` on them."""
    run_command(lambda: main(parse(arguments)))


def main() -> None:
    """Entry point of the command `brushwork`."""
    run_command(_run_verb)


def _run_verb() -> None:
    verb = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if verb in ("-h", "--help"):
        print(USAGE + "\nEvery verb has --help, with an example.")
    elif verb == "--version":
        print(f"brushwork {importlib.metadata.version('brushwork')}")
    elif verb not in VERBS:
        fail(f"There is no verb {verb!r}: {nearest(verb, VERBS)}")
    else:
        sys.argv = [f"brushwork {verb}", *sys.argv[2:]]
        importlib.import_module(f"brushwork.scripts.{verb}").main()


if __name__ == "__main__":
    main()
