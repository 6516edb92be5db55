"""The run folder: who owns it, what it was configured with, and its log."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from brushwork.data.files import write_file, write_json

from .config import FREE_TO_CHANGE, TrainConfig
from .errors import TrainingError

Json = dict[str, Any]


def plain(value: Any) -> Any:
    """Configuration values as JSON knows them."""
    return json.loads(json.dumps(value, default=str))


def flat(tree: Json, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested dictionaries with their dotted names."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def differences(theirs: Json, ours: Json) -> list[str]:
    """Where two configurations differ in what a step computes, one readable line each."""
    there, here = dict(flat(theirs)), dict(flat(ours))
    return [
        f"{name}: {there.get(name)} there, {here.get(name)} here"
        for name in sorted(there | here)
        if name.split(".")[0] not in FREE_TO_CHANGE and there.get(name) != here.get(name)
    ]


class RunFolder:
    """Paths of a run, its config.json and its metrics.jsonl."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.samples, self.checkpoints, self.snapshots = (
            path / "samples",
            path / "checkpoints",
            path / "snapshots",
        )
        self.config_file, self.log_file = path / "config.json", path / "metrics.jsonl"

    def read(self) -> Json | None:
        """What config.json says; None where there is none yet."""
        if self.path.exists() and not self.path.is_dir():
            raise TrainingError(f"{self.path} is a file; give --out a folder.")
        if not self.config_file.exists():
            return None
        try:
            content = json.loads(self.config_file.read_text())
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise TrainingError(f"{self.config_file} is damaged ({error}); choose another --out.") from error
        parts = ("config", "facts")
        if not isinstance(content, dict) or not all(isinstance(content.get(part), dict) for part in parts):
            raise TrainingError(f"{self.config_file} is damaged (no config and facts); choose another --out.")
        return content

    def claim(self, config: TrainConfig, facts: Json, *, resume: bool) -> Json:
        """Takes the folder for this run and returns the facts to go by: the stored ones when it exists
        already.

        `facts` are what the configuration left open (`pace.settle`).

        Raises:
            TrainingError: another configuration or other data own the folder, or it holds a run and `resume`
                was not asked for.
        """
        ours, stored = plain(asdict(config)), self.read()
        if stored is None:
            self._write({"config": ours, "facts": facts})
            return facts
        lines = differences(stored["config"], ours)
        for name, what in (
            ("fingerprint", "data fingerprint"),
            ("styles", "data styles"),
            ("group", "pictures that the minibatch statistics compare, by processes and accumulate"),
        ):
            if stored["facts"].get(name) != plain(facts.get(name)):
                lines.append(f"{what}: {stored['facts'].get(name)} there, {plain(facts.get(name))} here")
        if lines:
            raise TrainingError(
                f"{self.path} holds a run of another configuration; choose another --out or restore:\n  "
                + "\n  ".join(lines)
            )
        if not resume and any(self.checkpoints.glob("*.pt")):
            raise TrainingError(
                f"{self.path} holds a run already; go on with --resume, or choose another --out."
            )
        self._write({"config": ours, "facts": stored["facts"]})
        return stored["facts"]

    def _write(self, content: Json) -> None:
        write_json(self.config_file, content, durable=True)

    # The log

    def log(self, line: Json) -> None:
        """Appends one line to metrics.jsonl."""
        with self.log_file.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def history(self) -> list[Json]:
        """All lines of metrics.jsonl; a line that was cut off is left out."""
        if not self.log_file.exists():
            return []
        lines = []
        for text in self.log_file.read_text().splitlines():
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:
                continue
        return lines

    def rewind(self, nimg: int) -> None:
        """Drops what was logged after image `nimg`, when a run goes on from an older checkpoint."""
        kept = [line for line in self.history() if line["nimg"] <= nimg]
        write_file(self.log_file, "".join(json.dumps(line) + "\n" for line in kept))
