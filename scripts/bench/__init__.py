"""The command `brushwork bench KIND`."""

import importlib
import sys
from dataclasses import dataclass

from brushwork.eval.errors import EvalError
from brushwork.scripts.cli import nearest, run_command


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of benchmark, and the module among the scripts that has its door."""

    about: str
    module: str


KINDS = {
    "metrics": Kind(about="distances, features and memory beside other libraries", module="metrics"),
    "restyle": Kind(about="runs beside other restylers, measured alike", module="restyle"),
    "sample": Kind(about="how fast pictures are drawn and written", module="sample"),
    "stylize": Kind(about="time to the loss of published style transfer", module="stylize"),
    "train": Kind(about="how fast a preset trains, and how near the machine's limit", module="train"),
    "quality": Kind(about="how good a way of training gets in how much time", module="quality"),
    "data": Kind(about="pictures a second and core: decoded, moved, in batches", module="data"),
    "growth": Kind(about="time and memory by resolution, batch and width", module="growth"),
    "styles": Kind(about="what 8, 100 and 1000 styles cost in time and memory", module="styles"),
}


def usage() -> str:
    kinds = "".join(f"  {name:9} {kind.about}\n" for name, kind in KINDS.items())
    return f"usage: brushwork bench KIND ...\n\n{kinds}\nEvery kind has --help, with an example."


def main() -> None:
    """Reads the kind of benchmark, then its options."""
    run_command(_run_kind)


def _run_kind() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print(usage())
        return
    if name not in KINDS:
        raise EvalError(f"There is no benchmark {name!r}: {nearest(name, KINDS)}")
    sys.argv = [f"brushwork bench {name}", *sys.argv[2:]]
    importlib.import_module(f"brushwork.scripts.bench.{KINDS[name].module}").main()


if __name__ == "__main__":
    main()
