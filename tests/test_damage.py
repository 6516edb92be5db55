"""Damaged and foreign files of every kind that we write and read again.

`python tests/test_damage.py --count 1900` damages so many files, by seed, and counts what came of it. Each
must be read as if nothing were wrong, or refused with one sentence; and of snapshots and checkpoints, which
carry a digest, none may be read at all. `make test` runs an eighth.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brushwork.data.curate.pack import PackConfig, pack
from brushwork.data.errors import DataError
from brushwork.data.loader import load_dataset
from brushwork.eval.errors import EvalError
from brushwork.eval.features.extract import FeatureCache
from brushwork.eval.metrics.frechet import load_statistics
from brushwork.eval.pairs.read import read_pairs
from brushwork.eval.report.compare import comparison_table, read_report
from brushwork.models.errors import ModelError
from brushwork.models.snapshot import generator_bytes, load_generator, load_training_networks
from brushwork.scripts.bench.toy import toy_dataset, write_toy
from brushwork.training.errors import TrainingError
from brushwork.training.preset_files import read_preset, write_preset
from brushwork.training.presets import toy
from brushwork.training.run.checkpoint import load_checkpoint
from brushwork.training.run.metrics import measurements
from brushwork.training.run.run_folder import RunFolder
from brushwork.training.trainer import Trainer

REFUSALS = (DataError, EvalError, ModelError, TrainingError)
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 10**30, 1e308, "", "x" * 300, "\n|", [], {}, [[[]]], {"a": {"b": 1}}
)  # fmt: skip
"""Values that may stand in a JSON file in place of something else."""


@dataclass(frozen=True)
class Kind:
    """A file in the folder that `samples` fills, and its reader; any damage to a sealed one must show."""

    path: str
    read: Callable[[Path], object]
    sealed: bool = False


def _packed_again(file: Path) -> None:
    pack(file.parents[1] / "toy", file.parent, PackConfig(resolution=16))


def _compared(file: Path) -> None:
    comparison_table(read_report(file), read_report(file))


class _Features:
    name, protocol, dim, standardised = "net", "a network", 3, True

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return images

    def control(self) -> "_Features":
        return self


def _features(file: Path) -> None:
    if FeatureCache(file.parent).get(_Features(), "key", 4) is None:
        raise EvalError("the features count as absent.")


def _started_from(file: Path) -> None:
    load_generator(file)
    assert load_training_networks(file) is not None


KINDS = {
    "snapshot": Kind("run/snapshots/best.safetensors", load_generator, sealed=True),
    "snapshot to start from": Kind("run/snapshots/latest.safetensors", _started_from, sealed=True),
    "checkpoint": Kind("run/checkpoints/000000000016.pt", load_checkpoint, sealed=True),
    "config.json": Kind("run/config.json", lambda file: RunFolder(file.parent).read()),
    "metrics.jsonl": Kind("run/metrics.jsonl", lambda file: measurements(RunFolder(file.parent).history())),
    "preset": Kind("preset.json", read_preset),
    "dataset.json": Kind("data/dataset.json", lambda file: load_dataset(file.parent)),
    "dataset.json, packed again": Kind("data/dataset.json", _packed_again),
    "shard": Kind("data/data/train-00000-of-00001.parquet", lambda file: load_dataset(file.parents[1])),
    "report of packing": Kind("data/report.json", _packed_again),
    "report of measuring": Kind("report.json", _compared),
    "statistics": Kind("statistics.npz", load_statistics),
    "features": Kind("features/net-425e17560e253d83360a4ad26ab36571.safetensors", _features, sealed=True),
    "list of pairs": Kind("pairs.csv", read_pairs),
}


def samples(folder: Path) -> None:
    """One whole file of each kind."""
    write_toy(folder / "toy", styles=2, subjects=6, size=16, seed=0)
    _packed_again(folder / "data" / "dataset.json")
    preset = toy()
    generator = replace(preset.generator, channel_base=32, channel_max=4, w_dim=4, z_dim=4)
    config = replace(
        preset, out=folder / "run", total_kimg=0.016, device="cpu", threads=1, precision="fp32",
        generator=generator, interval=replace(preset.interval, status_kimg=0.008),
    )  # fmt: skip
    Trainer(config, toy_dataset(styles=2, subjects=6, size=16)).run()
    average = load_generator(folder / "run")
    best = generator_bytes(average, stage=average.trained_stage, notes={})
    (folder / "run" / "snapshots" / "best.safetensors").write_bytes(best)
    write_preset(folder / "preset.json", config, about="for a test")
    measured = {"value": 1.5, "spread": None}
    figures = {"fd": {"better": "less", "measured": measured, "real": measured, "control": None}}
    report = {"protocol": {"count": 4}, "style_names": ["ink", "oil"], "figures": figures}
    (folder / "report.json").write_text(json.dumps(report))
    np.savez_compressed(folder / "statistics.npz", mu=np.zeros(3), sigma=np.eye(3))
    FeatureCache(folder / "features").put(_Features(), "key", torch.rand(4, 3))
    one, other, *_ = [path.relative_to(folder) for path in sorted((folder / "toy").rglob("*.png"))]
    (folder / "pairs.csv").write_text(f"output,content,style\n{one},{other},ink\n{other},{one},oil\n")
    for name, kind in KINDS.items():
        assert outcome(kind, folder).startswith("read"), f"{name}: {outcome(kind, folder)}"


def damaged(content: bytes, source: random.Random) -> tuple[str, bytes]:
    """A damage and its name."""
    place, more = source.randrange(len(content)), source.randrange(1, 64)
    flipped = bytearray(content)
    flipped[place] ^= 1 << source.randrange(8)
    ways = {
        "a flipped bit": bytes(flipped),
        "cut off": content[:place],
        "without its start": content[place + 1 :],
        "a hole": content[:place] + bytes(more) + content[place + more :],
        "doubled": content + content,
        "rubbish": source.randbytes(more),
        "nothing": b"",
    }
    if content[:1] in (b"{", b"["):
        ways |= {f"odd JSON {number}": _odd(content, source) for number in range(9)}
    name = source.choice(sorted(ways))
    return name.partition(" JSON")[0], ways[name]


def _odd(content: bytes, source: random.Random) -> bytes:
    """JSON, or lines of it, in which a value is another or is gone."""
    lines = [json.loads(line) for line in ([content] if content.count(b"\n{") == 0 else content.splitlines())]
    number = source.randrange(len(lines))
    parent, key = source.choice(list(_places(lines)) or [(lines, number)])
    if source.random() < 0.3:
        del parent[key]
    else:
        parent[key] = source.choice(ODD)
    return "\n".join(json.dumps(line) for line in lines).encode()


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(items):
        yield tree, key
        yield from _places(value)


def outcome(kind: Kind, folder: Path) -> str:
    """read, refused, or what should not have been."""
    try:
        kind.read(folder / kind.path)
    except REFUSALS as error:
        return "refused" if "\n" not in str(error) else f"several lines: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "read in spite of its digest" if kind.sealed else "read"


def sweep(whole: Path, count: int, seed: int) -> dict[str, Counter[str]]:
    """Counts the outcomes of `count` damages, by kind, dealt out evenly among the kinds."""
    source, found = random.Random(seed), {name: Counter[str]() for name in KINDS}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(count):
            name, kind = list(KINDS.items())[number % len(KINDS)]
            folder = Path(scratch) / str(number)
            shutil.copytree(whole, folder)
            before = (folder / kind.path).read_bytes()
            what, content = damaged(before, source)
            (folder / kind.path).write_bytes(content)
            if content != before:
                ended = outcome(kind, folder)
                found[name][ended if ended in ("read", "refused") else f"{what}: {ended}"] += 1
            shutil.rmtree(folder)
    return found


def test_damaged_files_are_read_or_refused_with_a_sentence(tmp_path: Path) -> None:
    samples(tmp_path)
    found = sweep(tmp_path, 240, 0)
    assert {name: counts for name, counts in found.items() if set(counts) - {"read", "refused"}} == {}
    assert sum(counts["refused"] for counts in found.values()) > 70


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1900)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as whole:
        samples(Path(whole))
        results = sweep(Path(whole), options.count, options.seed)
    for kind_name, outcomes in results.items():
        print(f"{kind_name:28}", ", ".join(f"{what} {count}" for what, count in outcomes.most_common()))
    sys.exit(any(set(outcomes) - {"read", "refused"} for outcomes in results.values()))
