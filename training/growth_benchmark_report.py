"""What the benchmark `growth` found: a table and a picture."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from brushwork.eval.benchmark import Table

from .growth_benchmark import UNITS, Line, Point

WORDS = {0.5: "x 1/2", 1.0: "x 1", 2.0: "x 2"}


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How time and memory grow, one line for each thing that was changed."""

    lines: tuple[Line, ...]

    def table(self) -> Table:
        middle = self.lines[0].points[1.0]
        rows = [self._row("as it is", middle)]
        for line in self.lines:
            for factor, point in line.points.items():
                if factor != 1.0:
                    name = f"{line.what} {WORDS[factor]}: {point.size} {UNITS[line.what]}"
                    rows.append(self._row(name, point, line if factor == 2.0 else None))
        as_it_is = ", ".join(f"{line.points[1.0].size} {UNITS[line.what]}" for line in self.lines)
        return Table(
            title=f"Growth of a training step: {as_it_is}, {middle.pace.precision}",
            header=("", "img/s", "ms a step (IQR)", "GFLOP a picture", "of the peak", "peak MB",
                    "exponent of time", "of memory"),
            rows=tuple(rows), notes=self._notes(),
        )  # fmt: skip

    @staticmethod
    def _row(name: str, point: Point, line: Line | None = None) -> tuple[str, ...]:
        pace = point.pace
        return (
            name, f"{pace.rate:.1f}", f"{1000 * pace.seconds:.0f} ({pace.spread:.0%})", f"{pace.gflops:.3g}",
            f"{pace.utilisation:.0%}", f"{pace.peak:.0f}",
            _power(line.time_exponent) if line else "", _power(line.memory_exponent) if line else "",
        )  # fmt: skip

    def _notes(self) -> tuple[str, ...]:
        before = self.lines[0].points[1.0].pace.before
        left_out = (
            f"Left out, {line.what} {WORDS[factor]}: {why}"
            for line in self.lines
            for factor, why in line.left_out.items()
        )
        return (
            "Exponents are from x 1 to x 2, of the time a picture and of the memory above that of the "
            f"process's start ({before:.0f} MB as it is): 0 stays, 1 doubles, 2 is four times as much.",
            "What more styles cost is measured by `brushwork bench styles`.",
            *left_out,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            line.what: {
                "unit": UNITS[line.what], "time_exponent": line.time_exponent,
                "memory_exponent": line.memory_exponent,
                "points": {f"{factor:g}": _facts(point) for factor, point in line.points.items()},
                "left_out": {f"{factor:g}": why for factor, why in line.left_out.items()},
            }
            for line in self.lines
        }  # fmt: skip


def _power(exponent: float) -> str:
    return f"{exponent:.2f}" if math.isfinite(exponent) else "-"


def _facts(point: Point) -> dict[str, Any]:
    pace = point.pace
    return {
        "size": point.size, "img_per_s": pace.rate, "seconds_a_picture": point.seconds,
        "memory_above_start": point.memory, "gflop_a_picture": pace.gflops, "utilisation": pace.utilisation,
        "pace": asdict(pace),
    }  # fmt: skip


# Picture
def picture(lines: Sequence[Line]) -> Figure:
    """Time a picture and memory against the factor, on log axes, with a line for each thing changed."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _panel(left, lines, "milliseconds a picture", lambda point: 1000 * point.seconds)
    _panel(right, lines, "MB above the process's start", lambda point: point.memory)
    left.legend(fontsize=8)
    return figure


def _panel(axes: Axes, lines: Sequence[Line], title: str, figure: Callable[[Point], float]) -> None:
    for line, marker in zip(lines, "os^", strict=True):
        values = {factor: figure(point) for factor, point in line.points.items()}
        axes.plot(list(values), list(values.values()), marker=marker, label=line.what)
        for factor, value in values.items():
            axes.annotate(f"{value:.3g}", (factor, value), (0, 5), textcoords="offset points", size=7)
    axes.set_xscale("log", base=2)
    if any(figure(point) > 0 for line in lines for point in line.points.values()):
        axes.set_yscale("log")  # a step of the tiniest networks needs no more than importing them did
    axes.set_xticks(list(WORDS), list(WORDS.values()))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title(title, loc="left", size=10)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
