"""Preparation before the first step: a classifier where one is needed, and pseudo-labels."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from brushwork.data.dataset import Pictures
from brushwork.data.sources.toy import toy_pictures
from brushwork.models.generator import Generator
from brushwork.models.stage import Stage
from brushwork.training.config import TrainConfig
from brushwork.training.prepare import networks as module
from brushwork.training.prepare.classifier import ClassifierConfig
from brushwork.training.prepare.labels import LabelConfig
from brushwork.training.prepare.networks import Prepared, prepare
from brushwork.training.restyle.config import PerceptionConfig, RestyleConfig, Term
from brushwork.training.trainer import Trainer

Make = Callable[..., Prepared]
JUDGED = RestyleConfig(restyling=1.0, classifier=Term(weight=1.0))


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return toy_pictures(styles=3, subjects=24, size=16)


@pytest.fixture
def config(make_config: Callable[..., TrainConfig]) -> TrainConfig:
    plain = make_config()
    shape = replace(plain.generator, encoders=True, content_blocks=1)
    return replace(plain, generator=shape, classifier=ClassifierConfig(kimg=3.2, batch=16, lr=0.02))


@pytest.fixture
def prepared(config: TrainConfig, pictures: Pictures, tmp_path: Path) -> Make:
    def make(**changes: Any) -> Prepared:
        generator = Generator(config.generator, pictures.style_names)
        file = tmp_path / "classifier.safetensors"
        return prepare(replace(config, **changes), pictures, generator, file, Accelerator(cpu=True))

    return make


def test_nothing_is_prepared_that_nothing_asks_for(
    prepared: Make, pictures: Pictures, tmp_path: Path
) -> None:
    plain = prepared(restyle=RestyleConfig(restyling=1.0))
    assert plain.frozen_networks.classifier is None
    assert plain.frozen_networks.perception is None
    assert plain.pictures is pictures
    assert plain.figures == {}
    assert not list(tmp_path.iterdir())


def test_the_classifier_is_trained_once(
    prepared: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepared(restyle=JUDGED)
    assert set(first.figures) == {"classifier_accuracy"}
    assert (tmp_path / "classifier.safetensors").exists()
    monkeypatch.setattr(module, "train_classifier", None)
    again = prepared(restyle=JUDGED)
    assert again.figures == first.figures
    assert first.frozen_networks.classifier is not None
    assert again.frozen_networks.classifier is not None
    weights = again.frozen_networks.classifier.state_dict()
    assert all(
        value.equal(weights[name]) for name, value in first.frozen_networks.classifier.state_dict().items()
    )


def test_perception_is_the_classifiers_unless_a_vgg_is_asked_for(
    prepared: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    felt = replace(JUDGED, classifier=Term(), perceptual=Term(weight=1.0))
    frozen_networks = prepared(restyle=felt).frozen_networks
    assert frozen_networks.classifier is not None
    assert frozen_networks.perception == frozen_networks.classifier.maps

    def random(arch: Any, taps: Any, path: Any) -> Any:
        return module.Vgg.random(arch, taps)

    monkeypatch.setattr(module.Vgg, "from_weights", random)
    eyes = PerceptionConfig(network="vgg16", taps=("relu1_1", "relu2_1"))
    frozen_networks = prepared(restyle=replace(felt, perception=eyes)).frozen_networks
    assert frozen_networks.classifier is None
    assert frozen_networks.perception is not None
    maps = frozen_networks.perception(torch.zeros(2, 3, 16, 16), Stage(16))
    assert [tuple(x.shape) for x in maps] == [(2, 64, 16, 16), (2, 128, 8, 8)]
    for value, share in ((0.0, 0.5), (1.0, 1.0), (-1.0, 0.0)):  # images in [-1, 1], the VGG's in [0, 1]
        maps = frozen_networks.perception(torch.full((2, 3, 16, 16), value), Stage(16))
        expected = module.Vgg.random("vgg16", eyes.taps)(torch.full((2, 3, 16, 16), share))
        torch.testing.assert_close(maps[1], expected["relu2_1"])


def test_sure_guesses_become_labels(prepared: Make, pictures: Pictures) -> None:
    found = prepared(labels=LabelConfig(share=0.5, pseudo=0.5))
    styles = found.pictures.styles
    assert found.frozen_networks.classifier is not None
    assert 0.3 < found.figures["pseudo_accepted"] <= 1
    assert (styles[styles >= 0] == pictures.styles[styles >= 0]).double().mean() > 0.8
    without = int((styles < 0).sum())
    assert without == pytest.approx((1 - found.figures["pseudo_accepted"]) * len(pictures) / 2, abs=0.5)


def test_a_run_trains_with_the_guesses_and_logs_them(
    config: TrainConfig, pictures: Pictures, tmp_path: Path
) -> None:
    labels = LabelConfig(share=0.5, pseudo=0.5)
    short = replace(config, labels=labels, total_kimg=0.016)
    trainer = Trainer(short, pictures)
    trainer.run()
    first = trainer.folder.history()[0]
    assert set(first) == {"nimg", "classifier_accuracy", "pseudo_accepted"}
    assert trainer.updater.loader.pictures.styles.equal(trainer.prepared.pictures.styles)
    again = Trainer(replace(short, total_kimg=0.032, resume=True), pictures)
    again.run()
    assert again.prepared.pictures.styles.equal(trainer.prepared.pictures.styles)
    assert [line for line in again.folder.history() if "pseudo_accepted" in line] == [first], "said once"


def test_the_style_encoder_starts_from_the_classifier(
    config: TrainConfig, pictures: Pictures, tmp_path: Path
) -> None:
    trainer = Trainer(replace(config, restyle=JUDGED, total_kimg=0.016), pictures)
    classifier = trainer.prepared.frozen_networks.classifier
    assert classifier is not None
    trunk = {
        name: v for name, v in classifier.state_dict().items() if name.startswith(("from_rgb", "blocks"))
    }
    assert trunk
    for generator in (trainer.state.nets.generator, trainer.state.average):
        ours = generator.encoders.style.state_dict()
        assert all(value.equal(ours[name]) for name, value in trunk.items())
    trainer.run()
    seen = trainer.state.nets.generator.encoders.style.state_dict()
    assert any(not value.equal(seen[name]) for name, value in trunk.items()), "it goes on from there"
    again = Trainer(replace(config, restyle=JUDGED, total_kimg=0.032, resume=True), pictures)
    resumed = again.state.nets.generator.encoders.style.state_dict()
    assert all(value.equal(resumed[name]) for name, value in seen.items()), "not back to the start"
