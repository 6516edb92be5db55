"""The lines that a run prints: machine, data and schedule; then progress, speed and losses."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from tqdm import tqdm

from brushwork.data.loader import ImageDataset, StoredDataset
from brushwork.models.stage import Stage

from ..plan import Plan
from ..restyle.config import TERMS
from ..update import StepStats


# The header
def header(plan: Plan, precision: str, dataset: ImageDataset | StoredDataset) -> str:
    """Two lines: machine and data, then the schedule."""
    config, state, device = plan.config, plan.state, plan.accelerator.device.type
    threads, processes = torch.get_num_threads(), plan.accelerator.num_processes
    machine = f"{device}, {processes} process{'es' if processes > 1 else ''}"
    machine += f" of {threads} thread{'s' if threads > 1 else ''}" if device == "cpu" else ""
    path, limit = plan.schedule.describe(state.position, state.nimg, state.scale), config.max_minutes
    used = "" if limit is None else f", {state.seconds / 60:.1f} of {limit:g} minutes are used"
    counts = [int((dataset.styles == style).sum()) for style in range(len(dataset.style_names))]
    data = balance(len(dataset), counts)
    return f"{machine}, {precision} | {data}\nplan: {path}{used}"


def balance(images: int, counts: Sequence[int]) -> str:
    """Number of images and styles, and how evenly the styles are filled."""
    text, unlabelled = f"{images:,} images", images - sum(counts)
    if counts:
        least, most = min(counts), max(counts)
        text += f", {len(counts)} style{'s' if len(counts) > 1 else ''} of {least:,}"
        text += f" to {most:,}" if least < most else ""
        text += f", {unlabelled:,} without a label" if unlabelled else ""
    return text


# The status line
@dataclass
class StepMeter:
    """Means of the step statistics since the last status line; kept on the device, so that no step waits."""

    device: torch.device
    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    images: int = 0
    sides: set[int] = field(default_factory=set)
    since: float = field(default_factory=time.perf_counter)

    def add(self, stats: StepStats, images: int, side: int) -> None:
        """Adds one step of `images` images of `side` px."""
        discriminator, generator = stats.discriminator, stats.generator
        values: dict[str, Tensor] = {"loss_g": generator.loss, **generator.terms}
        if discriminator is not None:
            values |= {"loss_d": discriminator.loss, **discriminator.penalties}
            values |= {"real_logit": discriminator.real_logit, "fake_logit": discriminator.fake_logit}
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, torch.zeros((), device=self.device)) + value
            self.counts[name] = self.counts.get(name, 0) + 1
        self.images += images
        self.sides.add(side)

    def is_at(self, side: int) -> bool:
        """Whether all steps since the last status line were at this resolution."""
        return self.sides == {side}

    def means(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Means by name. `reduce` averages over processes, in which the same values occurred."""
        means = torch.stack([self.sums[name] / self.counts[name] for name in self.sums])
        return dict(zip(self.sums, reduce(means).tolist(), strict=True))

    def rate(self) -> float:
        """Images per second since the last status line."""
        return self.images / max(time.perf_counter() - self.since, 1e-9)

    def restart(self) -> None:
        """Starts a new interval."""
        self.sums, self.counts, self.images, self.sides = {}, {}, 0, set()
        self.since = time.perf_counter()


def progress(nimg: int, total: int, *, shown: bool) -> tqdm:
    """The progress bar of a run, in images; hidden unless `shown` and on a terminal."""
    return tqdm(
        total=total, initial=nimg, unit="img", unit_scale=True, desc="train", leave=False, mininterval=1.0,
        disable=None if shown else True,
    )  # fmt: skip


def clock(seconds: float) -> str:
    """75 -> '1:15', 4000 -> '1:06:40'."""
    if not math.isfinite(seconds):
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def seen(nimg: int) -> str:
    """12400 -> '12.4 kimg', 32 -> '32 images'."""
    return f"{nimg / 1000:.1f} kimg" if nimg >= 1000 else f"{nimg} images"


def status_line(values: Mapping[str, float | int], stage: Stage, *, left: float, warning: str = "") -> str:
    """The status line; `left` is in seconds, `warning` is appended."""
    fading = f" fading in {stage.alpha:4.0%}" if stage.alpha < 1 else ""
    penalty = f" | R1 {values['r1']:.3g}" if "r1" in values else ""
    diversity = f" | diversity {values['pixel_diversity']:.2f}" if "pixel_diversity" in values else ""
    diversity += f" | {warning}" if warning else ""
    discriminator = f"D {values['loss_d']:.3f} " if "loss_d" in values else ""
    overfitting = f" | overfitting {values['overfitting']:.2f}" if "overfitting" in values else ""
    overfitting += f", augmented with p {values['ada_p']:.2f}" if "ada_p" in values else ""
    terms = "".join(
        f" {name} {values[f'weighted_{name}']:+.3f}" for name in TERMS if f"weighted_{name}" in values
    )
    return (
        f"{seen(int(values['nimg'])):>13} | {stage.resolution} px{fading} | "
        f"{values['img_per_s']:.0f} img/s | {clock(left)} left | "
        f"loss {discriminator}G {values['loss_g']:.3f}{terms}{overfitting}{penalty}{diversity}"
    )


def figures_line(nimg: int, figures: Mapping[str, float]) -> str:
    """The line of in-loop metrics."""
    values = " | ".join(f"{name} {value:.3f}" for name, value in figures.items())
    return f"{seen(nimg):>13} | {values}"
