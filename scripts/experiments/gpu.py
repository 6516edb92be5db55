"""What a GPU reaches in eight minutes (docs/results.md)."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from brushwork.data.curate.pack import PackConfig, pack
from brushwork.data.sources.emoji import fetch_emoji
from brushwork.data.sources.photographs import fetch_photographs
from brushwork.eval.report.tables import number
from brushwork.models.options import DeviceName, Duration, options, resolve_device
from brushwork.scripts.bench import train
from brushwork.scripts.bench.harness import Table, machine
from brushwork.scripts.cli import parse_and_run
from brushwork.scripts.experiments.documented import RESULTS, command_of, results_folder, write_results
from brushwork.training.presets import PRESETS
from brushwork.training.run.run_folder import RunFolder

COLLECTIONS: dict[str, tuple[Callable[[Path], object], PackConfig]] = {
    "emoji-64": (fetch_emoji, PackConfig(resolution=64)),
    "photographs-96x64": (
        partial(fetch_photographs, size=128), PackConfig(resolution=64, aspect="3:2"),
    ),
}  # fmt: skip
"""Functions that fetch, and how the images are packed, by the name of the data set."""
TIMED = ("emoji-64", "stylegan-256")
"""Presets whose training steps are timed."""
MEASURING = 0.25
"""Share of the time of trainings that goes into their measurement."""


@options
class Arguments:
    """Times training steps, and runs `brushwork train auto` and `brushwork measure` on emoji of 64 px and on
    photographs of 96 x 64 px.

    On a GPU machine without a network, bring datasets/emoji-64 and datasets/photographs-96x64. A try on a
    processor is the last:
        brushwork reproduce gpu
        brushwork reproduce gpu --quick --device cpu
    """

    minutes: Duration = 8.0
    """Minutes of everything."""
    device: DeviceName = "cuda"
    """Where the networks run: cuda, cuda:N, mps or cpu."""
    quick: bool = False
    """Steps of tiny networks alone; results go to runs/quick."""
    data: Path = Path("datasets")
    """Folder of the data sets; missing ones are fetched and packed."""
    out: Path = Path("runs/gpu")
    """Folder of the runs."""
    results: Path = RESULTS
    """Folder of gpu.json; the documents above it get the tables."""


def step_tables(args: Arguments) -> Iterator[tuple[str, Table]]:
    """Images a second, memory and breakdown of training steps."""
    for preset in ("toy",) if args.quick else TIMED:
        base = replace(PRESETS[preset][1], device=args.device)
        for key, table in train.tables(train.TrainArguments(repeats=2 if args.quick else 5, base=base)):
            yield f"{preset}-{key}", table


def trained_table(args: Arguments, minutes: float) -> Table:
    """Trains and measures on every data set, as a user does, each for so many minutes of training."""
    rows = [trained(args, name, minutes) for name in COLLECTIONS]
    return Table(
        title="`brushwork train auto`",
        header=("", "resolution", "thousand images", "minutes", "img/s", *FIGURES),
        rows=rows,
        notes=("Samples / held-out images against the training images; by EfficientNet-Lite0.",),
    )


FIGURES = {
    "FD": "fd",
    "KID": "kid",
    "recall": "recall",
    "style accuracy": "accuracy",
    "near-copies": "copies",
}


def trained(args: Arguments, name: str, minutes: float) -> tuple[str, ...]:
    """A row of the table."""
    (fetch, config), data, run = COLLECTIONS[name], args.data / name, args.out / name
    if not (data / "dataset.json").is_file():
        folder = args.data / f"{name}-images"
        fetch(folder)
        pack(folder, data, config)
    limit = ("--max-minutes", f"{minutes:g}", "--device", args.device, "--resume")
    brushwork("train", "auto", "--data", data, "--out", run, *limit)
    brushwork("measure", run, "--reference", data, "--device", args.device)
    *_, last = (line for line in RunFolder(run).history() if "seconds" in line)
    report: dict[str, Any] = json.loads((run / "measure" / "report.json").read_text())
    cells = [
        " / ".join(number(figures[side]["value"], 3) for side in ("measured", "real") if side in figures)
        for figures in (report["figures"].get(key, {}) for key in FIGURES.values())
    ]
    return (
        name, f"{last['resolution']} px", number(last["nimg"] / 1000, 3), number(last["seconds"] / 60, 3),
        number(last["nimg"] / last["seconds"], 3), *cells,
    )  # fmt: skip


def run_experiment(args: Arguments) -> None:
    """Times, trains and measures, and writes gpu.json; ends with the exit code of a command that fails."""
    began = time.monotonic()
    folder, command = results_folder(args.results, quick=args.quick), command_of("gpu", args)
    here = machine(("torch",), resolve_device(args.device))
    write = partial(write_results, folder, "gpu", command=command)
    write(dict(step_tables(args)), here)
    if not args.quick:
        left = args.minutes - (time.monotonic() - began) / 60
        write({"trained": trained_table(args, max(1.0, left * (1 - MEASURING) / len(COLLECTIONS)))}, here)


def brushwork(*words: object) -> None:
    """Prints and runs a command in a process of its own; exits with its code if it fails."""
    print(" ".join(["$ brushwork", *map(str, words)]), flush=True)
    ended = subprocess.run([sys.executable, "-m", "brushwork.scripts.cli", *map(str, words)])
    if ended.returncode:
        sys.exit(ended.returncode)


def main() -> None:
    """Parse the command line and run the experiment."""
    parse_and_run(Arguments, run_experiment)


if __name__ == "__main__":
    main()
