"""Measurements of a run: every snapshot with few samples and the last one in full, kept in the run's folder.

The reference is the training split alone, also for the held-out real images. Controls with random weights
are left out: they would double the time, and runs are compared with each other.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from brushwork.data.files import write_json
from brushwork.data.loader import Pictures, describe, load_pictures
from brushwork.data.sources.modes import MODE_STYLES, count_modes
from brushwork.eval.features.extractors import build_extractor
from brushwork.eval.reference import Reference, load_reference
from brushwork.eval.sources import Stored
from brushwork.eval.suite import measure
from brushwork.models.generator import Generator
from brushwork.models.sampling import sample
from brushwork.models.snapshot import load_generator
from brushwork.scripts.experiments.collection_runs import Run, seconds_at, snapshots, train
from brushwork.training.run.diversity import spread

EVALUATORS = ("efficientnet-lite0", "hed-vgg16")
"""Two families of networks. The first also measures the curve."""
CURVE_SAMPLES, FINAL_SAMPLES = 200, 1000
"""Samples of each style at a snapshot; at the end as many as training images, and at most so many."""
CURVE_METRICS = ("fd", "prdc", "diversity")
FINAL_METRICS = ("fd", "accuracy", "kid", "prdc", "diversity", "copies")
BATCH = 64
CURVE_FILE, FINAL_FILE = "curve.json", "final.json"
"""In the folder of a run."""

Json = dict[str, Any]


def train_and_measure(run: Run) -> bool:
    """Trains and measures what is missing of a run; returns False if a signal stopped the training.

    A signal ends a measurement at once. What was not written is measured again.
    """
    if not run.is_finished and not train(run.config):
        return False
    Measurement(run).complete()
    return True


def is_complete(run: Run) -> bool:
    """Whether a run is finished and measured by the current protocol."""
    curve = stored(run.folder / CURVE_FILE, curve_protocol(run))
    return run.is_finished and "real" in curve and bool(stored(run.folder / FINAL_FILE, final_protocol(run)))


def curve_protocol(run: Run) -> Json:
    """How snapshots are measured."""
    fingerprint = describe(run.config.data).fingerprint
    return {
        "evaluator": run.evaluators[0], "metrics": list(CURVE_METRICS), "per_style": CURVE_SAMPLES,
        "data": fingerprint,
    }  # fmt: skip


def final_protocol(run: Run) -> Json:
    """How the last snapshot is measured."""
    fingerprint = describe(run.config.data).fingerprint
    return {
        "evaluators": list(run.evaluators), "metrics": list(FINAL_METRICS), "most": FINAL_SAMPLES,
        "data": fingerprint,
    }  # fmt: skip


def stored(path: Path, protocol: Json) -> Json:
    """The content of a file that was measured by this protocol; otherwise {}."""
    content = json.loads(path.read_text()) if path.exists() else {}
    return content if content.get("protocol") == protocol else {}


class Measurement:
    """The measurements of one run. Those that its files hold are not repeated."""

    def __init__(self, run: Run) -> None:
        torch.set_num_threads(run.config.threads)
        self.run = run

    def complete(self) -> None:
        """Measures each snapshot, the held-out images in the same way, and the last snapshot in full."""
        paths, folder = snapshots(self.run.folder), self.run.folder
        protocol = curve_protocol(self.run)
        curve = stored(folder / CURVE_FILE, protocol) or {"protocol": protocol, "points": {}}
        for nimg, snapshot in paths.items():
            if str(nimg) not in curve["points"]:
                samples = generate(load_generator(snapshot), [CURVE_SAMPLES] * len(self.names))
                minutes = seconds_at(nimg, folder) / 60
                curve["points"][str(nimg)] = {"minutes": minutes, **self.figures(samples)}
                write_json(folder / CURVE_FILE, curve)
        if "real" not in curve:
            write_json(folder / CURVE_FILE, {**curve, "real": self.figures(self.labelled("test"))})
        protocol = final_protocol(self.run)
        if not stored(folder / FINAL_FILE, protocol):
            began, generator = time.perf_counter(), load_generator(list(paths.values())[-1])
            figures = self.all_figures(generator)
            seconds = time.perf_counter() - began
            write_json(folder / FINAL_FILE, {"protocol": protocol, **figures, "seconds": seconds})

    # Real images
    @cached_property
    def pictures(self) -> Mapping[str, Pictures]:
        """By split."""
        return {split: load_pictures(self.run.config.data, split) for split in ("train", "test")}

    @property
    def names(self) -> tuple[str, ...]:
        return self.pictures["train"].style_names

    def labelled(self, split: str) -> Stored:
        """The labelled images of a split."""
        pictures = self.pictures[split]
        keep = pictures.styles >= 0
        return Stored(images=pictures.images[keep], styles=pictures.styles[keep])

    @cached_property
    def reference(self) -> Reference:
        extractors = [build_extractor(name) for name in self.run.evaluators]
        return load_reference(self.run.config.data, extractors, control=False)

    # Metrics
    def figures(self, samples: Stored) -> Json:
        """The metrics of the curve, in the features of the first evaluator."""
        first = replace(self.reference, spaces=self.reference.spaces[:1])
        figures = measure(samples, first, metrics=CURVE_METRICS).figures
        return {
            "fd": figures["fd"].measured.value,
            "recall": self._by_style(figures["recall"].measured.per_style),
            "diversity": self._by_style(figures["diversity"].measured.per_style),
            "pixel_diversity": self._by_style(pixel_diversity(samples, self.pictures["train"])),
        }

    def all_figures(self, generator: Generator) -> Json:
        """The metrics of the last snapshot."""
        train = self.labelled("train")
        counts = torch.bincount(train.styles, minlength=len(self.names)).clamp(max=FINAL_SAMPLES).tolist()
        samples = generate(generator, counts)
        figures: Json = {
            "samples": counts,
            "measures": measure(samples, self.reference, metrics=FINAL_METRICS).to_json(),
            "pixel_diversity": self._by_style(pixel_diversity(samples, self.pictures["train"])),
        }
        if self.names == MODE_STYLES and samples.images.shape[-1] >= 16:
            # The real side is the training split: the few held-out images cannot show every mode.
            figures |= {"modes": modes_of(samples), "real_modes": modes_of(train)}
        return figures

    def _by_style(self, values: Sequence[float]) -> dict[str, float]:
        return dict(zip(self.names, values, strict=True))


def generate(generator: Generator, counts: Sequence[int]) -> Stored:
    """`counts` samples of each style, from the seeds 0, 1, ..."""
    styles = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    seeds = torch.cat([torch.arange(count) for count in counts])
    labels = torch.eye(len(counts))[styles]
    parts = zip(labels.split(BATCH), seeds.split(BATCH), strict=True)
    images = [sample(generator, label, seed, stage=generator.trained_stage) for label, seed in parts]
    return Stored(images=torch.cat(images), styles=styles)


def pixel_diversity(samples: Stored, real: Pictures) -> list[float]:
    """`spread` of each style over that of its real images, reduced to the same resolution."""
    shares = []
    for style in range(len(real.style_names)):
        own = spread(_reduced(real.images[real.styles == style], samples.images.shape[-1]))
        shares.append(spread(samples.images[samples.styles == style]) / own if own else float("nan"))
    return shares


def _reduced(images: Tensor, side: int) -> Tensor:
    return F.adaptive_avg_pool2d(images.float(), min(side, images.shape[-1])).round().to(torch.uint8)


def modes_of(samples: Stored) -> Json:
    """For each style, the number of modes that its images show, and the share of images that show any."""
    counts = {
        name: count_modes(samples.images[samples.styles == i], name) for i, name in enumerate(MODE_STYLES)
    }
    return {
        "found": {name: count.found for name, count in counts.items()},
        "recognised": {name: count.recognised for name, count in counts.items()},
    }
