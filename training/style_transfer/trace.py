"""What a style transfer's losses did: kept with the picture, as numbers and as a plot."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from brushwork.data.files import write_file, write_json
from brushwork.eval.report.plots import figure_png

from .files import Facts, Row, notes_file
from .transfer import Step


@dataclass(kw_only=True)
class Trace:
    """One row for every evaluation: its number, the side drawn at, seconds from the start, and the losses."""

    rows: list[Row] = field(default_factory=list)

    def add(self, step: Step, seconds: float) -> None:
        losses = {name: float(f"{value:.6g}") for name, value in asdict(step.losses).items()}
        self.rows.append(
            {"evaluation": step.number, "side": step.side, "seconds": round(seconds, 2), **losses}
        )

    @property
    def seconds(self) -> float:
        return self.rows[-1]["seconds"] if self.rows else 0.0

    def write(self, picture: Path, facts: Facts, *, stopped: str = "") -> None:
        """As a plot and in the notes beside the picture, with why it is not finished where it is not."""
        write_file(picture.with_name(f"{picture.stem}-losses.png"), figure_png(self.plot(), dpi=100))
        why = {"stopped": stopped} if stopped else {}
        write_json(notes_file(picture), {**asdict(facts), **why, "trace": self.rows})

    def plot(self) -> Figure:
        """Errors over evaluations, both logarithmic in height; where the size changes there is a line."""
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot(xlabel="evaluations", ylabel="error", yscale="log")
        numbers = [row["evaluation"] for row in self.rows]
        for name, width in (("total", 2.0), ("style", 1.0), ("content", 1.0), ("tv", 1.0)):
            values = [row[name] for row in self.rows]
            if any(values):
                axes.plot(numbers, [value or float("nan") for value in values], label=name, linewidth=width)
        for before, row in zip(self.rows, self.rows[1:], strict=False):
            if row["side"] != before["side"]:
                axes.axvline(row["evaluation"], color="0.7", linewidth=0.8)
                axes.annotate(
                    f" {row['side']:g} px", (row["evaluation"], 1), xycoords=("data", "axes fraction"),
                    va="top", fontsize=8,
                )  # fmt: skip
        axes.grid(alpha=0.3)
        axes.legend()
        return figure
