"""Preparation before the first step: a classifier where one is needed, and pseudo-labels."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator

from brushwork.data.dataset import ImageDataset
from brushwork.models.generator import Generator
from brushwork.models.pretrained.frozen import from_notes
from brushwork.models.snapshot import find_snapshot, snapshot_header
from brushwork.scripts.bench.toy import toy_dataset
from brushwork.training.config import TrainConfig
from brushwork.training.prepare import networks as module
from brushwork.training.prepare.classifier import ClassifierConfig
from brushwork.training.prepare.labels import LabelConfig
from brushwork.training.prepare.networks import Prepared, prepare
from brushwork.training.restyle.config import RestyleConfig, Term
from brushwork.training.trainer import Trainer

Make = Callable[..., Prepared]
JUDGED = RestyleConfig(restyling=1.0, classifier=Term(weight=1.0))


@pytest.fixture(scope="module")
def pictures() -> ImageDataset:
    return toy_dataset(styles=3, subjects=24, size=16)


@pytest.fixture
def config(make_config: Callable[..., TrainConfig]) -> TrainConfig:
    plain = make_config()
    shape = replace(plain.generator, encoders=True, content_blocks=1)
    return replace(plain, generator=shape, classifier=ClassifierConfig(kimg=4.8))


@pytest.fixture
def prepared(config: TrainConfig, pictures: ImageDataset, tmp_path: Path) -> Make:
    def make(**changes: Any) -> Prepared:
        generator = Generator(config.generator, pictures.style_names)
        file = tmp_path / "classifier.safetensors"
        return prepare(replace(config, **changes), pictures, generator, file, Accelerator(cpu=True))

    return make


def test_the_classifier_is_trained_once_and_only_where_it_is_needed(
    prepared: Make, pictures: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = prepared(restyle=RestyleConfig(restyling=1.0))
    assert (plain.classifier, plain.figures) == (None, {})
    assert plain.dataset is pictures
    assert not list(tmp_path.iterdir())
    first = prepared(restyle=JUDGED)
    assert set(first.figures) == {"classifier_accuracy"}
    monkeypatch.setattr(module, "train_classifier", None)
    again = prepared(restyle=replace(JUDGED, classifier=Term(), perceptual=Term(weight=1.0)))
    assert again.figures == first.figures
    assert first.classifier is not None
    assert again.classifier is not None
    weights = again.classifier.state_dict()
    assert all(value.equal(weights[name]) for name, value in first.classifier.state_dict().items())


def test_a_run_trains_with_the_guesses(config: TrainConfig, pictures: ImageDataset, tmp_path: Path) -> None:
    labels = LabelConfig(share=0.5, pseudo=0.5)
    short = replace(config, labels=labels, total_kimg=0.016)
    trainer = Trainer(short, pictures)
    trainer.run()
    first, styles = trainer.folder.history()[0], trainer.prepared.dataset.styles
    assert set(first) == {"nimg", "classifier_accuracy", "pseudo_accepted"}
    assert 0.3 < first["pseudo_accepted"] <= 1
    assert (styles[styles >= 0] == pictures.styles[styles >= 0]).double().mean() > 0.8
    missing = (1 - first["pseudo_accepted"]) * len(pictures) / 2
    assert int((styles < 0).sum()) == pytest.approx(missing, abs=0.5)
    assert trainer.updater.loader.pictures.styles.equal(trainer.prepared.dataset.styles)
    again = Trainer(replace(short, total_kimg=0.032, resume=True), pictures)
    again.run()
    assert again.prepared.dataset.styles.equal(trainer.prepared.dataset.styles)
    assert [line for line in again.folder.history() if "pseudo_accepted" in line] == [first], "said once"


def test_encoders_start_from_classifiers(config: TrainConfig, pictures: ImageDataset, tmp_path: Path) -> None:
    trainer = Trainer(replace(config, restyle=JUDGED, total_kimg=0.016), pictures)
    classifier = trainer.prepared.classifier
    assert classifier is not None
    ours = classifier.state_dict()
    trunk = {name: ours[name] for name in ours if name.startswith(("from_rgb", "blocks"))}
    assert trunk
    for generator in (trainer.state.nets.generator, trainer.state.average):
        ours = generator.encoders.style.state_dict()
        assert all(value.equal(ours[name]) for name, value in trunk.items())
    trainer.run()
    (network,) = from_notes(snapshot_header(find_snapshot(trainer.folder.path))["notes"]["looked_through"])
    assert (network.name, network.role) == ("style-classifier", "loss")
    assert network.trained_on == (pictures.fingerprint,)
    seen = trainer.state.nets.generator.encoders.style.state_dict()
    assert any(not value.equal(seen[name]) for name, value in trunk.items()), "it goes on from there"
    again = Trainer(replace(config, restyle=JUDGED, total_kimg=0.032, resume=True), pictures)
    resumed = again.state.nets.generator.encoders.style.state_dict()
    assert all(value.equal(resumed[name]) for name, value in seen.items()), "not back to the start"
