"""Runs of an experiment: their configurations, training and measurement."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from brushwork.data.files import write_json
from brushwork.data.loader import describe, load_dataset, open_dataset
from brushwork.data.sources.modes import MODE_STYLES
from brushwork.eval.features.extractors import build_extractor, default_extractors
from brushwork.eval.metrics.mode_counts import count_modes
from brushwork.eval.pairs.suite import measure_outputs
from brushwork.eval.pairs.truth import Drawings
from brushwork.eval.reference import Reference, load_reference
from brushwork.eval.sources import Stored, opaque
from brushwork.eval.suite import measure
from brushwork.models.generator import Generator
from brushwork.models.sampling import sample
from brushwork.models.snapshot import load_generator
from brushwork.scripts.experiments.sensitivity import labelled
from brushwork.training.config import TrainConfig
from brushwork.training.errors import Diverged, TrainingError
from brushwork.training.run.restyled import RestyledMetrics
from brushwork.training.run.run_folder import RunFolder, differences, to_json
from brushwork.training.trainer import Trainer

POINTS = 8
"""Snapshots before the last one, at equal intervals."""
FINISHED, MEASURED = "finished.json", "measured.json"
"""Files in the folder of a run: why it ended, if it needs no more training; and its measurements."""

CURVE_SAMPLES, FINAL_SAMPLES = 200, 1000
"""Samples of each style at a snapshot; at the end as many as training images, and at most so many."""
CURVE_METRICS = ("fd", "prdc", "diversity")
FINAL_METRICS = ("fd", "accuracy", "kid", "prdc", "diversity", "copies")
RESTYLED_METRICS = ("accuracy", "content", "truth")
"""Metrics of restyled held-out images, of generators with encoders."""
BATCH = 64

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training of a variant on a collection, from a seed."""

    collection: str
    images: int
    """Of each style; 0: all."""
    variant: str
    seed: int
    config: TrainConfig

    @property
    def folder(self) -> Path:
        return self.config.out

    @property
    def is_finished(self) -> bool:
        return (self.folder / FINISHED).exists()

    @property
    def measured(self) -> Json:
        """The measurements so far; {} if there are none by the current protocol."""
        path = self.folder / MEASURED
        found = json.loads(path.read_text()) if path.exists() else {}
        return found if found.get("protocol") == protocol_of(self) else {}

    @property
    def is_complete(self) -> bool:
        """Whether the run is finished and measured."""
        return self.is_finished and "final" in self.measured

    @property
    def snapshots(self) -> dict[int, Path]:
        """Snapshots by their numbers of images, in order."""
        paths = sorted((self.folder / "snapshots").glob("generator-*.safetensors"))
        return {int(path.stem.rpartition("-")[2]): path for path in paths}


def run_config(base: TrainConfig, *, data: Path, out: Path, seed: int, minutes: float) -> TrainConfig:
    """`base` in one thread with its schedule scaled to `minutes`, resumed if it was stopped."""
    interval = replace(base.interval, metrics_kimg=0.0, snapshot_kimg=0.0)
    # `max_minutes` only shortens a schedule, and one thread needs more than a minute for any of them.
    factor = max(1.0, minutes)
    return replace(
        base, data=data, out=out, seed=seed, threads=1, max_minutes=minutes, resume=True,
        total_kimg=base.total_kimg * factor, growing=base.growing.scaled(factor),
        stop_on_collapse=False, interval=interval, patience=0,
    )  # fmt: skip


def require_same(config: TrainConfig) -> None:
    """Raises TrainingError if the run's folder holds a run of another configuration or of other data."""
    stored = RunFolder(config.out).read()
    if stored is None:
        return
    ours, theirs = to_json(config), stored.config
    lines = differences(theirs, ours)
    # When a run is resumed these may change; here they decide about the result.
    for name in ("max_minutes", "total_kimg"):
        if theirs.get(name) != ours[name]:
            lines.append(f"{name}: {theirs.get(name)} there, {ours[name]} here")
    if stored.setup.fingerprint != describe(config.data).fingerprint:
        lines.append(f"data: {theirs.get('data')} there was packed of other images than {config.data} here")
    if lines:
        raise TrainingError(
            f"{config.out} holds a run of another configuration; choose another --out or restore:\n  "
            + "\n  ".join(lines)
        )


def train_and_measure(run: Run) -> bool:
    """Trains and measures what is missing of a run; returns False if a signal stopped the training.

    A signal ends a measurement at once. What was not written is measured again. A run that diverged before
    its first snapshot has nothing to measure.
    """
    if not run.is_finished and not train(run.config):
        return False
    if run.snapshots:
        measure_run(run)
    return True


def train(config: TrainConfig) -> bool:
    """Trains to the end and returns True, or False if a signal stopped the run.

    A run that diverges is finished: that is a result, too.
    """
    pictures = open_dataset(config.data, "train", config.loader.cache)
    trainer = Trainer(config, pictures)  # measures how many images this machine trains in the time
    trainer.folder.let_go()
    between = trainer.plan.images / 1000 / (POINTS + 1)
    interval = replace(config.interval, snapshot_kimg=between, checkpoint_kimg=between)
    try:
        outcome = Trainer(replace(config, interval=interval), pictures).run()
    except Diverged as error:
        write_json(config.out / FINISHED, {"reason": f"diverged: {error}"})
        return True
    if outcome.signal is None:
        write_json(config.out / FINISHED, {"reason": outcome.reason, "nimg": outcome.nimg})
    return outcome.signal is None


def seconds_at(nimg: int, folder: Path) -> float:
    """Seconds of training up to image `nimg`, interpolated between the lines of the log."""
    logged = {line["nimg"]: line["seconds"] for line in RunFolder(folder).history() if "seconds" in line}
    return float(np.interp(nimg, [0, *logged], [0.0, *logged.values()]))


# Measurement
def protocol_of(run: Run) -> Json:
    """How a run is measured.

    The reference is the training split alone, also for the held-out real images. Controls with random weights
    are left out: they would double the time, and runs are compared with each other.
    """
    return {
        "evaluators": list(default_extractors()), "data": describe(run.config.data).fingerprint,
        "curve": {"metrics": list(CURVE_METRICS), "per_style": CURVE_SAMPLES},
        "final": {"metrics": list(FINAL_METRICS), "most": FINAL_SAMPLES},
    }  # fmt: skip


def measure_run(run: Run) -> None:
    """Measures each snapshot, the held-out images in the same way, and the last snapshot in full.

    All is kept in the run's folder, and what is there is not repeated.
    """
    torch.set_num_threads(run.config.threads)
    found = run.measured or {"protocol": protocol_of(run), "points": {}}
    real, held_out = (labelled(load_dataset(run.config.data, split)) for split in ("train", "test"))
    reference = load_reference(run.config.data, [build_extractor(name) for name in default_extractors()],
                               control=False)  # fmt: skip
    names = reference.style_names

    def curve_figures(samples: Stored) -> Json:
        first = replace(reference, spaces=reference.spaces[:1])
        figures = measure(samples, first, metrics=CURVE_METRICS).figures
        per_style = {name: figures[name].measured.per_style for name in ("recall", "diversity")}
        return {
            "fd": figures["fd"].measured.value,
            **{name: dict(zip(names, values, strict=True)) for name, values in per_style.items()},
        }

    def keep(content: Json) -> None:
        write_json(run.folder / MEASURED, content)

    for nimg, snapshot in run.snapshots.items():
        if str(nimg) not in found["points"]:
            samples = generate(load_generator(snapshot), [CURVE_SAMPLES] * len(names))
            minutes = seconds_at(nimg, run.folder) / 60
            found["points"][str(nimg)] = {"minutes": minutes, **curve_figures(samples)}
            keep(found)
    if "real" not in found:
        found["real"] = curve_figures(held_out)
        keep(found)
    if "final" not in found:
        began = time.perf_counter()
        counts = torch.bincount(real.styles, minlength=len(names)).clamp(max=FINAL_SAMPLES).tolist()
        generator = load_generator(list(run.snapshots.values())[-1])
        samples = generate(generator, counts)
        figures = measure(samples, reference, metrics=FINAL_METRICS).to_json()
        found["final"] = {"samples": counts, "measures": figures, "seconds": time.perf_counter() - began}
        if generator.config.encoders:
            found["final"]["restyled"] = restyled_figures(generator, run.config.data, reference)
        if names == MODE_STYLES and samples.images.shape[-1] >= 16:
            # The real side is the training split: the few held-out images cannot show every mode.
            found["final"] |= {"modes": modes_of(samples), "real_modes": modes_of(real)}
        keep(found)


def generate(generator: Generator, counts: Sequence[int]) -> Stored:
    """`counts` samples of each style, from the seeds 0, 1, ..."""
    styles = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    seeds = torch.cat([torch.arange(count) for count in counts])
    labels = torch.eye(len(counts))[styles]
    parts = zip(labels.split(BATCH), seeds.split(BATCH), strict=True)
    images = [sample(generator, label, seed, stage=generator.trained_stage) for label, seed in parts]
    return Stored(images=torch.cat(images), styles=styles)


def restyled_figures(generator: Generator, data: Path, reference: Reference) -> Json:
    """Figures of 120 held-out images, each restyled to one other style, and of the same images unchanged."""
    first = replace(reference, spaces=reference.spaces[:1])
    restyled = RestyledMetrics(RESTYLED_METRICS, data, first)
    drawings = Drawings(test=load_dataset(data, "test"), train=load_dataset(data, "train"))

    def figures(outputs: Tensor) -> Json:
        pairs = replace(
            restyled.contents, outputs=opaque(outputs), contents=opaque(restyled.contents.contents)
        )
        return measure_outputs(
            pairs, restyled.networks, metrics=RESTYLED_METRICS, reference=first, drawings=drawings
        ).summary()  # fmt: skip

    outputs = restyled.restyled(generator, generator.trained_stage)
    return {"measured": figures(outputs), "unchanged": figures(restyled.contents.contents)}


def modes_of(samples: Stored) -> Json:
    """The number of modes that the images of each style show, and the share of images that show any."""
    counts = {
        name: count_modes(samples.images[samples.styles == i], name) for i, name in enumerate(MODE_STYLES)
    }
    return {
        "found": {name: int((own > 0).sum()) for name, own in counts.items()},
        "recognised": {
            name: int(own.sum()) / max(1, int((samples.styles == i).sum()))
            for i, (name, own) in enumerate(counts.items())
        },
    }
