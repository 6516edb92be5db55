"""What the benchmark `quality` found: a table and the curves."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from brushwork.eval.benchmark import Table

from .quality_benchmark import WAYS, Curve, Paces

POINTS = 200
"""Of a curve that is drawn."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Curves of several ways of training, and how fast each takes its pictures."""

    curves: Sequence[Curve]
    paces: Paces

    @property
    def ways(self) -> list[str]:
        """In the order of the contest."""
        return list(dict.fromkeys(curve.way for curve in self.curves))

    def of(self, way: str) -> list[Curve]:
        """One for each seed."""
        return [curve for curve in self.curves if curve.way == way]

    @property
    def goal(self) -> float:
        """The mean distance at which the worst of the ways ends: what all of them can be timed to."""
        return max(statistics.mean(curve.distances[-1] for curve in self.of(way)) for way in self.ways)

    def runs(self, way: str) -> tuple[np.ndarray, np.ndarray]:
        """Minutes (T,) from the latest beginning of a curve to the earliest end, and distances there (runs,
        T); straight lines lie between measurements."""
        curves = self.of(way)
        begin, end = max(curve.minutes[0] for curve in curves), min(curve.minutes[-1] for curve in curves)
        at = np.linspace(begin, end, POINTS)
        return at, np.stack([np.interp(at, curve.minutes, curve.distances) for curve in curves])

    def to_goal(self, way: str) -> float | None:
        """Minutes at which the mean of the runs first is at the goal; None where it never is."""
        at, distances = self.runs(way)
        reached = np.flatnonzero(distances.mean(axis=0) <= self.goal * (1 + 1e-9))
        return float(at[reached[0]]) if len(reached) else None

    def table(self) -> Table:
        minutes = max(curve.minutes[-1] for curve in self.curves)
        return Table(
            title=f"Fréchet distance after {minutes:.3g} minutes",
            header=("", "img/s at last", "distance, seed by seed", "mean", f"minutes to {self.goal:.0f}"),
            rows=tuple(self._row(way) for way in self.ways),
            notes=("Minutes are images over the rate measured for each way, all in turn: what measuring and "
                   "other programs took is not in them. The last column is when the mean of a way's runs "
                   f"first is where the worst way ends. Precision, where the name says none: "
                   f"{self.paces.precision}.",),
        )  # fmt: skip

    def _row(self, way: str) -> tuple[str, ...]:
        ends, last = [curve.distances[-1] for curve in self.of(way)], max(self.paces.rates[way])
        time = self.to_goal(way)
        return (
            f"{way}: {WAYS[way].about}", f"{1 / self.paces.rates[way][last]:.1f}",
            " ".join(f"{end:.0f}" for end in ends), f"{statistics.mean(ends):.0f}",
            "-" if time is None else f"{time:.1f}",
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        curves = [asdict(curve) for curve in self.curves]
        return {"goal": self.goal, **self.paces.to_json(), "curves": curves}


def picture(quality: Quality) -> Figure:
    """Distance against minutes: the mean of each way's runs, and from the best to the worst of them."""
    figure = Figure(figsize=(8.4, 4.6), dpi=120, layout="constrained")
    axes = figure.add_subplot(xlabel="minutes of training", ylabel="Fréchet distance (less is better)")
    for number, way in enumerate(quality.ways):
        at, runs = quality.runs(way)
        axes.plot(at, runs.mean(axis=0), color=f"C{number}", label=f"{way}: {WAYS[way].about}")
        axes.fill_between(at, runs.min(axis=0), runs.max(axis=0), color=f"C{number}", alpha=0.15, lw=0)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
