"""The door `brushwork bench growth`."""

from dataclasses import asdict, field
from pathlib import Path
from typing import Annotated

import torch
import tyro

from brushwork.data.files import write_file
from brushwork.eval.benchmark import Finding, machine
from brushwork.eval.benchmark_report import write_findings
from brushwork.eval.plots import figure_png
from brushwork.models.options import options
from brushwork.scripts.bench_train import BenchConfig
from brushwork.scripts.cli import guard
from brushwork.scripts.configured import configured
from brushwork.training.config import TrainConfig
from brushwork.training.growth_benchmark import benchmark
from brushwork.training.growth_benchmark_report import Growth, picture
from brushwork.training.preset_files import read_preset
from brushwork.training.presets import PRESETS
from brushwork.training.train_benchmark import Sizes

DESCRIPTION = """Time the training steps of a preset, or of FILE.json, with resolution, batch and width halved
and doubled, one at a time, on noise.

It tells pictures a second, memory, operations, and the powers at which time and memory grow. The middle is
the final resolution; every option of brushwork train holds. Examples, some minutes on a CPU:
    brushwork bench growth emoji-32
    brushwork bench growth emoji-32 --batch 8 --repeats 4
"""


@options
class GrowthArguments:
    """What to time."""

    bench: Annotated[BenchConfig, tyro.conf.arg(name="")] = field(default_factory=BenchConfig)
    base: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def main(args: GrowthArguments) -> None:
    """Measures, prints a table, writes it with all rounds and a picture."""
    folder = args.bench.report
    folder.mkdir(parents=True, exist_ok=True)
    sizes = Sizes(repeats=args.bench.repeats)
    lines = benchmark(args.base, sizes)
    on_gpu = args.base.device == "auto" and torch.cuda.is_available()
    here = machine(("torch",), device="cuda" if on_gpu else "cpu")
    found: dict[str, Finding] = {"growth": Growth(lines=lines)}
    text = write_findings(folder, "growth", here, asdict(sizes), found)
    write_file(folder / "growth.png", figure_png(picture(lines), dpi=100))
    print(f"{text}\n")
    print(f"All rounds: {folder / 'growth.json'}; growth.md, growth.png beside it")


def growable() -> dict[str, tuple[str, GrowthArguments]]:
    """The presets."""
    return {name: (words, GrowthArguments(base=config)) for name, (words, config) in PRESETS.items()}


def from_file(path: Path) -> GrowthArguments:
    return GrowthArguments(base=read_preset(path))


def door() -> None:
    """Parses the command line: a preset or a file, then options."""
    guard(lambda: main(configured(growable(), from_file, DESCRIPTION)))


if __name__ == "__main__":
    door()
