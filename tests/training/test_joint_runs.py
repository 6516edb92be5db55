"""Runs that mix all regimes: they resume, log, and refuse what does not fit."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from brushwork.data.dataset import ImageDataset
from brushwork.training.config import TrainConfig
from brushwork.training.prepare.classifier import ClassifierConfig
from brushwork.training.restyle.config import RestyleConfig, Term
from brushwork.training.run.checkpoint import checkpoints, load_checkpoint
from brushwork.training.trainer import Trainer

MIXED = RestyleConfig(
    sampling=1.0, restyling=1.0, autoencoding=1.0, contrast=1.0, classifier=Term(weight=1.0),
    perceptual=Term(weight=1.0),
)  # fmt: skip


@pytest.fixture
def joint(make_config: Callable[..., TrainConfig]) -> Callable[..., TrainConfig]:
    def make(**changes: Any) -> TrainConfig:
        plain = make_config()
        generator = replace(plain.generator, encoders=True, content_blocks=1)
        return replace(
            plain, generator=generator, restyle=MIXED, classifier=ClassifierConfig(kimg=0.032),
            total_kimg=0.096, **changes,
        )  # fmt: skip

    return make


def test_a_joint_run_resumes_bit_for_bit(
    joint: Callable[..., TrainConfig], pictures: ImageDataset, tmp_path: Any
) -> None:
    """Twelve steps of all four regimes, cut after five."""

    def state(name: str, kimg: float, *, resume: bool = False) -> dict:
        out = tmp_path / name
        Trainer(replace(joint(), out=out, total_kimg=kimg, resume=resume), pictures).run()
        return load_checkpoint(checkpoints(out / "checkpoints")[-1])

    regimes = {MIXED.regime_at(nimg, joint().seed) for nimg in range(0, 96, 8)}
    assert regimes == {"sampling", "restyling", "autoencoding", "contrast"}
    whole = state("whole", 0.096)
    state("cut", 0.04)
    resumed = state("cut", 0.096, resume=True)
    for network in ("generator", "discriminator", "average"):
        assert all(torch.equal(value, resumed[network][name]) for name, value in whole[network].items()), (
            network
        )


def test_terms_are_logged_as_they_are_and_weighted(
    joint: Callable[..., TrainConfig], pictures: ImageDataset
) -> None:
    config = joint()
    config = replace(config, interval=replace(config.interval, status_kimg=0.096))
    trainer = Trainer(config, pictures)
    trainer.run()
    first, line = trainer.folder.history()
    assert set(first) == {"nimg", "classifier_accuracy"}
    terms = (
        "adversarial",
        "style",
        "cycle",
        "content",
        "classifier",
        "perceptual",
        "reconstruct",
        "info_nce",
    )
    for name in terms:
        assert line[f"weighted_{name}"] == pytest.approx(getattr(MIXED, name).weight * line[name])
    assert {"loss_g", "loss_d"} <= line.keys()
