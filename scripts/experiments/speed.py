"""How fast are training, sampling and loading (docs/performance.md)?"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from brushwork.models.options import options
from brushwork.scripts.bench import data, growth, sample, train
from brushwork.scripts.bench.harness import Table, machine
from brushwork.scripts.cli import parse_and_run
from brushwork.scripts.experiments.documented import RESULTS, command_of, results_folder, write_results
from brushwork.scripts.experiments.variants import one_resolution
from brushwork.training.config import TrainConfig
from brushwork.training.presets import PRESETS

Parts = Iterable[tuple[str, Table]]


@options
class Arguments:
    """Times training steps, also beside StyleGAN2's, sampling and loading, as `brushwork bench` does.

    Quarter of an hour on two cores with nothing else on the machine, and a try:
        brushwork reproduce speed
        brushwork reproduce speed --quick
    """

    repeats: train.Repeats = 5
    """Rounds of each comparison, after one to warm up."""
    quick: bool = False
    """Networks of 16 px and two rounds; results go to runs/quick."""
    results: Path = RESULTS
    """Folder of speed.json; the documents above it get the tables."""


def parts(args: Arguments) -> Iterator[tuple[str, Table]]:
    """The tables by name, one benchmark after the other."""
    preset, repeats = ("toy", 2) if args.quick else ("emoji-32", args.repeats)
    base = one_resolution(PRESETS[preset][1]) if args.quick else PRESETS[preset][1]

    def timed(config: TrainConfig, *, beside: bool = False) -> Parts:
        return train.tables(train.TrainArguments(repeats=repeats, with_stylegan2=beside, base=config))

    in_float32 = replace(base, precision="fp32")
    wide = base if args.quick else one_resolution(replace(PRESETS["emoji-64"][1], batch=16))
    sampled = sample.SampleArguments(source=preset, repeats=repeats, pictures=64 if args.quick else 256)
    generator = sample.generator_for(preset, torch.device("cpu"))
    loaded = data.DataArguments(repeats=repeats, batches=2 if args.quick else 50)
    benchmarks: dict[str, Callable[[], Parts]] = {
        "train": partial(timed, base),
        "float32": partial(timed, in_float32, beside=True),
        "wide": partial(timed, wide),
        "sample": partial(sample.tables, generator, sampled),
        "data": partial(data.tables, loaded),
        "growth": partial(growth.tables, growth.GrowthArguments(repeats=repeats, base=base)),
    }
    for name, run in benchmarks.items():
        for key, table in run():
            yield f"{name}-{key}", table


def run_experiment(args: Arguments) -> None:
    """Times all, and writes speed.json."""
    here, command = machine(data.PACKAGES), command_of("speed", args)
    folder = results_folder(args.results, quick=args.quick)
    write_results(folder, "speed", dict(parts(args)), here, command=command)


def main() -> None:
    """Parse the command line and run the experiment."""
    parse_and_run(Arguments, run_experiment)


if __name__ == "__main__":
    main()
