"""The fixtures of training and evaluation, and images and runs that commands take."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from brushwork.data.files import write_file
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.snapshot import generator_bytes
from brushwork.models.stage import Stage

from ..eval.conftest import world
from ..training.conftest import _threads, batch, both, classifier, make_config, nets

__all__ = ["_threads", "batch", "both", "classifier", "make_config", "nets", "world"]


def save_noise(path: Path, size: tuple[int, int] = (16, 16), mode: str = "RGB") -> Path:
    """Write noise of (width, height) pixels that depends on the length of the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def save_untrained(
    run: Path, styles: tuple[str, ...], *, encoders: bool = False, channels: Literal[3, 4] = 3,
    base_height: int = 4, null_style: bool = True,
) -> Path:  # fmt: skip
    """Write a run folder with the snapshot of a generator of 16 px and random weights, trained without a
    style, too, if `null_style`."""
    torch.manual_seed(0)
    config = GeneratorConfig(
        resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=12,
        encoders=encoders, channels=channels, base_height=base_height,
    )  # fmt: skip
    generator = Generator(config, styles)
    generator.mapping.average.normal_()
    if not null_style:
        generator.mapping.average[-1] = 0
    content = generator_bytes(generator, stage=Stage(16), notes={})
    write_file(run / "snapshots" / "generator.safetensors", content)
    return run
