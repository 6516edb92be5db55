"""Overfitting: the figure by its definition, with and without held-out images, and p that follows it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from brushwork.data.curate.pack import PackConfig, pack
from brushwork.data.dataset import ImageDataset, load_dataset
from brushwork.models.stage import Stage
from brushwork.scripts.bench.toy import write_toy
from brushwork.training.adversarial import LossConfig
from brushwork.training.augment import AugmentConfig
from brushwork.training.config import TrainConfig
from brushwork.training.run.overfitting import OverfittingProbe, evenly, ratio, same_styles
from brushwork.training.state import TrainingState
from brushwork.training.step import Networks
from brushwork.training.trainer import Trainer

from ..conftest import QUIET

STAGE, CPU = Stage(16), torch.device("cpu")
Make = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("overfitting")
    write_toy(folder / "images", styles=3, subjects=40, size=16)
    pack(folder / "images", folder / "packed", PackConfig(resolution=16, test_fraction=0.3))
    return folder / "packed"


@pytest.fixture
def train(packed: Path) -> ImageDataset:
    return load_dataset(packed, "train")


def judged(
    config: TrainConfig, train: ImageDataset, packed: Path, scores: tuple[float, float, float]
) -> float:
    """The measurement where the discriminator gives these scores to training, held-out and other images."""
    held_out = load_dataset(packed, "test")

    def is_one_of(images: Tensor, dataset: ImageDataset) -> Tensor:
        known = (dataset.images.float() / 127.5 - 1).flatten(1)
        return torch.cdist(images.flatten(1), known).min(dim=1).values < 0.1

    def score(images: Tensor, styles: Tensor, stage: Stage) -> Tensor:
        known, unknown = is_one_of(images, train), is_one_of(images, held_out)
        return torch.where(known, scores[0], torch.where(unknown, scores[1], scores[2]))

    nets = TrainingState.fresh(config, train.style_names, CPU).nets
    nets.discriminator.forward = score  # type: ignore[method-assign]
    return OverfittingProbe.of(config, train, CPU)(nets, STAGE, nimg=0, p=0.0)


@pytest.mark.parametrize(
    ("scores", "found"),
    [((1.0, 1.0, -1.0), 0.0), ((1.0, 0.5, -1.0), 0.25), ((1.0, -1.0, -1.0), 1.0), ((1.0, -1.5, -1.0), 1.25)],
)
def test_it_is_the_share_of_the_way_from_training_to_generated_images_that_held_out_ones_go(
    make_config: Make, train: ImageDataset, packed: Path, scores: tuple[float, float, float], found: float
) -> None:
    assert judged(make_config(data=packed), train, packed, scores) == pytest.approx(found)


@pytest.mark.parametrize(("gan_loss", "found"), [("logistic", -1.0), ("relativistic", 1.0)])
def test_without_held_out_images_it_is_the_mean_sign_of_what_the_loss_compares(
    make_config: Make, train: ImageDataset, packed: Path, tmp_path: Path, gan_loss: Any, found: float
) -> None:
    for data, images in ((tmp_path, train), (packed, replace(train, fingerprint="of another data set"))):
        config = make_config(data=data, loss=LossConfig(gan_loss=gan_loss))
        assert judged(config, images, packed, (-1.0, 0.0, -2.0)) == found


def test_a_discriminator_that_does_not_know_images_from_generated_ones_does_not_overfit() -> None:
    assert ratio(1.0, 0.0) == ratio(1.0, -1.0) == 0.0
    assert (ratio(9.0, 1.0), ratio(-9.0, 1.0)) == (2.0, -1.0)


def test_training_and_held_out_images_are_of_the_same_styles() -> None:
    train, held_out = torch.tensor([0, 0, 0, 0, 1, 2, -1]), torch.tensor([0, 0, 1, 1, 3, -1])
    ours, theirs = same_styles(train, held_out)
    assert torch.equal(train[ours], held_out[theirs])
    assert sorted(theirs.tolist()) == [0, 1, 2, 3, 5], "no training image has style 3"
    assert {0, 2} <= set(ours.tolist()), "evenly spaced"
    assert evenly(torch.arange(10), 4).tolist() == [0, 2, 5, 7]


def test_both_streams_have_the_same_styles_in_the_same_order(
    make_config: Make, train: ImageDataset, packed: Path
) -> None:
    probe = OverfittingProbe.of(make_config(data=packed), train, CPU)
    assert probe.held_out is not None
    for nimg in (0, 999):
        one, other = (loader.batch_at(nimg, 32) for loader in (probe.train, probe.held_out))
        assert torch.equal(one.styles, other.styles)
        assert not torch.equal(one.images, other.images)


def test_p_rises_and_falls_with_it_and_both_are_logged(
    make_config: Make, train: ImageDataset, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([0.9, 0.9, 0.3])

    def measured(probe: OverfittingProbe, nets: Networks, stage: Stage, *, nimg: int, p: float) -> float:
        return next(answers)

    monkeypatch.setattr(OverfittingProbe, "__call__", measured)
    augment = AugmentConfig(ada=("flip",), ada_kimg=0.064)
    config = make_config(data=packed, augment=augment, interval=replace(QUIET, status_kimg=0.008))
    trainer = Trainer(config, train)
    trainer.run()
    lines = trainer.folder.history()
    assert [line.get("overfitting") for line in lines] == [None, 0.9, 0.9, 0.3]
    assert [line["ada_p"] for line in lines] == [0.0, 0.125, 0.25, 0.125]
