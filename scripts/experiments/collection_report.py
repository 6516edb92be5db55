"""What the runs found: results.json, a table of medians, curves, and a grid of each variant."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from brushwork.data.files import write_file, write_json
from brushwork.eval.report.plots import figure_png
from brushwork.eval.report.tables import NOTHING, number
from brushwork.scripts.bench.harness import Table, machine
from brushwork.scripts.bench.report import markdown
from brushwork.scripts.experiments.collection_measurement import is_complete
from brushwork.scripts.experiments.collection_plots import copy_grid, curves
from brushwork.scripts.experiments.collection_results import Result
from brushwork.scripts.experiments.collection_runs import Run

NOTE = (
    "Medians over the runs, from the least to the greatest in brackets. Diversity is a share of that of real "
    "pictures. Everything is taken against the training split alone. In the last row the held-out pictures "
    "stand for the samples, but for modes, which are those of the training pictures. There are fewer of them "
    "than samples, so that their FD is biased upward more, and their recall and coverage are lower."
)

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One figure of the table: where it stands in a measurement in full, and which styles count."""

    title: str
    figure: str
    worst_style: bool = False

    def of(self, final: Json, side: Literal["measured", "real"]) -> float | None:
        """Of what was drawn, or of the real pictures beside it; None where there is no such figure."""
        if self.figure in ("found", "recognised"):
            modes = final.get("modes" if side == "measured" else "real_modes")
            values = list(modes[self.figure].values()) if modes else []
            return (min(values) if self.worst_style else statistics.mean(values)) if values else None
        figure = final["measures"]["figures"].get(self.figure, {}).get(side)
        if figure is None:
            return None
        return min(figure["per_style"]) if self.worst_style else figure["value"]


def columns(evaluators: Sequence[str]) -> list[Column]:
    """Those of the table; distances by each evaluator, all else by the first."""
    distances = [
        Column(title=f"{title} {evaluator}", figure=name if i == 0 else f"{name}@{evaluator}")
        for name, title in (("fd", "FD"), ("kid", "KID"))
        for i, evaluator in enumerate(evaluators)
    ]
    return [
        Column(title="diversity, worst style", figure="diversity", worst_style=True),
        Column(title="recall, worst style", figure="recall", worst_style=True),
        Column(title="coverage, worst style", figure="coverage", worst_style=True),
        Column(title="precision", figure="precision"),
        *distances,
        Column(title="accuracy", figure="accuracy"),
        Column(title="copies", figure="copies"),
        Column(title="modes, worst style", figure="found", worst_style=True),
        Column(title="modes, mean", figure="found"),
        Column(title="recognised", figure="recognised"),
    ]


def spanned(values: Sequence[float]) -> str:
    """The median, and from the least to the greatest where these differ: `0.81 (0.78..0.85)`."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return NOTHING
    low, middle, high = (number(value, 3) for value in (min(known), statistics.median(known), max(known)))
    return middle if low == high else f"{middle} ({low}..{high})"


def table(results: Sequence[Result]) -> Table:
    """A row for each variant on each collection, below them the held-out real pictures."""
    shown = columns(results[0].run.evaluators)
    rows = []
    for collection in dict.fromkeys(result.run.collection for result in results):
        here = [result for result in results if result.run.collection == collection]
        for variant in dict.fromkeys(result.run.variant for result in here):
            own = [result for result in here if result.run.variant == variant]
            images = spanned([result.facts["images"] / 1000 for result in own])
            cells = (_cell(column, own, "measured") for column in shown)
            rows.append((collection, variant, str(len(own)), images, *cells))
        cells = (_cell(column, here[:1], "real") for column in shown)
        rows.append((collection, "held-out real", "", "", *cells))
    return Table(
        title="Variants on several collections",
        header=("collection", "variant", "runs", "thousand images", *(column.title for column in shown)),
        rows=tuple(rows),
        notes=(NOTE,),
    )


def _cell(column: Column, results: Sequence[Result], side: Literal["measured", "real"]) -> str:
    values = [column.of(result.final, side) for result in results]
    return spanned([value for value in values if value is not None])


def write_report(folder: Path, runs: Sequence[Run]) -> None:
    """Writes all that the complete ones among the runs tell; pictures of those that are not are left out."""
    results = [Result(run=run) for run in runs if is_complete(run)]
    if not results:
        return
    here = machine(("torch",))
    found = {
        "machine": {"processor": here.processor, "cores": here.cores, "torch": here.versions["torch"]},
        "precision": sorted({result.facts["precision"] for result in results}),
        "runs": [result.to_json() for result in results],
    }
    write_json(folder / "results.json", found)
    write_file(folder / "table.md", f"{markdown(table(results))}\n")
    write_file(folder / "curves.png", figure_png(curves(results)))
    for result in results:
        if result.run.seed == 0:
            copy_grid(result, folder)
