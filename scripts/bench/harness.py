"""What every benchmark needs: alternated timings, peak memory of a process, the machine, tables and reports.

Times are wall-clock seconds and processor seconds. The latter hardly change when other programs share the
machine.
"""

import math
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from brushwork.data.files import write_file, write_json
from brushwork.data.names import visible
from brushwork.data.progress import Progress
from brushwork.data.writing import free_cores
from brushwork.eval.errors import EvalError
from brushwork.models.options import resolve_device
from brushwork.scripts.arguments import configured
from brushwork.scripts.cli import run_command
from brushwork.training.config import TrainConfig
from brushwork.training.preset_files import read_preset
from brushwork.training.presets import PRESETS

Arguments = TypeVar("Arguments")
Result = TypeVar("Result")


# Time
@dataclass(frozen=True, kw_only=True)
class Timings(Generic[Result]):
    """Seconds of every round and the last result, by candidate."""

    wall: Mapping[str, tuple[float, ...]]
    processor: Mapping[str, tuple[float, ...]]
    """Summed over all cores, so they may exceed the wall-clock seconds."""
    results: Mapping[str, Result]


def alternated(
    functions: Mapping[str, Callable[[], Result]], *, repeats: int, warmup: int = 1, progress: str = ""
) -> Timings[Result]:
    """Times the candidates alternately, each once a round, so that disturbances affect all of them.

    The first `warmup` rounds are not counted. `progress` labels a progress bar; "": there is none.
    """
    wall: dict[str, list[float]] = {name: [] for name in functions}
    processor: dict[str, list[float]] = {name: [] for name in functions}
    results: dict[str, Result] = {}
    rounds = [(i >= warmup, name) for i in range(warmup + repeats) for name in functions]
    for counts, name in Progress(rounds, desc=progress, disable=not progress, leave=False):
        began, busy = time.perf_counter(), time.process_time()
        results[name] = functions[name]()
        took, worked = time.perf_counter() - began, time.process_time() - busy
        if counts:
            wall[name].append(took)
            processor[name].append(worked)
    return Timings(
        wall={name: tuple(seconds) for name, seconds in wall.items()},
        processor={name: tuple(seconds) for name, seconds in processor.items()},
        results=results,
    )


def iqr(rounds: Sequence[float]) -> float:
    """Interquartile range of two or more rounds."""
    low, _, high = statistics.quantiles(rounds, n=4, method="inclusive")
    return high - low


# Memory
def peak_memory() -> float:
    """The peak memory of this process since it started, in MB (10^6 bytes)."""
    status = Path("/proc/self/status")
    if status.is_file():
        # On Linux, getrusage starts with the memory of the parent at the time of the fork.
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024 / 1e6
    import resource  # Windows has none

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # bytes on macOS


def in_child(function: Callable[..., Result], *arguments: object) -> Result:
    """Runs `function` in a new process, which has its own peak of memory, and returns the result.

    Function, arguments and result must pickle. Raises EvalError if the process was killed.
    """
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(function, *arguments).result()
    except BrokenProcessPool as error:
        raise EvalError(
            "The process that measured was killed, most likely for its memory: close other programs."
        ) from error


# The machine
@dataclass(frozen=True, kw_only=True)
class Machine:
    """Hardware and package versions of a benchmark, without the host's name."""

    processor: str
    cores: int
    threads: int
    versions: Mapping[str, str]

    def describe(self) -> str:
        """One line."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        cores = f"{self.cores} core{'s' if self.cores > 1 else ''}"
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{self.processor}, {cores}, {threads}; {versions}"


def machine(packages: Sequence[str], device: torch.device | None = None) -> Machine:
    """This machine, with the versions of those packages that are installed."""
    kind = f"{platform.machine()} with {torch.backends.cpu.get_cpu_capability()}"
    if device is not None and device.type == "cuda":
        kind = f"{torch.cuda.get_device_name(device)}, {kind}"
    versions = {name: version for name in packages if (version := version_of(name)) is not None}
    return Machine(
        processor=kind, cores=free_cores(), threads=torch.get_num_threads(), versions=versions
    )  # fmt: skip


def peak_gflops(side: int = 1024, rounds: int = 5) -> float:
    """Thousand million operations a second of float32 products of square matrices, the best of some rounds:
    what the threads of this process reach on the processor, in a moment in which nothing disturbs them."""
    a = torch.rand(side, side)

    def seconds() -> float:
        began = time.perf_counter()
        torch.mm(a, a)
        return time.perf_counter() - began

    seconds()
    return 2 * side**3 / max(min(seconds() for _ in range(rounds)), 1e-9) / 1e9


def machine_of(config: TrainConfig) -> Machine:
    """This machine as a run of `config` uses it. Raises ModelError if it has no such device."""
    here = machine(("torch",), resolve_device(config.device))
    return replace(here, threads=config.threads or here.threads)


def version_of(package: str) -> str | None:
    """The installed version, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


# Tables
@dataclass(frozen=True, kw_only=True)
class Table:
    """A part of a report: a table of text with notes below it, and the numbers behind it."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    """For the JSON file."""

    def markdown(self) -> str:
        """A heading, the table with aligned columns, and its notes."""
        rows = [tuple(map(_cell, row)) for row in (self.header, *self.rows)]
        widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
        lines = [_line(row, widths) for row in rows]
        rule = "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])])
        text = [f"### {self.title}", "", lines[0], f"|{rule}|", *lines[1:]]
        return "\n".join([*text, *(f"\n{note}" for note in self.notes)])


def _cell(text: str) -> str:
    """Escapes what would end a cell or a row: names of runs come from the disk."""
    return visible(text).replace("|", r"\|")


def _line(row: tuple[str, ...], widths: Sequence[int]) -> str:
    cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
    return f"| {' | '.join(cells)} |"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Candidates timed on the same task, with metrics of their last results. Ratios are to the first."""

    title: str
    timings: Timings[Any]
    metrics: Mapping[str, Callable[[Any], float]] = field(default_factory=dict)
    images: int = 0
    """Processed in each round; 0 if the task has no images."""
    notes: tuple[str, ...] = ()

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        """Values by metric, then by candidate."""
        results = self.timings.results
        return {
            metric: {name: value(result) for name, result in results.items()}
            for metric, value in self.metrics.items()
        }

    @property
    def table(self) -> Table:
        """A row for each candidate."""
        wall, processor = self.timings.wall, self.timings.processor
        first, figures = next(iter(wall)), self.figures
        rate = ("img/s",) if self.images else ()
        header = ("", "seconds (IQR)", *rate, f"times {first}", "processor seconds", f"times {first}")
        rows = []
        for name in wall:
            seconds, busy = statistics.median(wall[name]), statistics.median(processor[name])
            spread = f"{iqr(wall[name]):.2g}" if len(wall[name]) > 1 else "1 run"
            rows.append((
                name, f"{seconds:.3g} ({spread})", *(f"{self.images / seconds:.1f}" for _ in rate),
                f"{seconds / statistics.median(wall[first]):.2f}", f"{busy:.3g}",
                f"{busy / statistics.median(processor[first]):.2f}",
                *(f"{values[name]:.10g}" for values in figures.values()),
            ))  # fmt: skip
        return Table(
            title=self.title, header=(*header, *figures), rows=rows, notes=self.notes,
            data={"seconds": wall, "processor_seconds": processor, "pictures": self.images,
                  "figures": figures},
        )  # fmt: skip


# Reports
def report(
    path: Path, here: Machine, sizes: Mapping[str, Any], parts: Iterable[tuple[str, Table]], *, head: str = ""
) -> None:
    """Prints every part as soon as it is measured, and writes it to `path`.md and, with all rounds, .json.

    `head` is the first line, by default the machine.
    """
    text, data = head or here.describe(), {}
    print(text, flush=True)
    for name, table in parts:
        path.parent.mkdir(parents=True, exist_ok=True)  # not before a mistake in the arguments shows
        markdown, data[name] = table.markdown(), table.data
        text += f"\n\n{markdown}"
        print(f"\n{markdown}", flush=True)
        write_file(path.with_suffix(".md"), f"{text}\n")
        content = {"machine": asdict(here), "sizes": sizes, "parts": data}
        write_json(path.with_suffix(".json"), finite(content))
    print(f"\nAll rounds: {path}.json; {path.name}.md beside it")


def finite(value: Any) -> Any:
    """Replaces NaN and infinities by None."""
    if isinstance(value, Mapping):
        return {key: finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# Command lines
def run_on_preset(
    arguments: Callable[..., Arguments], benchmark: Callable[[Arguments], object], description: str
) -> None:
    """Parses a preset or FILE.json, then options, and runs `benchmark` on them.

    `arguments` is the class of the options; its field `base` is the configuration of the preset or file.
    """
    presets = {name: (about, arguments(base=config)) for name, (about, config) in PRESETS.items()}
    run_command(
        lambda: benchmark(configured(presets, lambda path: arguments(base=read_preset(path)), description))
    )
