"""The work of `brushwork measure RUN --metrics disentanglement`: a run's doors, before and after training."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from einops import repeat
from torch import Tensor

from brushwork.data.pictures import load_pictures
from brushwork.eval.disentanglement_suite import (
    MOST_TEST,
    MOST_TRAIN,
    EncoderPaths,
    LabelledImages,
    with_disentanglement,
)
from brushwork.eval.errors import EvalError
from brushwork.eval.reference import Reference
from brushwork.eval.results import Measurement
from brushwork.models.generator import Generator
from brushwork.models.restyle import content_codes, own_style_codes, restyle
from brushwork.models.snapshot import snapshot_header
from brushwork.training.rng import derived_seed

Read = TypeVar("Read")


def measure_doors(
    measures: Measurement, snapshot: Path, generator: Generator, data: Path, reference: Reference, *,
    control: bool,
) -> Measurement:  # fmt: skip
    """Adds the figures of disentanglement, with `control` beside those of the network before training."""
    names = generator.style_names
    if measures.style_names != names:
        raise EvalError("It takes labels, and the real pictures have none.")
    train = LabelledImages.of(load_pictures(data, "train"), names, MOST_TRAIN)
    test = LabelledImages.of(load_pictures(data, "test"), names, MOST_TEST)
    before = None
    if control:
        before = doors_of(untrained(generator, snapshot_header(snapshot)["notes"].get("seed", 0)))
    return with_disentanglement(
        measures, doors_of(generator), before, train=train, test=test, reference=reference, progress=True
    )


def doors_of(generator: Generator) -> EncoderPaths:
    """Encoders and synthesis at the stage that they were trained to. Raises ModelError where there are no
    encoders."""
    _ = generator.encoders

    def swap(contents: Tensor, style_features: Tensor) -> Tensor:
        codes = repeat(own_style_codes(generator, style_features), "n d -> n l d", l=generator.layers)
        seeds = torch.zeros(len(contents), dtype=torch.int64)
        return restyle(generator, contents, codes, seeds, mode="resized")

    return EncoderPaths(
        content=reader(content_codes, generator), style=reader(own_style_codes, generator), swap=swap
    )


def reader(read: Callable[[Generator, Tensor], Read], generator: Generator) -> Callable[[Tensor], Read]:
    return lambda images: read(generator, images)


def untrained(generator: Generator, seed: int) -> Generator:
    """The network with the weights that a training with this seed starts from (`training.networks`)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "weights"))
        fresh = Generator(generator.config, generator.style_names)
    fresh.trained_stage = generator.trained_stage
    return fresh.eval().requires_grad_(False).to(generator.synthesis.start.device)
