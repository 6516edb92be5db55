"""Style against content as their weights move: gallery_weights.py CONTENTS STYLES OUT.

Every weight stylises all contents in all styles and measures them by a network that drew none of them; OUT
gets the pictures, the reports and the curve. What is there already is not drawn again.
"""

import json
import subprocess
import sys
from pathlib import Path

from matplotlib.figure import Figure

from brushwork.data.files import write_file
from brushwork.eval.report.plots import figure_png

WEIGHTS = (0.003, 0.1, 0.3, 1.0, 3.0)
"""Of content; style has 1."""
SETTINGS = ("--backbone", "hed-vgg16", "--size", "192")


def figures(contents: str, styles: str, out: Path, weight: float) -> tuple[float, float, float]:
    """Distances from the content and from the style picture, and the latter of the content itself."""
    drawn = out / f"{weight:g}"
    options = ("--content-weight", f"{weight:g}", "--out", str(drawn), "--resume")
    subprocess.run(("brushwork", "stylize", contents, styles, *SETTINGS, *options), check=True)
    report = drawn / "measure" / "report.json"
    subprocess.run(
        ("brushwork", "measure", str(drawn / "pairs.csv"), "--out", str(report.parent)), check=True
    )
    found = json.loads(report.read_text())["figures"]
    style = found["reference_gram"]
    unchanged = style["baselines"]["content unchanged"]["value"]
    return found["content_raw"]["measured"]["value"], style["measured"]["value"], unchanged


def plot(rows: dict[float, tuple[float, float, float]]) -> Figure:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(
        xlabel="content distance (EfficientNet-Lite0)", ylabel="Gram distance to the style"
    )
    axes.plot([row[0] for row in rows.values()], [row[1] for row in rows.values()], marker="o")
    for weight, (content, style, _) in rows.items():
        axes.annotate(f"{weight:g}", (content, style), xytext=(7, 3), textcoords="offset points")
    axes.plot(0, next(iter(rows.values()))[2], marker="x", color="0.4")
    axes.annotate(
        "content unchanged", (0, next(iter(rows.values()))[2]), xytext=(6, -3), textcoords="offset points"
    )
    axes.set_title("--content-weight, with --style-weight 1", fontsize=10)
    axes.grid(alpha=0.3)
    return figure


if __name__ == "__main__":
    contents, styles, folder = sys.argv[1:]
    rows = {weight: figures(contents, styles, Path(folder), weight) for weight in WEIGHTS}
    for weight, row in rows.items():
        print(f"{weight:6g}  content {row[0]:.3g}  style {row[1]:.3g}  (unchanged {row[2]:.3g})")
    write_file(Path(folder) / "weights.png", figure_png(plot(rows), dpi=100))
