"""A run on images that are not square and have transparency, under adaptive augmentation."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from brushwork.data.dataset import ImageDataset
from brushwork.data.images import read_image
from brushwork.models.sampling import sample
from brushwork.training.augment import AugmentConfig
from brushwork.training.config import IntervalConfig, TrainConfig
from brushwork.training.prepare.classifier import ClassifierConfig
from brushwork.training.restyle.config import RestyleConfig, Term
from brushwork.training.schedules import GrowingConfig
from brushwork.training.trainer import Trainer

from .conftest import GENERATOR

RESTYLE = RestyleConfig(sampling=1.0, restyling=1.0, autoencoding=1.0, classifier=Term(weight=1.0))


@pytest.fixture
def cutouts(pictures: ImageDataset) -> ImageDataset:
    """Images of 24 x 16 whose left part is transparent."""
    images = torch.cat([pictures.images, pictures.images[..., :8, :]], dim=2)
    alpha = torch.full_like(images[:, :1], 255)
    alpha[..., :5] = 0
    return replace(pictures, images=torch.cat([images, alpha], dim=1))


def test_a_run_of_cutouts_resumes_bit_for_bit_and_draws_cutouts(
    make_config: Callable[..., TrainConfig], cutouts: ImageDataset, tmp_path: Path
) -> None:
    config = make_config(
        generator=replace(GENERATOR, encoders=True, content_blocks=1), restyle=RESTYLE, total_kimg=0.064,
        growing=GrowingConfig(start_resolution=8, fade_kimg=(0.008,), steady_kimg=(0.008,)),
        classifier=ClassifierConfig(kimg=0.032), augment=AugmentConfig(ada=("flip", "shift"), ada_kimg=0.1),
        interval=IntervalConfig(status_kimg=0.0, grid_kimg=0.032, checkpoint_kimg=0.0, snapshot_kimg=0.0),
    )  # fmt: skip

    def trained(name: str, **changes: Any) -> Trainer:
        trainer = Trainer(replace(config, out=tmp_path / name, **changes), cutouts)
        trainer.run()
        return trainer

    def state(trainer: Trainer) -> dict:
        return trainer.state.state_dict() | {"seconds": 0.0, "looked_through": []}

    whole = trained("whole")
    trained("cut", total_kimg=0.024)
    assert_close(state(trained("cut", resume=True)), state(whole), rtol=0, atol=0)
    assert (whole.config.generator.base, whole.config.generator.channels) == ((6, 4), 4)
    images = sample(whole.state.average, whole.state.average.style_names[0], range(2))
    assert images.shape == (2, 4, 24, 16)
    samples = tmp_path / "whole" / "samples"
    grids = [read_image(path) for path in sorted(samples.glob("*.png"))]
    assert {path.name.partition("-")[2] for path in samples.glob("0*.png")} == {
        "16px.png", "16px-restyled.png", "8px.png", "8px-restyled.png"
    }  # fmt: skip
    assert all(grid.shape[2] == 3 for grid in grids)
