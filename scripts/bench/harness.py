"""What every benchmark needs: alternated timings, peak memory of a process, the machine, and results.

Times are wall-clock seconds and processor seconds. The latter hardly change when other programs share the
machine.
"""

import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch

from brushwork.data.progress import Progress
from brushwork.data.writing import free_cores
from brushwork.eval.errors import EvalError
from brushwork.scripts.cli import run_command
from brushwork.scripts.configured import configured
from brushwork.training.config import TrainConfig
from brushwork.training.preset_files import read_preset
from brushwork.training.presets import PRESETS

Result = TypeVar("Result")


# Time
@dataclass(frozen=True, kw_only=True)
class Timings(Generic[Result]):
    """Seconds of every round and the last result, by candidate. Ratios are to the first candidate."""

    wall: Mapping[str, tuple[float, ...]]
    processor: Mapping[str, tuple[float, ...]]
    """Summed over all cores, so they may exceed the wall-clock seconds."""
    results: Mapping[str, Result]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.wall)

    def median(self, name: str) -> float:
        """Wall-clock seconds."""
        return statistics.median(self.wall[name])

    def spread(self, name: str) -> float:
        """Interquartile range of the wall-clock seconds; NaN after a single round."""
        if len(self.wall[name]) < 2:
            return float("nan")
        low, _, high = statistics.quantiles(self.wall[name], n=4, method="inclusive")
        return high - low

    def ratio(self, name: str) -> float:
        """Median over that of the first candidate: 2 means half as fast."""
        return self.median(name) / self.median(self.names[0])

    def processor_median(self, name: str) -> float:
        return statistics.median(self.processor[name])

    def processor_ratio(self, name: str) -> float:
        return self.processor_median(name) / self.processor_median(self.names[0])


def alternated(
    functions: Mapping[str, Callable[[], Result]],
    *,
    repeats: int,
    warmup: int = 1,
    progress: str | None = None,
) -> Timings[Result]:
    """Times the candidates alternately, each once a round, so that disturbances affect all of them.

    The first `warmup` rounds are not counted. `progress` labels a progress bar. Raises EvalError for no
    candidates and for no rounds.
    """
    if not functions or repeats < 1 or warmup < 0:
        raise EvalError(
            f"{len(functions)} functions cannot be timed in {repeats} rounds after {warmup}: take 1 or more."
        )
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


# Memory
_highest = 0.0


def peak_memory() -> float:
    """The peak memory of this process since it started, in MB (10^6 bytes).

    Raises EvalError on a system that does not report it.
    """
    global _highest
    # Linux sums approximate counts of each processor, so a later reading may be lower.
    _highest = max(_highest, _reported_peak())
    return _highest


def _reported_peak() -> float:
    status = Path("/proc/self/status")
    if status.is_file():
        # On Linux, getrusage starts with the memory of the parent at the time of the fork.
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError as error:
        raise EvalError(
            f"{sys.platform} does not tell the peak of a process's memory: measure it on Linux or macOS."
        ) from error
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


def machine(packages: Sequence[str], device: str | torch.device = "cpu") -> Machine:
    """This machine, with the versions of those packages that are installed."""
    kind = f"{platform.machine()} with {torch.backends.cpu.get_cpu_capability()}"
    if torch.device(device).type == "cuda":
        kind = f"{torch.cuda.get_device_name(device)}, {kind}"
    versions = {name: version_of(name) for name in packages}
    return Machine(
        processor=kind,
        cores=free_cores(),
        threads=torch.get_num_threads(),
        versions={name: version for name, version in versions.items() if version is not None},
    )


def version_of(package: str) -> str | None:
    """The installed version, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def device_of(config: TrainConfig) -> torch.device:
    """The device on which a run of `config` trains."""
    return torch.device("cuda" if config.device == "auto" and torch.cuda.is_available() else "cpu")


# Results
@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of text, with notes below it."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


class Part(Protocol):
    """The result of one part of a benchmark."""

    @property
    def table(self) -> Table:
        """For the terminal and the Markdown file."""
        ...

    @property
    def data(self) -> Mapping[str, Any]:
        """For the JSON file."""
        ...


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A part whose table and data are given."""

    table: Table
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Candidates timed on the same task, with the metrics of their results."""

    title: str
    timings: Timings[Any]
    metrics: Mapping[str, Mapping[str, float]]
    """By metric, then by candidate."""
    images: int = 0
    """Processed in each round; 0 if the task has no images."""
    notes: tuple[str, ...] = ()

    @property
    def table(self) -> Table:
        rate = ("img/s",) if self.images else ()
        times = f"times {self.timings.names[0]}"
        header = ("", "seconds (IQR)", *rate, times, "processor seconds", times, *self.metrics)
        rows = tuple(self._row(name) for name in self.timings.names)
        return Table(title=self.title, header=header, rows=rows, notes=self.notes)

    def _row(self, name: str) -> tuple[str, ...]:
        timings = self.timings
        rate = (f"{self.images / timings.median(name):.1f}",) if self.images else ()
        spread = f"{timings.spread(name):.2g}" if len(timings.wall[name]) > 1 else "1 run"
        return (
            name, f"{timings.median(name):.3g} ({spread})", *rate, f"{timings.ratio(name):.2f}",
            f"{timings.processor_median(name):.3g}", f"{timings.processor_ratio(name):.2f}",
            *(f"{values[name]:.10g}" if name in values else "" for values in self.metrics.values()),
        )  # fmt: skip

    @property
    def data(self) -> dict[str, Any]:
        timings = {"seconds": self.timings.wall, "processor_seconds": self.timings.processor}
        return {
            "title": self.title, **timings, "pictures": self.images, "figures": self.metrics,
            "notes": self.notes,
        }  # fmt: skip


def compare(
    title: str,
    functions: Mapping[str, Callable[[], Result]],
    *,
    repeats: int,
    warmup: int = 1,
    images: int = 0,
    metrics: Mapping[str, Callable[[Result], float]] | None = None,
    notes: Sequence[str] = (),
) -> Comparison:
    """Times the candidates alternately (see `alternated`) and computes `metrics` of their last results."""
    timings = alternated(functions, repeats=repeats, warmup=warmup, progress=title)
    return Comparison(
        title=title, timings=timings, images=images, notes=tuple(notes),
        metrics={
            metric: {name: value(result) for name, result in timings.results.items()}
            for metric, value in (metrics or {}).items()
        },
    )  # fmt: skip


# Command lines
Arguments = TypeVar("Arguments")


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
