"""The benchmark `stylize`: seconds until our optimizer reaches the loss of published style transfer loops.

The baselines are the loops of PyTorch's tutorial and of neural-style-pt, written here from what they
publish, on the same backbone with the same weights. Every round runs the baseline to its end, then ours
until it reaches the baseline's lowest loss; ours minimises the same loss over an image pyramid. (The lowest,
not the last: their step sizes have no safeguard, and the tutorial's loop may end far above its lowest loss.)
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor

from brushwork.data.images import read_image
from brushwork.data.progress import Progress
from brushwork.models.options import Count, Threads, options
from brushwork.scripts.bench.harness import Table, in_child, machine, peak_memory, report
from brushwork.scripts.cli import parse_and_run
from brushwork.training.style_transfer.config import (
    PRESETS,
    VGG_CONTENT,
    VGG_STYLE,
    Backbone,
    StylizeConfig,
)
from brushwork.training.style_transfer.transfer import (
    Pixels,
    Stylizer,
    TransferInputs,
    as_tensor,
    find_backbone,
    resize_longer_side,
    to_float,
)

Recipe = Literal["tutorial", "neural-style"]
PACKAGES = ("torch", "torchvision")
RECIPES: tuple[Recipe, ...] = ("tutorial", "neural-style")


@options
class BenchmarkSizes:
    """Backbone, image size and length of the runs."""

    backbone: Backbone = "hed-vgg16"
    weights: Path | None = None
    side: Annotated[int, Interval(ge=32, le=65536)] = 256
    """Longer side of content and style."""
    evaluations: Annotated[int, Interval(ge=0, le=10**7)] = 0
    """Evaluations of each baseline; 0: its own default, 300 for the tutorial and 1,000 for neural-style."""
    repeats: Count = 3
    threads: Threads = 0
    """0: PyTorch's default."""


# The baselines
MEAN_COLOUR = torch.tensor((0.485, 0.456, 0.406))[:, None, None]
FAINT_NOISE = 1e-3 / 255
"""Standard deviation of neural-style's first image, for values from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What both sides of a comparison get: a content, a style and a loss."""

    recipe: Recipe
    sizes: BenchmarkSizes
    content: Pixels
    style: Pixels

    @property
    def published(self) -> StylizeConfig:
        """The loss of the recipe, as published."""
        sizes = self.sizes
        return replace(
            PRESETS[self.recipe](), backbone=sizes.backbone, weights=sizes.weights, size=sizes.side,
            precision="fp32",
        )  # fmt: skip

    @property
    def budget(self) -> int:
        """Evaluations of the baseline."""
        return self.sizes.evaluations or self.published.evaluations

    def stylizer(self, config: StylizeConfig) -> Stylizer:
        """Our optimizer."""
        return Stylizer(TransferInputs(content=self.content, styles=[self.style]), config)


@dataclass(frozen=True, kw_only=True)
class Solution:
    """The image that a side found, and loss and elapsed seconds of its evaluations at the full size."""

    image: Tensor
    losses: list[tuple[float, float]]
    evaluations: int


def gram(features: Float[Tensor, "1 c h w"]) -> Float[Tensor, "c c"]:
    """Gram matrix as both recipes publish it: F F^T over the number of values."""
    flat = features.flatten(2).squeeze(0)
    return flat @ flat.T / flat.numel()


def published_loop(task: Task) -> Solution:
    """Runs a published loop to its end.

    The tutorial: L-BFGS with PyTorch's defaults from the content, clamped before every evaluation.
    neural-style: L-BFGS with 100 pairs and no tolerances from faint noise about the mean colour, with total
    variation, clamped at the end.
    """
    config, sizes = task.published, task.sizes
    content, style = (
        resize_longer_side(to_float(pixels, torch.device("cpu")), sizes.side)
        for pixels in (task.content, task.style)
    )
    style_layers, content_layers = config.style_layers or VGG_STYLE, config.content_layers or VGG_CONTENT
    network = find_backbone(sizes.backbone, (*style_layers, *content_layers), sizes.weights)
    with torch.no_grad():
        grams = {name: gram(network(style)[name]) for name in style_layers}
        features = {name: network(content)[name] for name in content_layers}
    image, optimizer = _start(task, content)
    losses: list[tuple[float, float]] = []
    began = time.perf_counter()

    def closure() -> Tensor:
        if task.recipe == "tutorial":
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

    while len(losses) < task.budget:
        optimizer.step(closure)
    return Solution(image=image.detach().clamp(0, 1), losses=losses, evaluations=len(losses))


def _start(task: Task, content: Tensor) -> tuple[Tensor, torch.optim.LBFGS]:
    """The first image and its optimizer."""
    if task.recipe == "tutorial":
        image = content.clone().requires_grad_()
        return image, torch.optim.LBFGS([image])
    noise = torch.randn(content.shape, generator=torch.Generator().manual_seed(0))
    image = (MEAN_COLOUR + FAINT_NOISE * noise).requires_grad_()
    return image, torch.optim.LBFGS(
        [image], max_iter=task.budget, tolerance_change=-1, tolerance_grad=-1, history_size=100
    )


# Ours
def our_config(task: Task) -> StylizeConfig:
    """The loss of the recipe, with our image pyramid and optimizer."""
    return replace(
        task.published, optimizer="lbfgs", history=50, start="content",
        coarsest=max(32, task.sizes.side // 4), evaluations=task.budget, coarse_evaluations=100,
    )  # fmt: skip


def our_optimizer(task: Task, target: float) -> Solution:
    """Runs our optimizer until the loss at the full size is at most `target`."""
    began, losses = time.perf_counter(), []
    stylizer = task.stylizer(our_config(task))
    for step in stylizer:
        if step.side == task.sizes.side:
            losses.append((step.losses.total, time.perf_counter() - began))
            if step.losses.total <= target:
                break
    image = stylizer.best_image().clamp(0, 1)
    return Solution(image=image, losses=losses, evaluations=stylizer.number)


# The comparison
@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Loss, time and memory of a side."""

    lowest: float
    """Lowest loss of all evaluations at the full size."""
    lowest_after: float
    """Seconds until then."""
    picture: float
    """Loss of the finished image, clamped to 0 to 1, computed the same way for both sides."""
    seconds: float
    processor: float
    """Processor seconds, summed over all cores."""
    evaluations: int
    peak: float
    """Peak memory of the process in MB."""


def run(task: Task, target: float | None = None) -> Outcome:
    """Runs the published loop, or ours until it reaches the loss `target`, in this process."""
    _set_threads(task.sizes)
    began, busy = time.perf_counter(), time.process_time()
    solution = published_loop(task) if target is None else our_optimizer(task, target)
    seconds, processor = time.perf_counter() - began, time.process_time() - busy
    peak = peak_memory()
    lowest, after = min(solution.losses)
    return Outcome(
        lowest=lowest, lowest_after=after, seconds=seconds, processor=processor, peak=peak,
        evaluations=solution.evaluations, picture=final_loss(task, solution.image),
    )  # fmt: skip


def _set_threads(sizes: BenchmarkSizes) -> None:
    if sizes.threads:
        torch.set_num_threads(sizes.threads)


def final_loss(task: Task, image: Tensor) -> float:
    """The recipe's loss of a finished image."""
    return task.stylizer(task.published).objective(image)[0].total


def compare_losses(task: Task) -> Table:
    """Runs the baseline and ours alternately, each run in a process of its own."""
    theirs: list[Outcome] = []
    ours: list[Outcome] = []
    for _ in Progress(range(task.sizes.repeats), desc=task.recipe, leave=False):
        theirs.append(in_child(run, task))
        ours.append(in_child(run, task, theirs[-1].lowest))
    return losses_table(task.recipe, theirs, ours)


def losses_table(recipe: Recipe, theirs: Sequence[Outcome], ours: Sequence[Outcome]) -> Table:
    """Medians of all rounds of one recipe, with the ratios of our seconds to theirs."""
    pairs = list(zip(ours, theirs, strict=True))
    ratio = statistics.median(a.seconds / b.seconds for a, b in pairs)
    to_lowest = statistics.median(a.seconds / b.lowest_after for a, b in pairs)
    missed = sum(a.lowest > b.lowest for a, b in pairs)
    note = (
        f"Seconds to the baseline's lowest loss: {ratio:.2f} of those that its loop takes, "
        f"{to_lowest:.2f} of those to its lowest loss; medians of {len(ours)}."
    )
    return Table(
        title=f"The loss of {recipe}",
        header=("", "seconds", "processor seconds", "evaluations", "lowest loss", "loss of the image",
                "peak MB"),
        rows=[(f"{recipe}, as published", *_medians(theirs)), ("brushwork", *_medians(ours))],
        notes=(note, *([f"In {missed} of {len(ours)} rounds its loss was not reached."] if missed else [])),
        data={"theirs": [*map(asdict, theirs)], "ours": [*map(asdict, ours)], "ratio": ratio,
              "ratio_to_lowest": to_lowest},
    )  # fmt: skip


def _medians(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    middle = {name: statistics.median(asdict(one)[name] for one in outcomes) for name in asdict(outcomes[0])}
    return (
        f"{middle['seconds']:.1f}", f"{middle['processor']:.1f}", f"{middle['evaluations']:.0f}",
        f"{middle['lowest']:.4g}", f"{middle['picture']:.4g}", f"{middle['peak']:.0f}",
    )  # fmt: skip


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


def tables(args: StylizeArguments) -> Iterator[tuple[str, Table]]:
    """Measures, and makes a part of the report for each baseline."""
    _set_threads(args.sizes)
    content, style = as_tensor(read_image(args.content)), as_tensor(read_image(args.style))
    for recipe in args.recipes:
        yield recipe, compare_losses(Task(recipe=recipe, sizes=args.sizes, content=content, style=style))


def bench_stylize(args: StylizeArguments) -> None:
    """Runs the comparisons, prints a table of each and writes the report."""
    here, sizes = machine(PACKAGES), {**asdict(args.sizes), "weights": None}
    report(args.out / "stylize", here, sizes, tables(args))


def main() -> None:
    """Parses the command line and runs the benchmark."""
    parse_and_run(StylizeArguments, bench_stylize)
