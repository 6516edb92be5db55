"""The door `brushwork measure`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from torch import Tensor

from brushwork.eval.folder import holds_pictures, read_styled_folder, report_folder
from brushwork.eval.measures import Measures
from brushwork.eval.report import save_rows, table, write_report
from brushwork.eval.suite import evaluate, evaluate_images, load_reference
from brushwork.models.sampling import sample
from brushwork.models.snapshot import load_generator


@dataclass(frozen=True, kw_only=True)
class MeasureArguments:
    """Measures a run, a snapshot or a folder of pictures against a data set: distance, style, report.

    Example, half a minute on a CPU:
        brushwork measure runs/emoji-32 --reference data/emoji-32
    """

    source: Annotated[str, tyro.conf.Positional]
    """RUN (run folder, snapshot, Hub id), or FOLDER of pictures as FOLDER/<style>/*."""
    reference: Path
    """The packed data set to compare with; its test split gives the ceiling."""
    per_style: int = 200
    """Samples drawn of each style; the project's figures are taken with 200."""
    out: Path | None = None
    """Where the report goes; by default RUN/measure or FOLDER-measure."""
    psi: float = 1.0
    """Truncation toward each style's average, 0 to 1; figures are taken at 1."""
    seed: int = 0
    """Seed of the first sample of every style; sample i has seed + i."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Where networks run."""


def main(args: MeasureArguments) -> None:
    """Measures, prints the table and where the report lies."""
    measure = _measure_folder if holds_pictures(Path(args.source)) else _measure_run
    measure(args)


def _measure_run(args: MeasureArguments) -> None:
    generator = load_generator(args.source, device=args.device)
    reference = load_reference(args.reference, device=args.device, progress=True)
    names, shown = generator.style_names, torch.arange(args.seed, args.seed + 8)

    def sampler(styles: Tensor, seeds: Tensor) -> Tensor:
        return sample(generator, styles, seeds, psi=args.psi)

    measures = evaluate(
        sampler, reference.restricted_to(names), per_style=args.per_style, seed=args.seed, progress=True,
        label=args.source, conditions={"psi": args.psi},
    )  # fmt: skip
    _report(args, measures, [sampler(style.expand(8, -1), shown) for style in torch.eye(len(names))])


def _measure_folder(args: MeasureArguments) -> None:
    found = read_styled_folder(Path(args.source))
    reference = load_reference(args.reference, device=args.device, progress=True)
    reference = reference.restricted_to(found.style_names)
    measures = evaluate_images(found.images, found.styles, reference, progress=True, label=args.source)
    _report(args, measures, [found.images[found.styles == s][:8] for s in range(len(found.style_names))])


def _report(args: MeasureArguments, measures: Measures, rows: list[Tensor]) -> None:
    """Writes and prints; `rows` are some pictures of each style, uint8 (N, 3, R, R)."""
    out = args.out or report_folder(Path(args.source))
    grid = save_rows(rows, measures.style_names, out / "grid.png")
    report = write_report(measures, out, grids={"The first pictures of each style": grid})
    print(table(measures))
    print(f"Report: {report.page}, for programs: {report.json}")


def door() -> None:
    """Parses the command line and measures."""
    from brushwork.scripts.cli import run

    run(MeasureArguments, main)


if __name__ == "__main__":
    door()
