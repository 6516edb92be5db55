"""What a run draws, measured at every snapshot with few samples and at its end in full; kept beside the run.

Every figure is taken against the training split alone, and so is that of held-out real pictures beside it.
Controls with random weights are left out: they would double the time, and runs are compared with each other.
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
"""Two families. The first also measures the curve."""
FEW, MOST = 200, 1000
"""Samples of each style at a snapshot; and at the end, where there are as many training pictures."""
CURVE = ("fd", "prdc", "diversity")
FINAL = ("fd", "accuracy", "kid", "prdc", "diversity", "copies")
BATCH = 64
CURVE_FILE, FINAL_FILE = "curve.json", "final.json"
"""In the folder of a run."""

Json = dict[str, Any]


# A run
def train_and_measure(run: Run) -> bool:
    """Does what is missing of a run; False where a signal stopped its training.

    A signal ends a measurement at once: what it had not written is measured again.
    """
    if not run.is_finished and not train(run.config):
        return False
    Measurement(run).complete()
    return True


def is_complete(run: Run) -> bool:
    """Whether a run is finished, and measured in the present way."""
    curve = kept(run.folder / CURVE_FILE, curve_protocol(run))
    return run.is_finished and "real" in curve and bool(kept(run.folder / FINAL_FILE, final_protocol(run)))


def curve_protocol(run: Run) -> Json:
    """How snapshots are measured."""
    return {"evaluator": run.evaluators[0], "metrics": list(CURVE), "per_style": FEW, "data": _data(run)}


def final_protocol(run: Run) -> Json:
    """How the last snapshot is measured."""
    return {"evaluators": list(run.evaluators), "metrics": list(FINAL), "most": MOST, "data": _data(run)}


def _data(run: Run) -> str:
    return describe(run.config.data).fingerprint


class Measurement:
    """The figures of one run. What is in its files, taken in the same way, is not taken again."""

    def __init__(self, run: Run) -> None:
        torch.set_num_threads(run.config.threads)
        self.run = run

    def complete(self) -> None:
        """Measures each snapshot, the held-out pictures in the same way, and the last snapshot in full."""
        found, folder = snapshots(self.run.folder), self.run.folder
        protocol = curve_protocol(self.run)
        curve = kept(folder / CURVE_FILE, protocol) or {"protocol": protocol, "points": {}}
        for nimg, snapshot in found.items():
            if str(nimg) not in curve["points"]:
                drawn = draw(load_generator(snapshot), [FEW] * len(self.names))
                minutes = seconds_at(nimg, folder) / 60
                curve["points"][str(nimg)] = {"minutes": minutes, **self.figures(drawn)}
                write(folder / CURVE_FILE, curve)
        if "real" not in curve:
            write(folder / CURVE_FILE, {**curve, "real": self.figures(self.stored("test"))})
        protocol = final_protocol(self.run)
        if not kept(folder / FINAL_FILE, protocol):
            began, generator = time.perf_counter(), load_generator(list(found.values())[-1])
            figures = self.all_figures(generator)
            seconds = time.perf_counter() - began
            write(folder / FINAL_FILE, {"protocol": protocol, **figures, "seconds": seconds})

    # Real pictures
    @cached_property
    def pictures(self) -> Mapping[str, Pictures]:
        """By split."""
        return {split: load_pictures(self.run.config.data, split) for split in ("train", "test")}

    @property
    def names(self) -> tuple[str, ...]:
        return self.pictures["train"].style_names

    def stored(self, split: str) -> Stored:
        """The labelled pictures of a split."""
        pictures = self.pictures[split]
        return Stored(
            images=pictures.images[pictures.styles >= 0], styles=pictures.styles[pictures.styles >= 0]
        )

    @cached_property
    def reference(self) -> Reference:
        extractors = [build_extractor(name) for name in self.run.evaluators]
        return load_reference(self.run.config.data, extractors, control=False)

    # Figures
    def figures(self, drawn: Stored) -> Json:
        """Those of the curve, in the space of the first evaluator alone."""
        first = replace(self.reference, spaces=self.reference.spaces[:1])
        found = measure(drawn, first, metrics=CURVE).figures
        return {
            "fd": found["fd"].measured.value,
            "recall": self._by_style(found["recall"].measured.per_style),
            "diversity": self._by_style(found["diversity"].measured.per_style),
            "pixel_diversity": self._by_style(pixel_diversity(drawn, self.pictures["train"])),
        }

    def all_figures(self, generator: Generator) -> Json:
        """Those of the end, with as many samples of each style as it has training pictures, up to `MOST`."""
        train = self.stored("train")
        counts = torch.bincount(train.styles, minlength=len(self.names)).clamp(max=MOST).tolist()
        drawn = draw(generator, counts)
        found: Json = {
            "samples": counts,
            "measures": measure(drawn, self.reference, metrics=FINAL).to_json(),
            "pixel_diversity": self._by_style(pixel_diversity(drawn, self.pictures["train"])),
        }
        if self.names == MODE_STYLES and drawn.images.shape[-1] >= 16:
            # The real side is the training split, as large as the samples: the few pictures that are held out
            # cannot show every mode.
            found |= {"modes": modes_of(drawn), "real_modes": modes_of(train)}
        return found

    def _by_style(self, values: Sequence[float]) -> dict[str, float]:
        return dict(zip(self.names, values, strict=True))


def draw(generator: Generator, counts: Sequence[int]) -> Stored:
    """So many pictures of each style, from the seeds 0, 1, ..."""
    styles = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    seeds = torch.cat([torch.arange(count) for count in counts])
    labels = torch.eye(len(counts))[styles]
    parts = zip(labels.split(BATCH), seeds.split(BATCH), strict=True)
    images = [sample(generator, label, seed, stage=generator.trained_stage) for label, seed in parts]
    return Stored(images=torch.cat(images), styles=styles)


def pixel_diversity(drawn: Stored, real: Pictures) -> list[float]:
    """`spread` of each style as a share of that of its real pictures, reduced to the same resolution."""
    shares = []
    for style in range(len(real.style_names)):
        own = spread(_reduced(real.images[real.styles == style], drawn.images.shape[-1]))
        shares.append(spread(drawn.images[drawn.styles == style]) / own if own else float("nan"))
    return shares


def _reduced(images: Tensor, side: int) -> Tensor:
    return F.adaptive_avg_pool2d(images.float(), min(side, images.shape[-1])).round().to(torch.uint8)


def modes_of(drawn: Stored) -> Json:
    """Of each style, how many modes its pictures show, and which share of them shows any."""
    counts = {name: count_modes(drawn.images[drawn.styles == i], name) for i, name in enumerate(MODE_STYLES)}
    return {
        "found": {name: count.found for name, count in counts.items()},
        "recognised": {name: count.recognised for name, count in counts.items()},
    }


# Files
def kept(path: Path, protocol: Json) -> Json:
    """What a file holds, if it was measured in this way; else nothing."""
    found = json.loads(path.read_text()) if path.exists() else {}
    return found if found.get("protocol") == protocol else {}


def write(path: Path, content: Json) -> None:
    """Whole or not at all."""
    write_json(path, content)
