"""The door `brushwork bench sample`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch
import tyro

from brushwork.eval.benchmark import machine
from brushwork.eval.benchmark_report import plot, write_findings
from brushwork.models.options import Count, options
from brushwork.training.sample_benchmark import Sizes, benchmark, generator_for


@options
class SampleBenchArguments:
    """Times drawing pictures in batches of several sizes, encoding them as PNG by several threads, and both
    together, one after the other and at once as brushwork sample does.

    Examples, a minute on a CPU:
        brushwork bench sample emoji-32
        brushwork bench sample runs/emoji-32 --pictures 1024
    """

    source: Annotated[str, tyro.conf.Positional]
    """A run folder, a snapshot, a Hub repository, or a preset, whose network has fresh weights."""
    pictures: Count = Sizes.pictures
    """In each round of encoding; drawing alone is timed on 64 at most."""
    repeats: Count = Sizes.repeats
    """Rounds after the first, in which everything has its turn."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Where the network runs."""
    out: Path = Path("runs/bench")
    """Folder for sample.json, sample.md and sample.png."""


def main(args: SampleBenchArguments) -> None:
    """Measures, prints a table of each part, writes all of them."""
    sizes = Sizes(pictures=args.pictures, drawn=min(Sizes.drawn, args.pictures), repeats=args.repeats)
    generator, here = generator_for(args.source, args.device), machine(("torch", "pillow"), args.device)
    args.out.mkdir(parents=True, exist_ok=True)
    found = benchmark(generator, sizes)
    words = f"{args.source}, {generator.trained_stage.resolution} px; {here.words()}"
    about = {**asdict(sizes), "source": args.source}
    text = write_findings(args.out, "sample", here, about, found, head=words)
    plot(args.out / "sample.png", found)
    print(f"{text}\n")
    print(f"All rounds: {args.out / 'sample.json'}; sample.md, sample.png beside it")


def door() -> None:
    """Parses the command line and measures."""
    from brushwork.scripts.cli import run

    run(SampleBenchArguments, main)


if __name__ == "__main__":
    door()
