"""The door `brushwork bench quality`."""

from dataclasses import asdict, field
from pathlib import Path
from typing import Annotated

import torch
import tyro

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
from brushwork.training.quality_benchmark import Contest, benchmark
from brushwork.training.quality_benchmark_report import Quality, picture

DESCRIPTION = """Train a preset, or FILE.json, in several ways for the same minutes, and tell how near to real
pictures each comes in how much time.

Stopped, the same command goes on. Every option of brushwork train holds. Two hours on a CPU, and a try:
    brushwork bench quality emoji-32 --data datasets/emoji-32
    brushwork bench quality emoji-32 --minutes 1 --seeds 1 --ways simultaneous alternating
"""


@options
class QualityArguments:
    """What to train, and for how long."""

    contest: Annotated[Contest, tyro.conf.arg(name="")] = field(default_factory=Contest)
    report: Path = Path("runs/bench-quality")
    """Folder for the runs, quality.json, quality.md and quality.png."""
    base: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def main(args: QualityArguments) -> None:
    """Trains and measures, prints a table, writes it with all curves and a picture."""
    paces, curves = benchmark(args.base, args.contest, args.report)
    quality = Quality(curves=curves, paces=paces)
    on_gpu = args.base.device == "auto" and torch.cuda.is_available()
    here = machine(("torch",), device="cuda" if on_gpu else "cpu")
    text = write_findings(args.report, "quality", here, asdict(args.contest), {"quality": quality})
    write_file(args.report / "quality.png", figure_png(picture(quality)))
    print(f"{text}\n\nAll curves: {args.report / 'quality.json'}; quality.md, quality.png beside it")


def racing() -> dict[str, tuple[str, QualityArguments]]:
    """The presets."""
    return {name: (words, QualityArguments(base=config)) for name, (words, config) in PRESETS.items()}


def from_file(path: Path) -> QualityArguments:
    return QualityArguments(base=read_preset(path))


def door() -> None:
    """Parses the command line: a preset or a file, then options."""
    guard(lambda: main(configured(racing(), from_file, DESCRIPTION)))


if __name__ == "__main__":
    door()
