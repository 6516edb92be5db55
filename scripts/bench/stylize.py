"""The benchmark `stylize`: when do we reach the loss at which the published loops end?

The rivals are the loop of PyTorch's tutorial and that of neural-style's port, written here from what they
publish, on the same backbone with the same weights. Every round runs in a process of its own: a rival to its
end, then we, by other sizes and steps but for the same loss, until we are as low as it ever was. (The lowest,
for their whole steps have no safeguard: the tutorial's loop may end a million times higher than it was.)
"""

import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from annotated_types import Interval
from torch import Tensor, nn

from brushwork.data.files import write_file
from brushwork.data.images import read_image
from brushwork.data.progress import Progress
from brushwork.models.options import Count, Side, Threads, options
from brushwork.scripts.bench.harness import Finding, Table, in_child, machine, peak_memory
from brushwork.scripts.bench.report import markdown, write_rounds
from brushwork.training.style_transfer.backbones import VGG_CONTENT, VGG_STYLE, Backbone, find_backbone
from brushwork.training.style_transfer.config import PRESETS, StylizeConfig
from brushwork.training.style_transfer.optimizers import Lbfgs
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
class Sizes:
    """What is drawn, how long."""

    backbone: Backbone = "hed-vgg16"
    weights: Path | None = None
    side: Annotated[int, Interval(ge=32, le=65536)] = 256
    """Longer side of content and style."""
    evaluations: Annotated[int, Interval(ge=0, le=10**7)] = 0
    """Of each rival; 0: its own default, 300 for the tutorial and 1,000 for neural-style."""
    repeats: Count = 3
    threads: Threads = 0
    """0: as many as PyTorch takes."""

    def budget(self, recipe: Recipe) -> int:
        """Evaluations of a rival."""
        return self.evaluations or PRESETS[recipe]().evaluations


def ours(recipe: Recipe, sizes: Sizes) -> StylizeConfig:
    """The recipe's loss, by our sizes and optimizer."""
    return replace(
        PRESETS[recipe](), backbone=sizes.backbone, weights=sizes.weights, optimizer="lbfgs", history=50,
        start="content", coarsest=max(32, sizes.side // 4), evaluations=sizes.budget(recipe),
        coarse_evaluations=100, precision="fp32",
    )  # fmt: skip


# The rivals
MEAN_COLOUR = torch.tensor((0.485, 0.456, 0.406))[:, None, None]
FAINT = 1e-3 / 255
"""What neural-style begins with, in parts of black to white."""


class Gram(nn.Module):
    """As both publish it: F F^T over the number of values."""

    def forward(self, maps: Tensor) -> Tensor:
        n, c, h, w = maps.shape
        flat = maps.view(n * c, h * w)
        return torch.mm(flat, flat.t()) / (n * c * h * w)


def published_loop(
    recipe: Recipe, sizes: Sizes, content: Tensor, style: Tensor
) -> tuple[Tensor, list[tuple[float, float]]]:
    """The tutorial's: L-BFGS as it comes, clamping before every evaluation, from the content. neural-style's:
    100 pairs, no tolerances, from faint noise about the mean colour, with roughness, clamping in the end. The
    picture, and of every evaluation the loss and the seconds until then."""
    config = PRESETS[recipe]()
    layers = (config.style_layers or VGG_STYLE), (config.content_layers or VGG_CONTENT)
    network, gram = find_backbone(sizes.backbone, (*layers[0], *layers[1]), sizes.weights), Gram()
    with torch.no_grad():
        goals = {name: gram(network(style)[name]) for name in layers[0]}
        kept = {name: network(content)[name] for name in layers[1]}
    count, budget = len(layers[0]), sizes.budget(recipe)
    if recipe == "tutorial":
        image = content.clone()
        optimizer = torch.optim.LBFGS([image.requires_grad_()])
    else:
        generator = torch.Generator().manual_seed(0)
        image = MEAN_COLOUR + FAINT * torch.randn(content.shape, generator=generator)
        optimizer = torch.optim.LBFGS(
            [image.requires_grad_()], max_iter=budget, tolerance_change=-1, tolerance_grad=-1,
            history_size=100,
        )  # fmt: skip
    seen: list[tuple[float, float]] = []
    began = time.perf_counter()

    def closure() -> Tensor:
        if recipe == "tutorial":
            with torch.no_grad():
                image.clamp_(0, 1)
        optimizer.zero_grad()
        maps = network(image)
        loss = (
            config.style_weight
            / count
            * sum((F.mse_loss(gram(maps[name]), goal) for name, goal in goals.items()), torch.zeros(()))
        )
        loss = loss + config.content_weight * sum(
            (F.mse_loss(maps[name], goal) for name, goal in kept.items()), torch.zeros(())
        )
        if config.tv_weight:
            rough = image.diff(dim=3).abs().sum() + image.diff(dim=2).abs().sum()
            loss = loss + config.tv_weight * 255 * rough
        loss.backward()
        seen.append((float(loss.detach()), time.perf_counter() - began))
        return loss

    while len(seen) < budget:
        optimizer.step(closure)
    with torch.no_grad():
        return image.detach().clamp(0, 1), seen


# One run
@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How low a run came, in what time and memory."""

    lowest: float
    """Loss of all evaluations at the full size."""
    lowest_after: float
    """Seconds until then."""
    picture: float
    """Loss of the finished picture, clamped to 0 to 1."""
    seconds: float
    processor: float
    """Seconds of all cores together."""
    evaluations: int
    peak: float
    """MB that the process held at most."""


def run_published(recipe: Recipe, sizes: Sizes, content: Pixels, style: Pixels) -> Outcome:
    """In this process: the rival to its end."""
    if sizes.threads:
        torch.set_num_threads(sizes.threads)
    cpu = torch.device("cpu")
    pictures = [resize_longer_side(to_float(pixels, cpu), sizes.side) for pixels in (content, style)]
    began, busy = time.perf_counter(), time.process_time()
    found, seen = published_loop(recipe, sizes, pictures[0], pictures[1])
    took, worked = time.perf_counter() - began, time.process_time() - busy
    peak = peak_memory()
    lowest, after = min(seen)
    return Outcome(
        lowest=lowest, lowest_after=after, picture=judged(recipe, sizes, content, style, found), seconds=took,
        processor=worked, evaluations=len(seen), peak=peak,
    )  # fmt: skip


def run_ours(recipe: Recipe, sizes: Sizes, content: Pixels, style: Pixels, goal: float) -> Outcome:
    """In this process: until the loss at the full size is no more than `goal`."""
    if sizes.threads:
        torch.set_num_threads(sizes.threads)
    began, busy = time.perf_counter(), time.process_time()
    config = replace(ours(recipe, sizes), size=sizes.side)
    stylizer = Stylizer(TransferInputs(content=content, styles=[style]), config)
    lowest, after = math.inf, 0.0
    for step in stylizer:
        if step.side == sizes.side and step.losses.total < lowest:
            lowest, after = step.losses.total, time.perf_counter() - began
        if lowest <= goal:
            break
    took, worked = time.perf_counter() - began, time.process_time() - busy
    return Outcome(
        lowest=lowest, lowest_after=after, seconds=took, processor=worked, evaluations=stylizer.number,
        peak=peak_memory(), picture=judged(recipe, sizes, content, style, stylizer.best_image().clamp(0, 1)),
    )  # fmt: skip


def judged(recipe: Recipe, sizes: Sizes, content: Pixels, style: Pixels, image: Tensor) -> float:
    """The recipe's loss of a finished picture, the same for both sides."""
    config = replace(
        PRESETS[recipe](), backbone=sizes.backbone, weights=sizes.weights, size=sizes.side, precision="fp32"
    )
    stylizer = Stylizer(TransferInputs(content=content, styles=[style]), config)
    return stylizer.objective(image)[0].total


# The race
@dataclass(frozen=True, kw_only=True)
class Race:
    """All rounds of one recipe."""

    recipe: Recipe
    theirs: tuple[Outcome, ...]
    ours: tuple[Outcome, ...]

    @property
    def ratio(self) -> float:
        """Median over the rounds of our seconds over theirs."""
        return statistics.median(a.seconds / b.seconds for a, b in zip(self.ours, self.theirs, strict=True))

    @property
    def ratio_to_lowest(self) -> float:
        """The same over their seconds until the evaluation that was their lowest."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return statistics.median(a.seconds / b.lowest_after for a, b in pairs)

    def table(self) -> Table:
        rows = tuple(
            (name, *self._cells(found))
            for name, found in ((f"{self.recipe}, as published", self.theirs), ("brushwork", self.ours))
        )
        missed = sum(a.lowest > b.lowest for a, b in zip(self.ours, self.theirs, strict=True))
        notes = [
            f"Seconds to the rival's lowest loss: {self.ratio:.2f} of those that its loop takes, "
            f"{self.ratio_to_lowest:.2f} of those to where it was so low; medians of {len(self.ours)}."
        ]
        notes += [f"In {missed} rounds its loss was not reached."] if missed else []
        return Table(
            title=f"The loss of {self.recipe}", header=("", "seconds", "processor seconds", "evaluations",
            "lowest loss", "loss of the picture", "peak MB"), rows=rows, notes=tuple(notes),
        )  # fmt: skip

    @staticmethod
    def _cells(found: Sequence[Outcome]) -> tuple[str, ...]:
        middle = {name: statistics.median(asdict(one)[name] for one in found) for name in asdict(found[0])}
        return (
            f"{middle['seconds']:.1f}", f"{middle['processor']:.1f}", f"{middle['evaluations']:.0f}",
            f"{middle['lowest']:.4g}", f"{middle['picture']:.4g}", f"{middle['peak']:.0f}",
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        rounds = {"theirs": [asdict(one) for one in self.theirs], "ours": [asdict(one) for one in self.ours]}
        return {"recipe": self.recipe, "ratio": self.ratio, "ratio_to_lowest": self.ratio_to_lowest, **rounds}


def race(recipe: Recipe, sizes: Sizes, content: Pixels, style: Pixels) -> Race:
    """Rounds of the rival, then us, each in a fresh process."""
    theirs: list[Outcome] = []
    mine: list[Outcome] = []
    for _ in Progress(range(sizes.repeats), desc=recipe, leave=False):
        theirs.append(in_child(run_published, recipe, sizes, content, style))
        mine.append(in_child(run_ours, recipe, sizes, content, style, theirs[-1].lowest))
    return Race(recipe=recipe, theirs=tuple(theirs), ours=tuple(mine))


def largest(side: int, sizes: Sizes, content: Pixels, style: Pixels) -> float:
    """MB that a process of its own holds at most when it draws at a large size, in tiles."""
    return in_child(peak_of, side, sizes, content, style)


def peak_of(side: int, sizes: Sizes, content: Pixels, style: Pixels) -> float:
    """In this process: after so many steps that L-BFGS remembers all that it may."""
    if sizes.threads:
        torch.set_num_threads(sizes.threads)
    config = replace(PRESETS["fast"](), backbone=sizes.backbone, weights=sizes.weights, size=side, coarsest=0)
    stylizer = Stylizer(TransferInputs(content=content, styles=[style]), config)
    stylizer.advance()
    remember_all(stylizer)
    stylizer.advance()
    return peak_memory()


def remember_all(stylizer: Stylizer) -> None:
    """Has its L-BFGS hold as many steps as it ever may; they are made up."""
    assert isinstance(stylizer.optimizer, Lbfgs)
    made_up = (torch.ones_like(stylizer.image), torch.ones_like(stylizer.image))
    while len(stylizer.optimizer.pairs) < stylizer.optimizer.history:
        stylizer.optimizer.pairs.append((made_up[0].clone(), made_up[1].clone()))


@options
class StylizeArguments:
    """Times `brushwork stylize` against the loops that PyTorch's tutorial and neural-style publish: how long
    until the lowest loss that they had? Rival and we alternate, each in a process of its own.

    Example, an hour on two cores:
        brushwork fetch hed-vgg16
        brushwork bench stylize --content photo.jpg --style painting.jpg
    """

    content: Path
    """A photograph."""
    style: Path
    """A painting."""
    recipes: tuple[Recipe, ...] = RECIPES
    """Whose loss."""
    large: Side = 0
    """Longer side in pixels of a picture whose memory is measured, too: 2048; 0: none."""
    sizes: Sizes = field(default_factory=Sizes)
    out: Path = Path("runs/bench")
    """Folder for stylize.json and stylize.md."""


def bench_stylize(args: StylizeArguments) -> None:
    """Runs the races, prints a table of each, writes all of them."""
    if args.sizes.threads:
        torch.set_num_threads(args.sizes.threads)
    content, style = as_tensor(read_image(args.content)), as_tensor(read_image(args.style))
    here = machine(("torch", "torchvision"))
    args.out.mkdir(parents=True, exist_ok=True)
    print(here.words())
    found: dict[str, Finding] = {}
    texts: list[str] = []
    for recipe in args.recipes:
        found[recipe] = race(recipe, args.sizes, content, style)
        texts.append(markdown(found[recipe].table()))
        print(f"\n{texts[-1]}", file=sys.stdout)
    if args.large:
        peak = largest(args.large, args.sizes, content, style)
        size = Table(
            title=f"{args.large} px in tiles", header=("", "peak MB"), rows=(("fast", f"{peak:.0f}"),)
        )
        texts.append(markdown(size))
        print(f"\n{texts[-1]}")
    text = "\n\n".join(texts)
    write_file(args.out / "stylize.md", f"{here.words()}\n\n{text}\n")
    write_rounds(args.out / "stylize.json", here, {**asdict(args.sizes), "weights": None}, found)
    print(f"\nAll rounds: {args.out / 'stylize.json'}; stylize.md beside it")


def main() -> None:
    """Parses the command line and measures."""
    from brushwork.scripts.cli import parse_and_run

    parse_and_run(StylizeArguments, bench_stylize)


if __name__ == "__main__":
    main()
