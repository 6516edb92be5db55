"""Runs that mix all regimes: they resume, log, and refuse what does not fit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch.testing import assert_close

from brushwork.data.dataset import ImageDataset
from brushwork.training.config import TrainConfig
from brushwork.training.prepare.classifier import ClassifierConfig
from brushwork.training.restyle.config import RestyleConfig, Term
from brushwork.training.trainer import Trainer

from .conftest import GENERATOR, QUIET

MIXED = RestyleConfig(
    sampling=1.0, restyling=1.0, autoencoding=1.0, contrast=1.0, classifier=Term(weight=1.0),
    perceptual=Term(weight=1.0),
)  # fmt: skip
TERMS = ("adversarial", "style", "cycle", "content", "classifier", "perceptual", "reconstruct", "info_nce")


@pytest.fixture
def joint(make_config: Callable[..., TrainConfig]) -> TrainConfig:
    """Twelve steps of all four regimes."""
    config = make_config(
        generator=replace(GENERATOR, encoders=True, content_blocks=1), restyle=MIXED,
        classifier=ClassifierConfig(kimg=0.032), total_kimg=0.096,
    )  # fmt: skip
    regimes = {MIXED.regime_at(nimg, config.seed) for nimg in range(0, 96, 8)}
    assert regimes == {"sampling", "restyling", "autoencoding", "contrast"}
    return config


def test_a_joint_run_resumes_bit_for_bit(joint: TrainConfig, pictures: ImageDataset, tmp_path: Path) -> None:
    def state(name: str, **changes: Any) -> dict:
        trainer = Trainer(replace(joint, out=tmp_path / name, **changes), pictures)
        trainer.run()
        return trainer.state.state_dict() | {"seconds": 0.0, "looked_through": []}

    whole = state("whole")
    state("cut", total_kimg=0.04)
    assert_close(state("cut", resume=True), whole, rtol=0, atol=0)


def test_terms_are_logged_as_they_are_and_weighted(joint: TrainConfig, pictures: ImageDataset) -> None:
    trainer = Trainer(replace(joint, interval=replace(QUIET, status_kimg=0.096)), pictures)
    trainer.run()
    first, line = trainer.folder.history()
    assert set(first) == {"nimg", "classifier_accuracy"}
    for name in TERMS:
        assert line[f"weighted_{name}"] == pytest.approx(getattr(MIXED, name).weight * line[name])
    assert {"loss_g", "loss_d"} <= line.keys()
