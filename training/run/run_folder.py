"""The run folder: its lock, its configuration and its log."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from brushwork.data.files import remove_partials, write_file, write_json

from ..config import FREE_TO_CHANGE, TrainConfig
from ..errors import TrainingError
from ..renames import FROM_DATA, Json, updated
from .checkpoint import checkpoints


def to_json(config: TrainConfig) -> Json:
    """All fields of a configuration, as JSON types."""
    return json.loads(json.dumps(asdict(config), default=str))


def flat(tree: Json, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested dictionaries by dotted name."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def differences(theirs: Json, ours: Json) -> list[str]:
    """The differences of two configurations that change what a step computes, one line each. Fields that came
    after `theirs` was written have their defaults there."""
    defaults = dict(flat(to_json(TrainConfig())))
    there, here = dict(flat(theirs)), dict(flat(ours))
    there |= {name: defaults[name] for name in here if name in defaults and name not in there}
    return [
        f"{name}: {there.get(name)} there, {here.get(name)} here"
        for name in sorted(there | here)
        if name.split(".")[0] not in FREE_TO_CHANGE and there.get(name) != here.get(name)
    ]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True, extra="forbid"))
class RunSetup:
    """Facts about machine and data that a run takes at its start and keeps on resume."""

    precision: Literal["fp32", "bf16"]
    fingerprint: str
    """Fingerprint of the data set."""
    styles: tuple[str, ...]
    """Style names in order."""
    group: int
    """Images per group of the minibatch statistics, which depends on the number of processes and parts."""

    def compared(self) -> Json:
        """The facts that must not change on resume, by a name for the user."""
        return {
            "data set, by its fingerprint": self.fingerprint,
            "styles": self.styles,
            "images that the minibatch statistics compare": self.group,
        }


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The content of config.json."""

    config: Json
    setup: RunSetup


@dataclass(frozen=True, kw_only=True)
class RunStart:
    """How a run starts: from a checkpoint with the stored setup, or afresh."""

    setup: RunSetup
    checkpoint: Path | None = None
    aside: Path | None = None
    """Folder to which the files of an earlier run without a checkpoint were moved, if there were any."""


LEFT_BY_RUNS = (
    "config.json", "metrics.jsonl", "curves.png", "samples", "snapshots", "checkpoints",
    "classifier.safetensors", "generated", "restyled", "measure", "index.html",
)  # fmt: skip
"""Files that training, `sample`, `restyle` and `measure` write into a run folder."""


TRANSFERABLE = {"generator.resolution", "generator.encoders", "generator.mapping_lr"}
"""Fields of the networks in which a run may differ from the run that it starts from."""


def _is_log_line(line: object) -> bool:
    """Whether a line of metrics.jsonl has numbers by name, including `nimg`."""
    return (
        isinstance(line, dict)
        and type(line.get("nimg")) is int
        and all(isinstance(value, int | float) for value in line.values())
    )


class RunFolder:
    """Paths of a run, its config.json and its metrics.jsonl."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.samples, self.snapshots = path / "samples", path / "snapshots"
        self.checkpoints = path / "checkpoints"
        self.config_file, self.log_file = path / "config.json", path / "metrics.jsonl"
        self._lock = FileLock(path / ".lock")

    # Ownership

    def own(self) -> None:
        """Locks the folder for this process, and removes incomplete files of killed processes.

        Raises:
            TrainingError: another process trains in the folder, or it cannot be created.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise TrainingError(
                f"another process is training in {self.path}: wait until it ends, stop it, or choose another "
                "--out."
            ) from error
        except OSError as error:
            raise TrainingError(
                f"{self.path} cannot be a run's folder ({error.strerror}): choose another --out."
            ) from error
        remove_partials(self.path)

    def let_go(self) -> None:
        """Unlocks the folder."""
        self._lock.release()

    @property
    def holds_run(self) -> bool:
        """Whether there is a run to resume."""
        return bool(checkpoints(self.checkpoints))

    def require_free(self) -> None:
        """Raises TrainingError if the folder holds a run."""
        if self.holds_run:
            raise TrainingError(
                f"{self.path} holds a run already; go on with --resume, or choose another --out."
            )

    def require(self) -> None:
        """Raises TrainingError if the folder was removed or emptied while the run trained."""
        if not self.config_file.exists():
            raise TrainingError(
                f"{self.config_file} is gone: the run's folder was removed or replaced while it trained. "
                "Start again in another --out."
            )

    # The configuration

    def read(self) -> Stored | None:
        """The content of config.json; None without one.

        Raises:
            TrainingError: the file is damaged or of an earlier version, or the folder is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise TrainingError(f"{self.path} is a file; give --out a folder.")
        if not self.config_file.exists():
            return None
        try:
            return TypeAdapter(Stored).validate_json(updated(self.config_file.read_bytes()))
        except TrainingError as error:
            raise TrainingError(
                f"{self.path} holds a run of an earlier brushwork ({str(error).rstrip('.')}): choose another "
                f"--out; a new run can take its weights: --start-from {self.path}."
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "it"
            raise TrainingError(
                f"{self.config_file} is damaged ({where}: {first['msg']}); choose another --out."
            ) from error

    def claim(self, config: TrainConfig, setup: RunSetup, *, resume: bool) -> RunStart:
        """Starts or resumes a run in the folder.

        Raises:
            TrainingError: the folder holds a run and `resume` is off, or a run of another configuration or
                data, or checkpoints without a config.json.
        """
        found = checkpoints(self.checkpoints)
        if not found:
            return RunStart(setup=setup, aside=self._begin(config, setup))
        stored = self.read()
        if stored is None:
            raise TrainingError(
                f"{self.path} holds checkpoints but no config.json, which says whose they are: restore it, "
                "or choose another --out."
            )
        ours = to_json(config)
        if lines := differences(stored.config | stored.setup.compared(), ours | setup.compared()):
            raise TrainingError(
                f"{self.path} holds a run of another configuration; choose another --out or restore:\n  "
                + "\n  ".join(lines)
                + self._way_on({line.partition(":")[0] for line in lines})
            )
        if not resume:
            self.require_free()
        self._write(ours, stored.setup)
        return RunStart(setup=stored.setup, checkpoint=found[-1])

    def _way_on(self, different: set[str]) -> str:
        """A further line on what to do about these differences; empty if there is nothing to add."""
        if different & FROM_DATA:
            return "\nThe images have another shape: pack them with the --aspect and --alpha of that run."
        networks = {name for name in different if name.startswith(("generator.", "discriminator."))}
        if networks - TRANSFERABLE:
            return ""
        return f"\nA new run can take its weights: --start-from {self.path}."

    def _begin(self, config: TrainConfig, setup: RunSetup) -> Path | None:
        """Starts from image 0; files of an earlier run without a checkpoint are moved to a subfolder."""
        left, aside = [name for name in LEFT_BY_RUNS if (self.path / name).exists()], None
        if left not in ([], ["config.json"]):
            aside = next(p for n in count(1) if not (p := self.path / f"stopped-{n}").exists())
            aside.mkdir()
            for name in left:
                (self.path / name).rename(aside / name)
        self._write(to_json(config), setup)
        return aside

    def _write(self, config: Json, setup: RunSetup) -> None:
        write_json(self.config_file, {"config": config, "setup": asdict(setup)}, durable=True)

    # The log

    def log(self, line: Json) -> None:
        """Appends a line to metrics.jsonl."""
        with self.log_file.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def history(self) -> list[Json]:
        """All complete lines of metrics.jsonl."""
        if not self.log_file.exists():
            return []
        lines = []
        for text in self.log_file.read_text(errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if _is_log_line(line):
                lines.append(line)
        return lines

    def rewind(self, nimg: int) -> None:
        """Removes the lines after image `nimg`, when a run resumes from there."""
        kept = [line for line in self.history() if line["nimg"] <= nimg]
        write_file(self.log_file, "".join(json.dumps(line) + "\n" for line in kept))
