"""`brushwork train auto`: a configuration chosen for a data set, a machine and a time, with its reasons.

The recipes are those of the presets. docs/small-collections.md has the measurements behind the choices.
"""

import importlib.util
import math
import os
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch

from brushwork.data.curate.report import repeated_in
from brushwork.data.loader import ImageDataset, LoaderConfig, StoredDataset
from brushwork.data.shape import base_of
from brushwork.models.errors import ModelError
from brushwork.models.generator import GeneratorConfig
from brushwork.models.snapshot import snapshot_header

from .ada import Kind
from .augment import AugmentConfig
from .config import IntervalConfig, TrainConfig
from .errors import TrainingError
from .plan import Rates, RunSchedule
from .prepare.transfer import Source
from .presets import emoji_32, emoji_64
from .run.metrics import MetricsConfig
from .run.progress import balance
from .schedules import GrowingConfig

KINDS: tuple[Kind, ...] = ("shift", "geometry", "colour")
"""Adaptive changes that suit every image; whether mirrored images look right is for the user to say."""
REQUEST = replace(
    emoji_32(), data=Path(), out=Path(), generator=GeneratorConfig(resolution=4096),
    augment=AugmentConfig(ada=KINDS), interval=IntervalConfig(metrics_kimg=1.0),
)  # fmt: skip
"""The defaults of the options that decide: values that no user gives."""

CPU_MINUTES, GPU_MINUTES = 30.0, 480.0
"""The time of a run for which none is given."""
ENOUGH_KIMG: Mapping[int, float] = {
    32: 30.0, 64: 100.0, 128: 400.0, 256: 1000.0, 512: 2500.0, 1024: 5000.0,
}  # fmt: skip
"""Thousands of images below which a lower resolution is the better use of the time. That of 32 px was tried;
from 256 px on they are published practice (Karras 2020, arXiv:2006.06676)."""
LOOKS: Mapping[float, str] = {
    15: "soft shapes in the colours of each style",
    60: "outlines and colours of each style, and subjects that can seldom be named",
    300: "varied images in each style, with subjects that can partly be named",
    math.inf: "more than was measured here: see the grids",
}
"""What to expect of a run of at most so many thousand images at its final resolution, seen at 32 px."""
ADA_BELOW, ADA_FROM_KIMG = 30_000, 300.0
"""Training images below which the discriminator learns them by heart (Karras 2020, fig. 1), and the length of
a run in which it does. In shorter runs, augmentation cost recall and gained nothing."""
FEW, REPEATED, UNBALANCED = 30, 0.05, 4.0
"""Training images of a style, and share of near-duplicates, that call for a warning; and the ratio of the
largest style to the smallest that calls for balanced batches."""
LONGEST_KIMG = 25_000.0
"""The length of a run that no time limit shortens: that of StyleGAN."""
MEMORY_SHARE = 0.4
"""Share of the main memory that decoded images may take."""
STATUS_MINUTES, MEASURED_MINUTES = 1 / 6, 5.0
"""The shortest time between status lines, and between measurements."""
FROZEN_BLOCKS = 2
PATIENCE = 8
"""Measurements without a better one after which a run stops."""


@dataclass(frozen=True, kw_only=True)
class Collection:
    """What decides about a data set."""

    path: Path
    counts: Mapping[str, int]
    """Training images by style."""
    images: int
    """Training images, also those without a style."""
    shape: tuple[int, int, int]
    """Channels, height and width."""
    near_duplicates: int

    @classmethod
    def of(cls, path: Path, dataset: ImageDataset | StoredDataset) -> "Collection":
        """Describes the training split of the data set in `path`."""
        counts = {name: int((dataset.styles == i).sum()) for i, name in enumerate(dataset.style_names)}
        return cls(
            path=path, counts=counts, images=len(dataset), shape=dataset.shape,
            near_duplicates=repeated_in(path),
        )  # fmt: skip

    @property
    def resolution(self) -> int:
        """The shorter side of the images."""
        return min(self.shape[1:])

    def describe(self) -> str:
        """Returns a line with images, styles and size."""
        _, height, width = self.shape
        alpha = " with transparency" if self.shape[0] == 4 else ""
        return f"{balance(self.images, [*self.counts.values()])}, {width} x {height} px{alpha}"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What decides about a machine."""

    gpu: bool
    name: str
    memory: int
    """Bytes of main memory."""

    @classmethod
    def of(cls, device: torch.device) -> "Machine":
        """Describes the machine of this process."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if device.type != "cuda":
            return cls(gpu=False, name=f"{device.type}, {os.cpu_count()} cores", memory=memory)
        about = torch.cuda.get_device_properties(device)
        return cls(gpu=True, name=f"{about.name}, {about.total_memory / 2**30:.0f} GiB", memory=memory)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A configuration, the reasons for it, and warnings."""

    config: TrainConfig
    reasons: Mapping[str, str]
    """What was chosen and why, a line for each subject."""
    warnings: Sequence[str]

    def describe(self) -> str:
        """Returns the lines for the terminal."""
        indent = max(map(len, self.reasons)) + 2
        lines = [
            textwrap.fill(text, 110, initial_indent=f"{subject:{indent}}", subsequent_indent=" " * indent)
            for subject, text in self.reasons.items()
        ]
        return "\n".join([*lines, *(textwrap.fill(f"Warning: {text}", 110) for text in self.warnings)])


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A recipe at one resolution, and the number of images that it trains in the time."""

    config: TrainConfig
    rates: Rates
    images: int

    @property
    def resolution(self) -> int:
        return self.config.generator.resolution

    @property
    def is_long_enough(self) -> bool:
        return self.images >= 1000 * enough_kimg(self.resolution)

    @property
    def minutes_needed(self) -> float:
        """Minutes until enough images are trained on."""
        return (self.config.max_minutes or 0.0) * 1000 * enough_kimg(self.resolution) / max(1, self.images)


def choose(
    request: TrainConfig, collection: Collection, machine: Machine, source: Source | None,
    rates_of: Callable[[TrainConfig], Rates],
) -> Choice:  # fmt: skip
    """Chooses resolution, networks, augmentation, length and measurements.

    Args:
        request: the user's options, with those of `REQUEST` where there are none.
        collection: the data set.
        machine: the machine.
        source: what `request.start_from` holds.
        rates_of: measures the seconds per image of a configuration.
    """
    minutes = request.max_minutes or (GPU_MINUTES if machine.gpu else CPU_MINUTES)
    request = replace(request, max_minutes=minutes)
    tried: list[Candidate] = []
    for side in _resolutions(request, collection):
        recipe = _recipe(side, request, collection, machine, source)
        if (candidate := _candidate(recipe, source, rates_of)) is None:
            break
        tried.append(candidate)
        if not candidate.is_long_enough:
            break
    if not tried:
        raise TrainingError(
            f"Not even a few images of {min(_resolutions(request, collection))} px fit into the memory of "
            f"{machine.name}: free it, or take --device cpu."
        )
    chosen = next((each for each in reversed(tried) if each.is_long_enough), tried[0])
    chosen = replace(chosen, config=_of_length(chosen.config, chosen.images, collection))
    reasons = _reasons(chosen, tried, collection, machine, source)
    return Choice(
        config=chosen.config, reasons=reasons, warnings=tuple(_warnings(chosen, collection, source))
    )


def enough_kimg(resolution: int) -> float:
    """Thousands of images below which a run at this resolution is too short."""
    return ENOUGH_KIMG[min((side for side in ENOUGH_KIMG if side >= resolution), default=max(ENOUGH_KIMG))]


# Choices
def _resolutions(request: TrainConfig, collection: Collection) -> Iterator[int]:
    """The resolutions to try, in rising order."""
    wanted = request.generator.resolution
    if wanted != REQUEST.generator.resolution:
        return iter([wanted])
    sides = [side for side in ENOUGH_KIMG if side <= collection.resolution]
    return iter(sides or [collection.resolution])


def _recipe(
    side: int, request: TrainConfig, collection: Collection, machine: Machine, source: Source | None
) -> TrainConfig:
    """The preset for such a machine, with the networks of the source, if any."""
    preset = emoji_64() if machine.gpu else emoji_32()
    generator, discriminator = replace(preset.generator, resolution=side), preset.discriminator
    if machine.gpu and side > 64:
        generator = replace(generator, channel_base=16384, channel_max=512, z_dim=512, w_dim=512)
        discriminator = replace(discriminator, channel_base=16384, channel_max=512)
    if source is not None:
        generator = replace(source.average.config, resolution=side, encoders=False)
        discriminator = source.training.discriminator.config if source.training else discriminator
    sizes = collection.counts.values()
    balanced = len(sizes) > 1 and max(sizes) > UNBALANCED * max(1, min(sizes))
    decoded = math.prod(collection.shape) * collection.images
    return replace(
        preset, data=request.data, out=request.out, start_from=request.start_from, device=request.device,
        threads=request.threads, seed=request.seed, max_minutes=request.max_minutes, generator=generator,
        discriminator=discriminator, total_kimg=LONGEST_KIMG, growing=_growing(side),
        loader=LoaderConfig(
            balanced=balanced, cache="off" if decoded > MEMORY_SHARE * machine.memory else "auto"
        ),
        optimizer=replace(preset.optimizer, frozen_blocks=FROZEN_BLOCKS if _has_blocks(source, side) else 0),
    )  # fmt: skip


def _has_blocks(source: Source | None, side: int) -> bool:
    """Whether the source has trained all blocks of a discriminator for `side`."""
    return (
        source is not None and source.training is not None and source.average.trained_stage.resolution == side
    )


def _growing(side: int) -> GrowingConfig:
    """Growing from 16 px, over a quarter of the run for one doubling and two fifths for more; a time limit
    shortens all in proportion."""
    start = min(16, side)
    doublings = max(1, int(math.log2(side / start)))
    part = LONGEST_KIMG * (0.25 if doublings == 1 else 0.4) / doublings
    return GrowingConfig(start_resolution=start, fade_kimg=(part / 5,), steady_kimg=(part * 4 / 5,))


def _augment(collection: Collection, images: int) -> AugmentConfig:
    """ADA at the published speed, for runs in which the discriminator could learn the collection by heart."""
    is_needed = collection.images < ADA_BELOW and images >= 1000 * ADA_FROM_KIMG
    return AugmentConfig(ada=KINDS if is_needed else ())


def _candidate(
    recipe: TrainConfig, source: Source | None, rates_of: Callable[[TrainConfig], Rates]
) -> Candidate | None:
    """The recipe in as few parts of the batch as the memory allows; None if no part fits."""
    while True:
        try:
            rates = rates_of(recipe)
        except torch.OutOfMemoryError:
            if recipe.batch // recipe.accumulate <= recipe.discriminator.minibatch_group:
                return None
            recipe = replace(recipe, accumulate=2 * recipe.accumulate)
            continue
        schedule, seconds = RunSchedule.of(recipe), 60 * (recipe.max_minutes or 0.0)
        start = schedule.position_of(source.average.trained_stage) if source and source.training else 0.0
        scale = schedule.scale_for_time(0, start, rates, seconds)
        return Candidate(config=recipe, rates=rates, images=schedule.last_image(0, start, scale))


def _of_length(config: TrainConfig, images: int, collection: Collection) -> TrainConfig:
    """The recipe with augmentation and intervals for a run of so many images, measured if the extra for that
    is installed."""
    minutes = config.max_minutes or CPU_MINUTES
    status = _rounded(images / 1000 * max(STATUS_MINUTES / minutes, 0.01))
    part = _rounded(images / 1000 / max(1.0, min(20.0, minutes / MEASURED_MINUTES)))
    measured = importlib.util.find_spec("efficientnet_lite_pytorch") is not None
    interval = IntervalConfig(
        status_kimg=status, grid_kimg=part, checkpoint_kimg=part, snapshot_kimg=0.0,
        metrics_kimg=part if measured else 0.0,
    )  # fmt: skip
    return replace(
        config, interval=interval, metrics=MetricsConfig(names=("fd", "copies")),
        patience=PATIENCE if measured else 0, augment=_augment(collection, images),
    )  # fmt: skip


def _rounded(value: float) -> float:
    """The value to two digits."""
    return float(f"{value:.2g}")


# Words
def _reasons(
    chosen: Candidate, tried: Sequence[Candidate], collection: Collection, machine: Machine,
    source: Source | None,
) -> dict[str, str]:  # fmt: skip
    config, kimg = chosen.config, chosen.images / 1000
    rate, widths = 1 / chosen.rates[chosen.resolution], config.generator.widths
    repeats, parts = chosen.images / collection.images, config.accumulate
    return {
        "data": collection.describe(),
        "machine": f"{machine.name}: {rate:.3g} images a second at {chosen.resolution} px",
        "time": f"in {config.max_minutes:g} min about {kimg:,.3g} kimg, each image {repeats:,.0f} times",
        "resolution": _about_resolution(chosen, tried, collection),
        "networks": f"{min(widths.values())} to {max(widths.values())} channels, batches of {config.batch}"
        + (f" in {parts} parts, to fit into the memory" if parts > 1 else ""),
        "styles": "shown equally often" if config.loader.balanced else "shown as often as they have images",
        "augmentation": _about_augmentation(config, collection),
        "start": _about_start(config, collection, source),
        "measured": _about_measuring(config),
        "expect": _expectation(kimg, machine),
    }


def _about_resolution(chosen: Candidate, tried: Sequence[Candidate], collection: Collection) -> str:
    text = f"{chosen.resolution} px"
    if (slow := tried[-1]).resolution > chosen.resolution:
        return (
            f"{text}: at {slow.resolution} px the time is enough for {slow.images / 1000:.3g} kimg, and "
            f"{enough_kimg(slow.resolution):g} are needed (about {_rounded(slow.minutes_needed):g} min)"
        )
    return text if chosen.resolution == collection.resolution else f"{text} of {collection.resolution}"


def _about_augmentation(config: TrainConfig, collection: Collection) -> str:
    if collection.images >= ADA_BELOW:
        return f"none: {ADA_BELOW:,} images or more are not learned by heart"
    if not config.augment.ada:
        return f"none in less than {ADA_FROM_KIMG:g} kimg, nor mirrored images (--loader.flip)"
    return (
        f"adaptive ({', '.join(config.augment.ada)}), since {collection.images:,} images can be learned by "
        "heart; no mirrored images (--loader.flip)"
    )


def _about_start(config: TrainConfig, collection: Collection, source: Source | None) -> str:
    if source is not None:
        kept = config.optimizer.frozen_blocks
        return f"from {source.path}" + (f", {kept} blocks of its discriminator frozen" if kept else "")
    if found := run_at_hand(config.out.parent, collection):
        return f"from scratch; --start-from {found} gives better images in the same time"
    return "from scratch; another run of this shape would be a better start (--start-from RUN)"


def _about_measuring(config: TrainConfig) -> str:
    if not config.interval.metrics_kimg:
        return "nothing: pip install 'brushwork[metrics]' measures while training"
    return (
        f"FD and near-copies every {config.interval.metrics_kimg:g} kimg; {config.patience} in a row without "
        "a better FD, or with many copies, end the run; the best snapshot is kept"
    )


def _expectation(kimg: float, machine: Machine) -> str:
    looks = next(text for most, text in LOOKS.items() if kimg <= most)
    return f"{looks}{' (an estimate: no GPU was measured)' if machine.gpu else ''}"


def _warnings(chosen: Candidate, collection: Collection, source: Source | None) -> Iterator[str]:
    if not chosen.is_long_enough:
        yield (
            f"{chosen.config.max_minutes:g} min are enough for {chosen.images / 1000:.2g} kimg at "
            f"{chosen.resolution} px; at least {enough_kimg(chosen.resolution):g} are needed, about "
            f"{_rounded(chosen.minutes_needed):g} min (--max-minutes)."
        )
    few = {name: count for name, count in collection.counts.items() if count < FEW}
    if few:
        named = ", ".join(f"'{name}' {count}" for name, count in islice(few.items(), 5))
        more = f" and {len(few) - 5} more" if len(few) > 5 else ""
        yield (
            f"Styles with fewer than {FEW} training images: {named}{more}. Of so few, a long run copies: "
            "add images, or keep an eye on the near-copies."
        )
    if collection.near_duplicates > REPEATED * collection.images:
        yield (
            f"{collection.near_duplicates} images nearly repeat another one ({collection.path / 'report.md'} "
            "lists them): the networks will draw these most."
        )
    if source is not None and source.training is None:
        yield f"{source.path} has no discriminator: its run folder, or the snapshot latest, starts better."


# Runs at hand
SQUARE_RGB = {"channels": 3, "base_height": 4, "base_width": 4}
"""The shape of runs from before there was any other."""


def run_at_hand(folder: Path, collection: Collection) -> Path | None:
    """The run below `folder` that has trained longest, of those of this shape with a discriminator."""
    found = {}
    for path in folder.glob("*/snapshots/latest.safetensors"):
        try:
            header = snapshot_header(path)
        except ModelError:
            continue
        generator = header.get("generator", {})
        shape = [generator.get(key, default) for key, default in SQUARE_RGB.items()]
        if "discriminator" in header and shape == [collection.shape[0], *base_of(*collection.shape[1:])]:
            found[path.parent.parent] = header.get("notes", {}).get("nimg", 0)
    return max(found, key=lambda run: found[run], default=None)
