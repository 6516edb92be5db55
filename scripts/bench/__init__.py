"""The command `brushwork bench KIND`."""

import importlib
import sys

from brushwork.eval.errors import EvalError
from brushwork.scripts.cli import nearest, run_command

KINDS = {
    "metrics": "time and values of the metrics beside other libraries",
    "restyle": "runs beside other methods of restyling, measured alike",
    "sample": "images a second of generating and of encoding",
    "stylize": "time to the loss of published style transfer",
    "train": "images a second of a preset, and its share of the machine's peak",
    "quality": "quality against time for several ways of training",
    "data": "images a second and core: decoded, moved, in batches",
    "growth": "time and memory by resolution, batch and width",
    "styles": "time and memory of 8, 100 and 1000 styles",
}
"""Help texts by the names of the modules."""


def main() -> None:
    """Runs the benchmark that the first word of the command line names."""
    run_command(_run_kind)


def _run_kind() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        kinds = "".join(f"  {kind:9} {about}\n" for kind, about in KINDS.items())
        print(f"usage: brushwork bench KIND ...\n\n{kinds}\nEvery kind has --help, with an example.")
        return
    if name not in KINDS:
        raise EvalError(f"There is no benchmark {name!r}: {nearest(name, KINDS)}")
    sys.argv = [f"brushwork bench {name}", *sys.argv[2:]]
    importlib.import_module(f"brushwork.scripts.bench.{name}").main()


if __name__ == "__main__":
    main()
