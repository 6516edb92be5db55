"""Runs that mix all regimes: they resume, log, and refuse what does not fit."""

import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from brushwork.data.pictures import Pictures
from brushwork.models.generator import Generator
from brushwork.models.restyle import content_codes
from brushwork.models.snapshot import generator_bytes, load_generator
from brushwork.models.stage import Stage
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.prepare.classifier import ClassifierConfig
from brushwork.training.restyle.config import RestyleConfig, Term
from brushwork.training.run import artifacts as chores
from brushwork.training.run.checkpoint import checkpoints, load_checkpoint
from brushwork.training.run.metrics import InLoopMetrics, MetricsConfig
from brushwork.training.trainer import Trainer

MIXED = RestyleConfig(
    sampling=1.0, restyling=1.0, autoencoding=1.0, contrast=1.0, classifier=Term(weight=1.0),
    mean_std=Term(weight=1.0), leak=Term(weight=1.0),
)  # fmt: skip


@pytest.fixture
def joint(make_config: Callable[..., TrainConfig]) -> Callable[..., TrainConfig]:
    def make(**changes: Any) -> TrainConfig:
        plain = make_config()
        generator = replace(plain.generator, encoders=True, content_blocks=1, content_erased=True)
        judge = ClassifierConfig(kimg=0.032, batch=8)
        return replace(
            plain, generator=generator, restyle=MIXED, classifier=judge, total_kimg=0.096, **changes
        )

    return make


def test_a_joint_run_resumes_bit_for_bit(
    joint: Callable[..., TrainConfig], pictures: Pictures, tmp_path: Any
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


def test_snapshots_erase_what_training_does_not(
    joint: Callable[..., TrainConfig], pictures: Pictures
) -> None:
    trainer = Trainer(joint(), pictures)
    trainer.run()
    found = load_generator(trainer.folder.path)
    for network in (trainer.state.nets.generator, trainer.state.average):
        assert not network.state_dict()["content_encoder.erasers.8.means"].any()
    images, labels = pictures.images, torch.nn.functional.one_hot(pictures.styles).float()
    maps = content_codes(found, images)[0].flatten(1)
    means = (labels.T @ maps) / labels.sum(dim=0)[:, None]
    assert (means - means.mean(dim=0)).abs().max() < 1e-3
    assert maps.std() > 0.1


def test_figures_are_of_codes_as_trained_while_a_snapshot_is_written(
    joint: Callable[..., TrainConfig], pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    measuring, erased = threading.Event(), []

    class Watching(InLoopMetrics):
        def prepare(self, device: torch.device) -> None:
            pass

        def __call__(self, generator: Generator, stage: Stage) -> dict[str, float]:
            erasing.wait(20.0)  # the snapshot beside the loop has its codes erased by now
            erased.append(bool(generator.state_dict()["content_encoder.erasers.8.means"].any()))
            measuring.set()
            return {}

    def save(*arguments: Any, **options: Any) -> bytes:
        if next(saved):  # the first goes with the checkpoint
            erasing.set()
            assert measuring.wait(20.0)
        return generator_bytes(*arguments, **options)

    erasing, saved = threading.Event(), count()
    monkeypatch.setattr(chores, "generator_bytes", save)
    config = joint()
    config = replace(config, every=replace(config.every, metrics_kimg=config.total_kimg))
    Trainer(config, pictures, metrics=Watching(MetricsConfig(), Path("nowhere"))).run()
    assert erased == [False]


def test_terms_are_logged_as_they_are_and_weighted(
    joint: Callable[..., TrainConfig], pictures: Pictures
) -> None:
    config = joint()
    config = replace(config, every=replace(config.every, tick_kimg=0.096))
    trainer = Trainer(config, pictures)
    trainer.run()
    first, line = trainer.folder.history()
    assert set(first) == {"nimg", "classifier_accuracy"}
    for name in ("adversarial", "style", "cycle", "content", "classifier", "rebuild", "crops"):
        assert line[f"weighted_{name}"] == pytest.approx(getattr(MIXED, name).weight * line[name])
    assert {"loss_g", "loss_d"} <= line.keys()


# Mistakes
def test_restyling_needs_encoders(make_config: Callable[..., TrainConfig]) -> None:
    with pytest.raises(TrainingError, match=r"need encoders: set --generator\.encoders"):
        replace(make_config(), restyle=MIXED)
