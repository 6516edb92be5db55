"""What `brushwork invert` writes: codes, images beside the given ones, and how near they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from brushwork.data.files import write_csv, write_file
from brushwork.data.progress import Progress
from brushwork.data.writing import save_image
from brushwork.eval.image_folders import save_grid
from brushwork.eval.metrics.perceptual import PerceptualDistance
from brushwork.models.generator import Generator
from brushwork.models.latent.codes import codes_bytes, render_codes
from brushwork.models.pretrained.frozen import PUBLISHED, FrozenNetwork, as_notes, from_notes
from brushwork.models.restyling import to_float
from brushwork.models.sampling import device_of, latents, to_uint8
from brushwork.models.snapshot import DIGEST, generator_bytes, snapshot_header

from ..rng import derived_seed
from .job import Inversion
from .start import PART, images_of

CODES, TUNED, GRID = "codes.safetensors", "tuned.safetensors", "grid.png"
DISTANCES, LOSSES = "distances.csv", "losses.csv"
IMAGE, INVERTED, START, NEAREST, RANDOM = "image", "inverted", "start", "nearest", "random"
GRID_ROWS = 24

Json = dict[str, Any]
Kinds = Mapping[str, UInt8[Tensor, "n c h w"]]
"""The given images and those to compare them with, by kind."""


@dataclass(frozen=True, kw_only=True)
class Differences:
    """Distances of the given images to those of each kind, by the name of the measure."""

    by_measure: Mapping[str, Mapping[str, Float[Tensor, "n"]]]

    def mean(self, measure: str, kind: str) -> float:
        return float(self.by_measure[measure][kind].mean())


# Images to compare with
def images_by_kind(
    generator: Generator, found: Inversion, images: UInt8[Tensor, "n c h w"],
    nearest: UInt8[Tensor, "n c h w"] | None = None,
) -> dict[str, UInt8[Tensor, "n c h w"]]:  # fmt: skip
    """The given images, the inverted ones, those of the start, the `nearest` training images if known, and
    those of a random code in the same style."""
    kinds = {IMAGE: images, INVERTED: render_codes(found.tuned or generator, found.codes)}
    kinds[START] = render_codes(generator, found.start)
    if nearest is not None:
        kinds[NEAREST] = nearest
    return kinds | {RANDOM: random_images(generator, found.codes.styles)}


@torch.no_grad()
def random_images(generator: Generator, styles: Float[Tensor, "n s"]) -> UInt8[Tensor, "n c h w"]:
    """One image of a random code for each row of style weights."""
    seeds = torch.tensor([derived_seed("random", row) % 2**32 for row in range(len(styles))])
    device = device_of(generator)
    w = generator.mapping(latents(seeds, generator.config.z_dim).to(device), styles.to(device))
    return torch.cat([to_uint8(images_of(generator, part)).cpu() for part in w.split(PART)])


@torch.no_grad()
def nearest_images(
    distance: PerceptualDistance, images: UInt8[Tensor, "n c h w"], others: UInt8[Tensor, "m c h w"],
    device: torch.device,
) -> UInt8[Tensor, "n c h w"]:  # fmt: skip
    """For each image, the nearest of the others."""
    points = distance.points(to_float(images).to(device))
    least = torch.full((len(images),), torch.inf, device=device)
    index = torch.zeros(len(images), dtype=torch.int64)
    with Progress(total=len(others), desc="nearest images", unit="img", leave=False) as bar:
        for rows in torch.arange(len(others)).split(PART):
            some = distance.points(to_float(others[rows]).to(device))
            near, which = torch.cdist(points, some).min(1)
            index = torch.where((near < least).cpu(), rows[which.cpu()], index)
            least = torch.minimum(near, least)
            bar.update(len(rows))
    return others[index]


# Distances
@torch.no_grad()
def differences(distances: Sequence[PerceptualDistance], kinds: Kinds, device: torch.device) -> Differences:
    """Compares the given images with the others by every network, and pixel by pixel in levels of 255."""
    others = [kind for kind in kinds if kind != IMAGE]
    by_measure: dict[str, dict[str, Tensor]] = {}
    for distance in distances:
        points = {kind: _points(distance, some, device) for kind, some in kinds.items()}
        by_measure[distance.name] = {
            kind: (points[kind] - points[IMAGE]).square().sum(1).cpu() for kind in others
        }
    image = kinds[IMAGE].float()
    by_measure["pixels"] = {
        kind: (kinds[kind].float() - image).square().mean((1, 2, 3)).sqrt() for kind in others
    }
    return Differences(by_measure=by_measure)


def _points(distance: PerceptualDistance, images: Tensor, device: torch.device) -> Float[Tensor, "n k"]:
    return torch.cat([distance.points(to_float(part).to(device)) for part in images.split(PART)])


# Files
def write_results(
    out: Path, generator: Generator, found: Inversion, kinds: Kinds, measured: Differences, notes: Json
) -> None:
    """Writes codes, images, grid, distances and losses to `out`, and a tuned generator with `notes`."""
    codes = found.codes
    if found.tuned is not None:
        content = generator_bytes(found.tuned, stage=generator.trained_stage, notes=notes)
        write_file(out / TUNED, content, durable=True)
        codes = replace(codes, weights=str(snapshot_header(out / TUNED)[DIGEST]))
    for name, image in zip(found.codes.names, kinds[INVERTED], strict=True):
        save_image(out / "images" / f"{name}.png", image.permute(1, 2, 0).numpy())
    shown = torch.stack([some[:GRID_ROWS] for some in kinds.values()], dim=1)
    cells = rearrange(shown, "n k c h w -> n k h w c").numpy()
    save_grid(out / GRID, cells, found.codes.names[:GRID_ROWS], list(kinds))
    write_csv(out / DISTANCES, distance_rows(found, generator.style_names, measured))
    write_csv(out / LOSSES, loss_rows(found))
    write_file(out / CODES, codes_bytes(codes, generator.style_names), durable=True)


def tuned_notes(notes: Json, network: str) -> Json:
    """The notes of a run's snapshot for a generator that was tuned through a network of NETWORKS, which is no
    independent evaluator of it then."""
    published = network in PUBLISHED
    through = (
        FrozenNetwork.published(network, "loss")
        if published
        else FrozenNetwork(name=network, weights="", trained_on=("ImageNet",), role="loss")
    )
    before = from_notes(notes.get("looked_through", []))
    return {**notes, "looked_through": as_notes([*before, through])}


def distance_rows(
    found: Inversion, style_names: Sequence[str], measured: Differences
) -> list[dict[str, Any]]:
    """A row for each image."""
    rows: list[dict[str, Any]] = []
    for i, (name, weights) in enumerate(zip(found.codes.names, found.codes.styles.tolist(), strict=True)):
        style = "+".join(f"{style}={x:g}" for style, x in zip(style_names, weights, strict=True) if x)
        row: dict[str, Any] = {"image": name, "style": style.removesuffix("=1")}
        for measure, kinds in measured.by_measure.items():
            row |= {f"{measure} {kind}": f"{float(values[i]):.5g}" for kind, values in kinds.items()}
        rows.append(row)
    return rows


def loss_rows(found: Inversion) -> list[dict[str, Any]]:
    """A row for each step: its number, its part of the work, and the loss of each image."""
    return [
        {"step": step + 1, "part": part}
        | {name: f"{x:.5g}" for name, x in zip(found.codes.names, losses, strict=True)}
        for part, trace in (("codes", found.losses), ("generator", found.tuning_losses))
        for step, losses in enumerate(trace.tolist())
    ]
