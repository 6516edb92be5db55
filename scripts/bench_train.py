"""The door `brushwork bench train`."""

from dataclasses import asdict, field
from pathlib import Path
from typing import Annotated

import torch
import tyro
from annotated_types import Interval

from brushwork.data.files import write_file
from brushwork.eval.benchmark import machine
from brushwork.eval.benchmark_report import write_findings
from brushwork.eval.plots import figure_png
from brushwork.models.options import options
from brushwork.scripts.cli import guard
from brushwork.scripts.configured import configured
from brushwork.training.config import TrainConfig
from brushwork.training.preset_files import read_preset
from brushwork.training.presets import PRESETS
from brushwork.training.train_benchmark import Sizes, benchmark
from brushwork.training.train_benchmark_report import findings, picture

DESCRIPTION = """Time the training steps of a preset, or of FILE.json, at each of its resolutions, on noise.

It tells pictures a second, memory, the operations of a step beside what the machine can do at best, and where
the time goes. Every option of brushwork train holds. Examples, a minute on a CPU:
    brushwork bench train emoji-32
    brushwork bench train emoji-32 --batch 32 --generator.resolution 64
    brushwork bench train emoji-32 --peer
"""


@options
class BenchConfig:
    """How often is timed, and where the findings go."""

    repeats: Annotated[int, Interval(ge=2, le=10**6)] = Sizes.repeats
    """Rounds after the first, in which everything has its turn; one alone tells no spread."""
    report: Path = Path("runs/bench")
    """Folder for the findings: JSON, Markdown and a picture."""


@options
class TrainBenchConfig(BenchConfig):
    """Beside what."""

    peer: bool = False
    """Time StyleGAN2's networks and steps, too: of the same resolutions, widths and batch, on a processor."""


@options
class TrainBenchArguments:
    """What to time."""

    bench: Annotated[TrainBenchConfig, tyro.conf.arg(name="")] = field(default_factory=TrainBenchConfig)
    base: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def main(args: TrainBenchArguments) -> None:
    """Measures, prints tables, writes them with all rounds and a picture."""
    folder = args.bench.report
    folder.mkdir(parents=True, exist_ok=True)
    sizes = Sizes(repeats=args.bench.repeats, peer=args.bench.peer)
    paces = benchmark(args.base, sizes)
    on_gpu = args.base.device == "auto" and torch.cuda.is_available()
    here = machine(("torch",), device="cuda" if on_gpu else "cpu")
    found = findings(paces)
    text = write_findings(folder, "train", here, asdict(sizes), found)
    write_file(folder / "train.png", figure_png(picture(paces), dpi=100))
    print(f"{text}\n")
    print(f"All rounds: {folder / 'train.json'}; train.md, train.png beside it")


def benchable() -> dict[str, tuple[str, TrainBenchArguments]]:
    """The presets."""
    return {name: (words, TrainBenchArguments(base=config)) for name, (words, config) in PRESETS.items()}


def from_file(path: Path) -> TrainBenchArguments:
    return TrainBenchArguments(base=read_preset(path))


def door() -> None:
    """Parses the command line: a preset or a file, then options."""
    guard(lambda: main(configured(benchable(), from_file, DESCRIPTION)))


if __name__ == "__main__":
    door()
