"""The benchmark `stylize`: seconds until our optimizer reaches the loss of published style transfer loops.

The baselines are the loops of PyTorch's tutorial and of neural-style-pt, written here from what they
publish, on the same backbone with the same weights. Every round runs the baseline to its end, then ours
until it reaches the baseline's lowest loss; ours minimises the same loss over an image pyramid. (The lowest,
not the last: their step sizes have no safeguard, and the tutorial's loop may end far above its lowest loss.)
"""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor

from brushwork.data.images import read_image
from brushwork.data.progress import Progress
from brushwork.models.options import Count, Threads, options
from brushwork.scripts.bench.harness import Part, Table, in_child, machine, peak_memory
from brushwork.scripts.bench.report import markdown, write_report
from brushwork.scripts.cli import parse_and_run
from brushwork.training.style_transfer.backbones import VGG_CONTENT, VGG_STYLE, Backbone, find_backbone
from brushwork.training.style_transfer.config import PRESETS, StylizeConfig
from brushwork.training.style_transfer.transfer import (
    Pixels,
    Stylizer,
    TransferInputs,
    as_tensor,
    resize_longer_side,
    to_float,
)

Recipe = Literal["tutorial", "neural-style"]
RECIPES: tuple[Recipe, ...] = ("tutorial", "neural-style")


@options
class BenchmarkSizes:
    """Backbone, image size and length of the runs."""

    backbone: Backbone = "hed-vgg16"
    weights: Path | None = None
    side: Annotated[int, Interval(ge=32, le=65536)] = 256
    """Longer side of content and style."""
    evaluations: Annotated[int, Interval(ge=0, le=10**7)] = 0
    """Of each baseline; 0: its own default, 300 for the tutorial and 1,000 for neural-style."""
    repeats: Count = 3
    threads: Threads = 0
    """0: PyTorch's default."""

    def budget(self, recipe: Recipe) -> int:
        """Evaluations of a baseline."""
        return self.evaluations or PRESETS[recipe]().evaluations


def our_config(recipe: Recipe, sizes: BenchmarkSizes) -> StylizeConfig:
    """The loss of the recipe, with our image pyramid and optimizer."""
    return replace(
        PRESETS[recipe](), backbone=sizes.backbone, weights=sizes.weights, size=sizes.side,
        optimizer="lbfgs", history=50, start="content", coarsest=max(32, sizes.side // 4),
        evaluations=sizes.budget(recipe), coarse_evaluations=100, precision="fp32",
    )  # fmt: skip


# The baselines
MEAN_COLOUR = torch.tensor((0.485, 0.456, 0.406))[:, None, None]
FAINT_NOISE = 1e-3 / 255
"""Standard deviation of neural-style's first image, for values from 0 to 1."""


def gram(features: Float[Tensor, "1 c h w"]) -> Float[Tensor, "c c"]:
    """Gram matrix as both recipes publish it: F F^T over the number of values."""
    flat = features.flatten(2).squeeze(0)
    return flat @ flat.T / flat.numel()


def published_loop(
    recipe: Recipe, sizes: BenchmarkSizes, content: Tensor, style: Tensor
) -> tuple[Tensor, list[tuple[float, float]]]:
    """Runs a published loop; returns the image, and loss and elapsed seconds of every evaluation.

    The tutorial: L-BFGS with PyTorch's defaults from the content, clamped before every evaluation.
    neural-style: L-BFGS with 100 pairs and no tolerances from faint noise about the mean colour, with total
    variation, clamped at the end.
    """
    config = PRESETS[recipe]()
    style_layers, content_layers = config.style_layers or VGG_STYLE, config.content_layers or VGG_CONTENT
    network = find_backbone(sizes.backbone, (*style_layers, *content_layers), sizes.weights)
    with torch.no_grad():
        grams = {name: gram(network(style)[name]) for name in style_layers}
        features = {name: network(content)[name] for name in content_layers}
    budget = sizes.budget(recipe)
    image, optimizer = _start(recipe, content, budget)
    losses: list[tuple[float, float]] = []
    began = time.perf_counter()

    def closure() -> Tensor:
        if recipe == "tutorial":
            with torch.no_grad():
                image.clamp_(0, 1)
        optimizer.zero_grad()
        tapped = network(image)
        style_loss = sum((F.mse_loss(gram(tapped[name]), grams[name]) for name in grams), torch.zeros(()))
        content_loss = sum((F.mse_loss(tapped[name], features[name]) for name in features), torch.zeros(()))
        loss = config.style_weight / len(grams) * style_loss + config.content_weight * content_loss
        if config.tv_weight:
            variation = image.diff(dim=3).abs().sum() + image.diff(dim=2).abs().sum()
            loss = loss + config.tv_weight * 255 * variation
        loss.backward()
        losses.append((float(loss.detach()), time.perf_counter() - began))
        return loss

    while len(losses) < budget:
        optimizer.step(closure)
    return image.detach().clamp(0, 1), losses


def _start(recipe: Recipe, content: Tensor, budget: int) -> tuple[Tensor, torch.optim.LBFGS]:
    """The first image and its optimizer."""
    if recipe == "tutorial":
        image = content.clone().requires_grad_()
        return image, torch.optim.LBFGS([image])
    noise = torch.randn(content.shape, generator=torch.Generator().manual_seed(0))
    image = (MEAN_COLOUR + FAINT_NOISE * noise).requires_grad_()
    return image, torch.optim.LBFGS(
        [image], max_iter=budget, tolerance_change=-1, tolerance_grad=-1, history_size=100
    )


# One run
@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Loss, time and memory of a run."""

    lowest: float
    """Lowest loss of all evaluations at the full size."""
    lowest_after: float
    """Seconds until then."""
    picture: float
    """Loss of the finished image, clamped to 0 to 1."""
    seconds: float
    processor: float
    """Processor seconds, summed over all cores."""
    evaluations: int
    peak: float
    """Peak memory of the process in MB."""


def run_baseline(recipe: Recipe, sizes: BenchmarkSizes, content: Pixels, style: Pixels) -> Outcome:
    """Runs a published loop to its end, in this process."""
    _set_threads(sizes)
    images = [
        resize_longer_side(to_float(pixels, torch.device("cpu")), sizes.side) for pixels in (content, style)
    ]
    began, busy = time.perf_counter(), time.process_time()
    image, losses = published_loop(recipe, sizes, images[0], images[1])
    seconds, processor = time.perf_counter() - began, time.process_time() - busy
    peak = peak_memory()
    lowest, after = min(losses)
    return Outcome(
        lowest=lowest, lowest_after=after, seconds=seconds, processor=processor, evaluations=len(losses),
        peak=peak, picture=final_loss(recipe, sizes, content, style, image),
    )  # fmt: skip


def run_ours(recipe: Recipe, sizes: BenchmarkSizes, content: Pixels, style: Pixels, target: float) -> Outcome:
    """Runs our optimizer until the loss at the full size is at most `target`, in this process."""
    _set_threads(sizes)
    began, busy = time.perf_counter(), time.process_time()
    stylizer = Stylizer(TransferInputs(content=content, styles=[style]), our_config(recipe, sizes))
    lowest, after = math.inf, 0.0
    for step in stylizer:
        if step.side == sizes.side and step.losses.total < lowest:
            lowest, after = step.losses.total, time.perf_counter() - began
        if lowest <= target:
            break
    seconds, processor = time.perf_counter() - began, time.process_time() - busy
    peak = peak_memory()
    image = stylizer.best_image().clamp(0, 1)
    return Outcome(
        lowest=lowest, lowest_after=after, seconds=seconds, processor=processor, evaluations=stylizer.number,
        peak=peak, picture=final_loss(recipe, sizes, content, style, image),
    )  # fmt: skip


def _set_threads(sizes: BenchmarkSizes) -> None:
    if sizes.threads:
        torch.set_num_threads(sizes.threads)


def final_loss(recipe: Recipe, sizes: BenchmarkSizes, content: Pixels, style: Pixels, image: Tensor) -> float:
    """The recipe's loss of a finished image, computed the same way for the baseline and ours."""
    config = replace(
        PRESETS[recipe](), backbone=sizes.backbone, weights=sizes.weights, size=sizes.side, precision="fp32"
    )
    stylizer = Stylizer(TransferInputs(content=content, styles=[style]), config)
    return stylizer.objective(image)[0].total


# The comparison
@dataclass(frozen=True, kw_only=True)
class LossComparison:
    """All rounds of one recipe: a part of the report."""

    recipe: Recipe
    theirs: tuple[Outcome, ...]
    ours: tuple[Outcome, ...]

    @property
    def ratio(self) -> float:
        """Our seconds over theirs, the median over the rounds."""
        return statistics.median(a.seconds / b.seconds for a, b in zip(self.ours, self.theirs, strict=True))

    @property
    def ratio_to_lowest(self) -> float:
        """Our seconds over theirs until their lowest loss, the median over the rounds."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return statistics.median(a.seconds / b.lowest_after for a, b in pairs)

    @property
    def table(self) -> Table:
        missed = sum(a.lowest > b.lowest for a, b in zip(self.ours, self.theirs, strict=True))
        notes = [
            f"Seconds to the baseline's lowest loss: {self.ratio:.2f} of those that its loop takes, "
            f"{self.ratio_to_lowest:.2f} of those to its lowest loss; medians of {len(self.ours)}."
        ]
        notes += [f"In {missed} rounds its loss was not reached."] if missed else []
        return Table(
            title=f"The loss of {self.recipe}",
            header=("", "seconds", "processor seconds", "evaluations", "lowest loss", "loss of the picture",
                    "peak MB"),
            rows=(
                (f"{self.recipe}, as published", *_medians(self.theirs)),
                ("brushwork", *_medians(self.ours)),
            ),
            notes=tuple(notes),
        )  # fmt: skip

    @property
    def data(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio, "ratio_to_lowest": self.ratio_to_lowest}


def _medians(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    middle = {name: statistics.median(asdict(one)[name] for one in outcomes) for name in asdict(outcomes[0])}
    return (
        f"{middle['seconds']:.1f}", f"{middle['processor']:.1f}", f"{middle['evaluations']:.0f}",
        f"{middle['lowest']:.4g}", f"{middle['picture']:.4g}", f"{middle['peak']:.0f}",
    )  # fmt: skip


def compare_losses(recipe: Recipe, sizes: BenchmarkSizes, content: Pixels, style: Pixels) -> LossComparison:
    """Runs the baseline and ours alternately, each run in a process of its own."""
    theirs: list[Outcome] = []
    ours: list[Outcome] = []
    for _ in Progress(range(sizes.repeats), desc=recipe, leave=False):
        theirs.append(in_child(run_baseline, recipe, sizes, content, style))
        ours.append(in_child(run_ours, recipe, sizes, content, style, theirs[-1].lowest))
    return LossComparison(recipe=recipe, theirs=tuple(theirs), ours=tuple(ours))


@options
class StylizeArguments:
    """Times `brushwork stylize` beside the loops that PyTorch's tutorial and neural-style publish: how long
    until it reaches their lowest loss? Baseline and ours alternate, each in a process of its own.

    Example, an hour on two cores:
        brushwork fetch hed-vgg16
        brushwork bench stylize --content photo.jpg --style painting.jpg
    """

    content: Path
    """A photograph."""
    style: Path
    """A painting."""
    recipes: tuple[Recipe, ...] = RECIPES
    """The baselines, each with its own loss."""
    sizes: BenchmarkSizes = field(default_factory=BenchmarkSizes)
    out: Path = Path("runs/bench")
    """Folder for stylize.json and stylize.md."""


def bench_stylize(args: StylizeArguments) -> None:
    """Runs the comparisons, prints a table of each and writes the report."""
    _set_threads(args.sizes)
    content, style = as_tensor(read_image(args.content)), as_tensor(read_image(args.style))
    here = machine(("torch", "torchvision"))
    args.out.mkdir(parents=True, exist_ok=True)
    print(here.describe())
    parts: dict[str, Part] = {}
    report = ""
    for recipe in args.recipes:
        parts[recipe] = compare_losses(recipe, args.sizes, content, style)
        print(f"\n{markdown(parts[recipe].table)}", flush=True)
        report = write_report(args.out, "stylize", here, {**asdict(args.sizes), "weights": None}, parts)
    print(f"\n{report.splitlines()[-1]}" if report else "")


def main() -> None:
    """Parses the command line and runs the benchmark."""
    parse_and_run(StylizeArguments, bench_stylize)
