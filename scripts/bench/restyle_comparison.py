"""The benchmark `restyle`: all methods redraw the same contents in the same styles, measured alike."""

import hashlib
import json
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float64, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from brushwork.data.files import write_file
from brushwork.data.progress import Progress
from brushwork.eval.errors import EvalError
from brushwork.eval.features.cache import FeatureCache
from brushwork.eval.pairs.figures import Drawings
from brushwork.eval.pairs.suite import PairNetworks, measure_outputs
from brushwork.eval.reference import Reference
from brushwork.eval.results import Measurement, Score
from brushwork.scripts.bench.harness import Table
from brushwork.scripts.bench.restyle_task import Task

METRICS = ("fd", "accuracy", "content", "truth")

Draw = Callable[[Task, Tensor], Tensor]
"""(task, rows (k,)) -> uint8 (k, 3, r, r): these rows' contents in their target styles."""


# Methods
@dataclass(frozen=True, kw_only=True)
class Method:
    """What redraws pictures, ready to be timed."""

    name: str
    draw: Draw
    identity: str
    """What decides its pictures beside the task."""
    part: int = 64
    """Rows drawn at once, and kept on the disk before the next."""
    note: str = ""
    """A sentence below the table."""
    timed: bool = True
    """Whether its time says anything."""


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A method that cannot be run here, and a sentence that says why and how it could."""

    name: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What a method drew of a task, so far, and the seconds that each part took."""

    outputs: UInt8[Tensor, "k 3 r r"]
    wall: Float64[Tensor, "p"]
    processor: Float64[Tensor, "p"]

    def seconds(self, part: int, *, processor: bool = False) -> float:
        """Of one picture: the median over the parts."""
        sizes = [len(rows) for rows in torch.arange(len(self.outputs)).split(part)]
        times = (self.processor if processor else self.wall).tolist()
        return statistics.median(t / size for t, size in zip(times, sizes, strict=True))


def drawn_by(method: Method, task: Task, folder: Path | None, bar: Progress | None = None) -> Drawn:
    """All rows in parts. With a `folder` each part is kept there, and what is there is not drawn again.

    Raises EvalError for a method that gives pictures of another number, size or type.
    """
    path = None if folder is None else folder / f"{_slug(method.name)}-{_key(method, task)}.safetensors"
    found = _kept(path, method, task) or Drawn(
        outputs=task.contents[:0], wall=torch.zeros(0).double(), processor=torch.zeros(0).double()
    )
    if bar is not None:
        bar.update(len(found.outputs))
    for rows in torch.arange(len(task)).split(method.part)[len(found.wall) :]:
        began, busy = time.perf_counter(), time.process_time()
        outputs = method.draw(task, rows)
        took = time.perf_counter() - began, time.process_time() - busy
        wanted = task.contents[rows]
        if outputs.shape != wanted.shape or outputs.dtype != wanted.dtype:
            raise EvalError(
                f"{method.name} gave {outputs.dtype} {tuple(outputs.shape)} for {tuple(wanted.shape)}: give "
                "uint8 pictures of the same size."
            )
        found = Drawn(
            outputs=torch.cat([found.outputs, outputs]),
            wall=torch.cat([found.wall, found.wall.new_tensor([took[0]])]),
            processor=torch.cat([found.processor, found.wall.new_tensor([took[1]])]),
        )
        _keep(path, found)
        if bar is not None:
            bar.update(len(rows))
    return found


def _key(method: Method, task: Task) -> str:
    parts = [task.fingerprint, method.identity, method.part]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _kept(path: Path | None, method: Method, task: Task) -> Drawn | None:
    """Whole parts of an earlier run; a file that is damaged or of another shape counts as absent."""
    try:
        state = {} if path is None or not path.is_file() else load_file(path)
    except (SafetensorError, OSError):
        return None
    if state.keys() != {"outputs", "wall", "processor"}:
        return None
    found = Drawn(outputs=state["outputs"], wall=state["wall"], processor=state["processor"])
    whole = min(len(task), len(found.wall) * method.part)
    sound = found.outputs.shape[1:] == task.contents.shape[1:] and len(found.outputs) == whole
    return found if sound else None


def _keep(path: Path | None, drawn: Drawn) -> None:
    """Whole or not at all."""
    if path is None:
        return
    write_file(path, save({name: value.contiguous() for name, value in vars(drawn).items()}))


# Measuring
@dataclass(frozen=True, kw_only=True)
class Entry:
    """A method's figures, and its time."""

    name: str
    measures: Measurement
    seconds: float | None = None
    """By the clock, of one picture; None where nothing was drawn."""
    processor_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Judge:
    """What measures every method."""

    reference: Reference
    drawings: Drawings
    networks: PairNetworks
    cache: FeatureCache

    def __call__(self, name: str, task: Task, outputs: Tensor) -> Measurement:
        return measure_outputs(
            task.pairs(outputs), self.networks, metrics=METRICS, reference=self.reference,
            drawings=self.drawings, cache=self.cache, label=name,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Contest:
    """All methods on one task, as a finding of the benchmark."""

    task: Task
    entries: Sequence[Entry]
    absent: Sequence[Absent] = ()
    notes: Sequence[str] = ()

    def table(self) -> Table:
        names = [name for name in COLUMNS if any(name in entry.measures.figures for entry in self.entries)]
        header = [
            "",
            *(heading for name in names for heading in COLUMNS[name]),
            "ms a picture",
            "of the processor",
        ]
        rows = [self._row(entry, names) for entry in self.entries]
        empty = [(one.name, *("" for _ in header[1:])) for one in self.absent]
        return Table(
            title=f"Restyling of {len(self.task)} held-out pictures in other styles", header=tuple(header),
            rows=(*rows, *empty),
            notes=(*self.notes, *(f"{one.name}: {one.why}" for one in self.absent)),
        )  # fmt: skip

    def _row(self, entry: Entry, names: Sequence[str]) -> tuple[str, ...]:
        cells = [entry.name]
        for name in names:
            figure = entry.measures.figures.get(name)
            scores = (figure and figure.measured, figure and figure.control)[: len(COLUMNS[name])]
            cells += [_cell(score, spread=which == 0) for which, score in enumerate(scores)]
        return (*cells, *(_milliseconds(seconds) for seconds in (entry.seconds, entry.processor_seconds)))

    def to_json(self) -> dict[str, Any]:
        return {
            "styles": list(self.task.style_names), "pairs": len(self.task), "notes": list(self.notes),
            "methods": {entry.name: _entry_json(entry) for entry in self.entries},
            "absent": {one.name: one.why for one in self.absent},
        }  # fmt: skip


def hold(
    methods: Sequence[Method], absent: Sequence[Absent], task: Task, judge: Judge, folder: Path | None,
    *, progress: bool = False,
) -> tuple[Contest, dict[str, Tensor]]:  # fmt: skip
    """Lets every method draw the task, in order, and measures it; its outputs by name, too."""
    outputs: dict[str, Tensor] = {}
    entries: list[Entry] = []
    total = len(methods) * len(task)
    with Progress(total=total, desc="bench restyle", unit="img", leave=False, disable=not progress) as bar:
        for method in methods:
            bar.set_postfix_str(method.name)
            drawn = drawn_by(method, task, folder, bar)
            outputs[method.name] = drawn.outputs
            entry = Entry(name=method.name, measures=judge(method.name, task, drawn.outputs))
            if method.timed:
                busy = drawn.seconds(method.part, processor=True)
                entry = replace(entry, seconds=drawn.seconds(method.part), processor_seconds=busy)
            entries.append(entry)
    notes = [*NOTES, *(method.note for method in methods if method.note)]
    return Contest(task=task, entries=entries, absent=absent, notes=notes), outputs


NOTES = (
    "Each pair is a held-out picture and another style that its subject was really drawn in; behind ± stands "
    "the standard error over the pairs. All but the trivial answers and runs by label follow one training "
    "picture of the target style a pair, the same for all. Times are medians, by the clock and of all cores.",
)

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "accuracy": ("style accuracy", "with random weights"),
    "content_normalised": ("content distance",),
    "truth": ("distance to the real drawing", "with random weights"),
    "nearer_truth": ("nearer than both baselines",),
    "fd": ("FD",),
}
"""Figures in the order of the table, each with the headings of its cells: measured, and the control."""


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


def _entry_json(entry: Entry) -> dict[str, Any]:
    return {
        "seconds": entry.seconds, "processor_seconds": entry.processor_seconds,
        **entry.measures.to_json(),
    }  # fmt: skip
