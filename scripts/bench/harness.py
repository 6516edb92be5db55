"""What every benchmark needs: rivals timed in turn, the memory of a process of its own, the machine in words.

Times are taken twice: by the clock, and as seconds of the processor, which stay put where other programs take
a share of the machine.
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
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch

from brushwork.data.progress import Progress
from brushwork.data.writing import free_cores
from brushwork.eval.errors import EvalError

Result = TypeVar("Result")


# Time
@dataclass(frozen=True, kw_only=True)
class Timings(Generic[Result]):
    """Seconds of every round by candidate, and what each candidate gave last. The first is the yardstick."""

    wall: Mapping[str, tuple[float, ...]]
    """By the clock."""
    processor: Mapping[str, tuple[float, ...]]
    """Of all cores together, so that they may exceed those of the clock."""
    results: Mapping[str, Result]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.wall)

    def median(self, name: str) -> float:
        """Seconds by the clock."""
        return statistics.median(self.wall[name])

    def spread(self, name: str) -> float:
        """Interquartile range of the seconds by the clock; NaN after a single round, which has none."""
        if len(self.wall[name]) < 2:
            return float("nan")
        low, _, high = statistics.quantiles(self.wall[name], n=4, method="inclusive")
        return high - low

    def ratio(self, name: str) -> float:
        """Median over that of the first: 2 is half as fast."""
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
    """Times the candidates in turn, each once a round, so that whatever disturbs the machine hits them all.

    `warmup` rounds come first and are not counted. `progress` labels a bar. Raises EvalError for no candidate
    and for no round.
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
    return Timings(wall=_fixed(wall), processor=_fixed(processor), results=results)


def _fixed(seconds: Mapping[str, list[float]]) -> dict[str, tuple[float, ...]]:
    return {name: tuple(values) for name, values in seconds.items()}


# Memory
_highest = 0.0


def peak_memory() -> float:
    """The most memory that this process ever held at once, in MB (10^6 bytes). It never falls.

    Raises EvalError on a system that keeps no such count.
    """
    global _highest
    # Linux adds up each processor's count roughly, so a second look may tell less.
    _highest = max(_highest, _counted_peak())
    return _highest


def _counted_peak() -> float:
    """What the system says of it."""
    status = Path("/proc/self/status")
    if status.is_file():
        # getrusage would do, but on Linux it begins with what the parent held when it started this process.
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
    """What `function` gives in a fresh process, where its peak of memory is its own.

    Function, arguments and result must pickle. Raises EvalError where the process was killed.
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
    """Where times were taken: without a name, and with the versions of all that took part."""

    processor: str
    cores: int
    threads: int
    versions: Mapping[str, str]

    def words(self) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        cores = f"{self.cores} core{'s' if self.cores > 1 else ''}"
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{self.processor}, {cores}, {threads}; {versions}"


def machine(packages: Sequence[str], device: str = "cpu") -> Machine:
    """This one, with the versions of those packages that are installed."""
    kind = f"{platform.machine()} with {torch.backends.cpu.get_cpu_capability()}"
    if torch.device(device).type == "cuda":
        kind = f"{torch.cuda.get_device_name(device)}, {kind}"
    found = {name: version_of(name) for name in packages}
    return Machine(
        processor=kind,
        cores=free_cores(),
        threads=torch.get_num_threads(),
        versions={name: version for name, version in found.items() if version is not None},
    )


def version_of(package: str) -> str | None:
    """The installed version; None where there is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


# Findings
@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of words, and sentences below it."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@runtime_checkable
class Finding(Protocol):
    """What one part of a benchmark found."""

    def table(self) -> Table: ...

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True, kw_only=True)
class Race:
    """Candidates timed on the same task, with the figures that each found."""

    title: str
    timings: Timings[Any]
    figures: Mapping[str, Mapping[str, float]]
    """By name, by candidate; a candidate that does not give a figure is not in it."""
    pictures: int = 0
    """In each run; 0: the task is not one of pictures."""
    yardstick: str = "ours"
    """What the first candidate is called where others are multiples of it."""
    notes: tuple[str, ...] = ()

    def table(self) -> Table:
        rate = ("img/s",) if self.pictures else ()
        times = f"times {self.yardstick}"
        header = ("", "seconds (IQR)", *rate, times, "processor seconds", times)
        rows = tuple(self._row(name) for name in self.timings.names)
        return Table(title=self.title, header=(*header, *self.figures), rows=rows, notes=self.notes)

    def _row(self, name: str) -> tuple[str, ...]:
        timings = self.timings
        rate = (f"{self.pictures / timings.median(name):.1f}",) if self.pictures else ()
        rounds = len(timings.wall[name])
        spread = f"{timings.spread(name):.2g}" if rounds > 1 else "1 run"
        return (
            name, f"{timings.median(name):.3g} ({spread})", *rate, f"{timings.ratio(name):.2f}",
            f"{timings.processor_median(name):.3g}", f"{timings.processor_ratio(name):.2f}",
            *(f"{found[name]:.10g}" if name in found else "" for found in self.figures.values()),
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        timings = {"seconds": self.timings.wall, "processor_seconds": self.timings.processor}
        return {
            "title": self.title, **timings, "pictures": self.pictures, "figures": self.figures,
            "notes": self.notes,
        }  # fmt: skip
