"""The command `brushwork VERB`: finds the verb, parses its options, turns mistakes into one sentence."""

import errno
import importlib
import sys
from collections.abc import Callable
from typing import TypeVar

import tyro

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
BEYOND_US = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
"""What a disk may refuse: full, over the quota, not permitted, read-only."""
USAGE = "usage: brushwork VERB ...\n\n" + "".join(f"  {verb:9} {text}\n" for verb, text in VERBS.items())


def guard(action: Callable[[], object]) -> None:
    """Runs an action; a mistake of the user's ends it with one sentence and exit code 2."""
    try:
        action()
    except (DataError, EvalError, ModelError, TrainingError) as error:
        sys.exit(_complain(str(error)))
    except OSError as error:
        if error.errno not in BEYOND_US:
            raise
        sys.exit(
            _complain(
                f"cannot write {error.filename or 'the results'}: {error.strerror}; mend that, then repeat."
            )
        )
    except KeyboardInterrupt:
        print("brushwork: interrupted", file=sys.stderr)
        sys.exit(130)


def _complain(sentence: str) -> int:
    print(f"brushwork: {sentence}", file=sys.stderr)
    return 2


def run(arguments: type[Arguments], main: Callable[[Arguments], object]) -> None:
    """Parses the command line as `arguments` and runs `main` on them."""
    guard(lambda: main(tyro.cli(arguments)))


def main() -> None:
    """Entry point of the command `brushwork`."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(USAGE + "\nEvery verb has --help, with an example.")
        return
    verb = sys.argv[1]
    if verb not in VERBS:
        sys.exit(_complain(f"unknown verb {verb!r}.\n{USAGE}"))
    sys.argv = [f"brushwork {verb}", *sys.argv[2:]]
    importlib.import_module(f"brushwork.scripts.{verb}").door()


if __name__ == "__main__":
    main()
