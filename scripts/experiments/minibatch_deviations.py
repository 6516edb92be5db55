"""How well minibatch deviations separate samples from real images: the first table of docs/collapse.md.

A discriminator of single images cannot detect that all samples are the same. The deviation of the features
within a group can, unless it is averaged.
"""

from pathlib import Path
from typing import Annotated

import torch
import tyro
from annotated_types import Interval
from jaxtyping import Float, Int64, UInt8
from scipy.stats import mannwhitneyu
from torch import Tensor
from torch.nn.functional import avg_pool2d, one_hot

from brushwork.data.dataset import Pictures, load_pictures
from brushwork.models.discriminator import Discriminator
from brushwork.models.layers import minibatch_std
from brushwork.models.options import options
from brushwork.models.sampling import sample
from brushwork.models.snapshot import load_generator
from brushwork.models.stage import Stage
from brushwork.scripts.cli import parse_and_run
from brushwork.training.errors import TrainingError
from brushwork.training.preset_files import read_preset
from brushwork.training.run.checkpoint import checkpoints, load_checkpoint
from brushwork.training.run.run_folder import RunFolder
from brushwork.training.state import build_networks

GROUP, BATCH = 4, 64
RIDGE = 0.1
"""Weight of the ridge penalty, relative to the mean square of a group's deviations."""

Deviations = Float[Tensor, "m d"]


@options
class Arguments:
    """How well minibatch deviations separate samples of a run from real images, in groups of four:
    python scripts/experiments/minibatch_deviations.py runs/collections/solar-before-0
    """

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of a run."""
    groups: Annotated[int, Interval(ge=2, le=10**6)] = 256
    """Groups of real images, and of samples."""


def styles_of_groups(groups: int, styles: int, rng: torch.Generator, *, alike: bool) -> Int64[Tensor, "n"]:
    """Random styles of GROUP times `groups` images; the same within a group if `alike`."""
    chosen = torch.randint(styles, (groups, 1 if alike else GROUP), generator=rng)
    return chosen.expand(groups, GROUP).flatten()


def real_pictures(
    pictures: Pictures, styles: Int64[Tensor, "n"], rng: torch.Generator
) -> UInt8[Tensor, "n 3 r r"]:
    """A random training image of each style."""
    rows = [(pictures.styles == style).nonzero().squeeze(1) for style in range(len(pictures.style_names))]
    chosen = [rows[style][torch.randint(len(rows[style]), (), generator=rng)] for style in styles.tolist()]
    return pictures.take(torch.stack(chosen))


def auc(real: Float[Tensor, "n"], fake: Float[Tensor, "m"]) -> float:
    """Area under the ROC curve: the probability that a value of `real` exceeds one of `fake`."""
    return float(mannwhitneyu(real.numpy(), fake.numpy()).statistic / (len(real) * len(fake)))


def linear_auc(real: Deviations, fake: Deviations) -> float:
    """AUC of a ridge regression on half of the groups, fitted to the other half."""
    half = len(real) // 2
    fitted, held_out = torch.cat([real[:half], fake[:half]]), (real[half:], fake[half:])
    centre = fitted.mean(dim=0)
    x, y = fitted - centre, torch.cat([torch.ones(half), -torch.ones(half)])
    gram = x @ x.T
    gram += RIDGE * gram.diagonal().mean() * torch.eye(len(x))
    weight = x.T @ torch.linalg.solve(gram, y)
    return auc(*((part - centre) @ weight for part in held_out))


@torch.no_grad()
def deviations(discriminator: Discriminator, images: UInt8[Tensor, "n 3 r r"], stage: Stage) -> Deviations:
    """Deviations of all features at the discriminator's lowest resolution, a row for each group."""
    pixels, factor = images.float() / 127.5 - 1, images.shape[-1] // stage.resolution
    pixels = avg_pool2d(pixels, factor)  # while growing
    features = torch.cat([discriminator.lowest_features(part, stage) for part in pixels.split(BATCH)])
    return minibatch_std(features, GROUP)[::GROUP, features.shape[1] :].flatten(1)


def main(args: Arguments) -> None:
    """Prints a row for groups of any styles and one for groups of one style."""
    folder = RunFolder(args.run)
    saved = checkpoints(folder.checkpoints)
    if folder.read() is None or not saved:
        raise TrainingError(
            f"{args.run} holds no checkpoint of a run: give the folder of one that was trained."
        )
    config = read_preset(folder.config_file)
    pictures = load_pictures(config.data)
    nets = build_networks(config, pictures.style_names, torch.device("cpu"))
    nets.discriminator.load_state_dict(load_checkpoint(saved[-1])["discriminator"])
    generator = load_generator(args.run)
    stage, styles = generator.trained_stage, len(pictures.style_names)

    print(
        f"{args.run} after {int(saved[-1].stem) / 1000:g} kimg, {args.groups} groups of {GROUP} pictures each"
    )
    print("| groups of | deviation, samples / real | AUC of the average | AUC of a linear function of all |")
    print("|---|---|---|---|")
    for name, alike in (("any styles", False), ("one style", True)):
        rng = torch.Generator().manual_seed(0)
        chosen = styles_of_groups(args.groups, styles, rng, alike=alike)
        seeds = torch.arange(len(chosen))
        samples = sample(generator, one_hot(chosen, styles).float(), seeds, stage=stage)
        real = deviations(nets.discriminator, real_pictures(pictures, chosen, rng), stage)
        fake = deviations(nets.discriminator, samples, stage)
        share = fake.mean() / real.mean()
        average = auc(real.mean(dim=1), fake.mean(dim=1))
        print(f"| {name} | {share:.2f} | {average:.2f} | {linear_auc(real, fake):.2f} |")


if __name__ == "__main__":
    parse_and_run(Arguments, main)
