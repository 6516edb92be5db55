"""How near do inverted pictures come, and are the codes of samples found again (docs/editing.md)?"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brushwork.data.dataset import load_dataset
from brushwork.data.files import write_json
from brushwork.eval.features.extractors import default_extractors
from brushwork.eval.metrics.perceptual import perceptual_distance
from brushwork.models.generator import Generator
from brushwork.models.options import Count, options
from brushwork.models.sampling import render, style_codes
from brushwork.models.snapshot import load_generator
from brushwork.scripts.bench.harness import Table, machine
from brushwork.scripts.cli import parse_and_run
from brushwork.scripts.experiments.documented import command_of, write_results
from brushwork.scripts.experiments.training_runs import Run
from brushwork.scripts.experiments.training_tables import mean_and_deviation
from brushwork.scripts.experiments.trainings import TrainingArguments, planned, quickly, train_missing
from brushwork.training.interrupt import stop_on_signals
from brushwork.training.inversion.config import InversionConfig
from brushwork.training.inversion.job import Inversion, InversionJob, Stopped
from brushwork.training.inversion.results import (
    INVERTED,
    NEAREST,
    differences,
    images_by_kind,
    nearest_images,
)
from brushwork.training.inversion.start import encoded_images

METHODS: Mapping[str, InversionConfig] = {
    "W": InversionConfig(space="w"),
    "W+": InversionConfig(),
    "W+ and noise maps": InversionConfig(noise="optimised"),
    "W+ and tuning": InversionConfig(tune_steps=350),
}
"""Ways to invert, by the name in the table."""
FIRST = 10_000
"""The first seed of samples that are inverted."""
OTHERS = 1000
"""Further seeds of each style among which the codes of samples are looked for."""
HELD_OUT, SAMPLES = "held-out", "samples"
BASELINES = {
    "encoder": "code of the style encoder", NEAREST: "nearest training image", "start": "start of W+",
    "random": "random code",
}  # fmt: skip

Json = dict[str, Any]


@options
class Arguments(TrainingArguments):
    """How near do inverted pictures come, and are the codes of samples found again?

    Inverts held-out pictures and samples of each run of `brushwork reproduce demo` in every way. Half an hour
    on two cores beyond these runs; the same for runs with encoders, and a try:
        brushwork reproduce inversion
        brushwork reproduce inversion --preset emoji-32-restyle --seeds 1
        brushwork reproduce inversion --quick
    """

    pictures: Count = 2
    """Pictures of each style."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A trained generator and the pictures to invert."""

    generator: Generator
    images: Mapping[str, Tensor]
    """Held-out pictures and samples, uint8 (n, c, h, w)."""
    codes: Tensor
    """Codes (n, d) of the samples."""
    training_images: Tensor


def subject_of(run: Run, pictures: int) -> Subject:
    """The newest generator of a run, and pictures of each style."""
    generator = load_generator(run.folder)
    data = run.config.data
    test, train = load_dataset(data, "test"), load_dataset(data, "train")
    count = len(generator.style_names)
    rows = [(test.styles == style).nonzero().flatten()[:pictures] for style in range(count)]
    seeds = torch.arange(FIRST, FIRST + pictures).repeat(count)
    w = style_codes(generator, torch.eye(count).repeat_interleave(pictures, dim=0), seeds)
    images = {HELD_OUT: test.images[torch.cat(rows)], SAMPLES: render(generator, w, seeds)}
    return Subject(generator=generator, images=images, codes=w[:, 0], training_images=train.images)


# Measuring
def measured(subject: Subject, part: str, config: InversionConfig, folder: Path) -> Json:
    """Inverts the pictures of one part in one way; mean distances by measure and kind.

    Raises Stopped if a signal arrives; the next call goes on.
    """
    generator, images = subject.generator, subject.images[part]
    distance = perceptual_distance(config.network)
    others = [perceptual_distance(name) for name in default_extractors() if name != config.network]
    with stop_on_signals() as stop:
        found = InversionJob(
            generator=generator, distance=distance, config=config, images=images, weights="", stop=stop,
            names=tuple(map(str, range(len(images)))), styles=torch.eye(len(generator.style_names)),
            folder=folder,
        ).run(resume=True)  # fmt: skip
    device = torch.device("cpu")
    nearest = nearest_images(distance, images, subject.training_images, device) if part == HELD_OUT else None
    kinds = images_by_kind(generator, found, images, nearest)
    if generator.style_encoder is not None:
        kinds["encoder"] = encoded_images(generator, images, found.codes.styles)
    values = differences([distance, *others], kinds, device).by_measure
    figures: Json = {
        measure: {kind: float(some.mean()) for kind, some in own.items()} for measure, own in values.items()
    }
    if part == SAMPLES and config.space == "w":
        figures["recovered"] = recovered(subject, found)
    return figures


def recovered(subject: Subject, found: Inversion) -> float:
    """Share of samples whose code is nearer to the inverted one than those of all other samples and of 1,000
    more seeds of each style."""
    generator, count = subject.generator, len(subject.generator.style_names)
    seeds = torch.arange(2**20, 2**20 + OTHERS).repeat(count)
    others = style_codes(generator, torch.eye(count).repeat_interleave(OTHERS, dim=0), seeds)[:, 0]
    nearest = torch.cdist(found.codes.w[:, 0], torch.cat([subject.codes, others])).argmin(1)
    return float((nearest == torch.arange(len(nearest))).float().mean())


def figures_of(run: Run, pictures: int, *, quick: bool) -> Json:
    """Figures of one run by method and part. Those that are known are read from the run's folder."""
    subject, found = subject_of(run, pictures), dict[str, Json]()
    for name, config in METHODS.items():
        if quick:
            config = replace(config, steps=4, tune_steps=min(config.tune_steps, 2))
        for part in (HELD_OUT, SAMPLES):
            path = run.folder / "inversion" / f"{name}, {part}, {pictures}.json"
            if not path.is_file():
                print(f"{run.folder}: {name}, {part}", flush=True)
                write_json(path, measured(subject, part, config, path.with_suffix("")))
            found.setdefault(name, {})[part] = json.loads(path.read_text())
    return found


# Table
def table(preset: str, runs: list[Json], pictures: int) -> Table:
    """Means and deviations over runs, a row for each method and baseline."""
    measures = [measure for measure in runs[0]["W"][HELD_OUT] if measure != "recovered"]
    header = ["", *(f"{part}: {measure}" for part in (HELD_OUT, SAMPLES) for measure in measures)]

    def row(title: str, method: str, kind: str) -> list[str]:
        cells = [title]
        for part in (HELD_OUT, SAMPLES):
            for measure in measures:
                values = [run[method][part][measure].get(kind) for run in runs]
                cells.append("" if None in values else mean_and_deviation(values))
        return cells

    rows = [[*row(name, name, INVERTED), ""] for name in METHODS]
    rows[0][-1] = mean_and_deviation([run["W"][SAMPLES]["recovered"] for run in runs])
    rows += [[*row(title, "W+", kind), ""] for kind, title in BASELINES.items()]
    return Table(
        title=f"Inversion, {preset}",
        header=(*header, "samples: seeds recovered"),
        rows=[tuple(row) for row in rows if any(row[1:])],
        notes=(
            f"{len(runs)} runs, {pictures} pictures of each style; {measures[0]} was minimised, pixels are "
            "the root mean square in levels of 255.",
        ),
        data={"runs": runs},
    )


def run_experiment(asked: Arguments) -> None:
    """Trains the runs that are missing, inverts, and writes inversion.json."""
    args = quickly(asked) if asked.quick else asked
    assert isinstance(args, Arguments)
    runs = [run for each in args.collections for run in planned(args, each, args.images[0])]
    train_missing(args, runs)
    try:
        figures = [figures_of(run, args.pictures, quick=args.quick) for run in runs]
    except Stopped:
        print(f"stopped; the same command goes on (runs in {args.out})")
        sys.exit(130)
    tables = {args.preset: table(args.preset, figures, args.pictures)}
    write_results(
        args.results, "inversion", tables, machine(("torch",)), command=command_of("inversion", asked)
    )


def main() -> None:
    """Parse the command line and run the experiment."""
    parse_and_run(Arguments, run_experiment)


if __name__ == "__main__":
    main()
