"""The classifier learns styles, and tells its accuracy by subjects that it never saw."""

from dataclasses import replace

import pytest
import torch

from brushwork.data.dataset import ImageDataset
from brushwork.models.encoders import StyleClassifier
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.scripts.bench.toy import toy_dataset
from brushwork.training.errors import TrainingError
from brushwork.training.prepare import classifier as module
from brushwork.training.prepare.classifier import ClassifierConfig, as_bytes, train_classifier

CPU = torch.device("cpu")
SHAPE = GeneratorConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=1, channel_base=128, channel_max=16)
LONG, SHORT = ClassifierConfig(kimg=6.4), ClassifierConfig(kimg=0.064)


@pytest.fixture(scope="module")
def pictures() -> ImageDataset:
    return toy_dataset(styles=3, subjects=24, size=16)


def trained(pictures: ImageDataset, config: ClassifierConfig = LONG, seed: int = 0) -> StyleClassifier:
    generator = Generator(SHAPE, pictures.style_names)
    return train_classifier(pictures, config, generator, start=8, seed=seed, device=CPU)


@pytest.fixture(scope="module")
def classifier(pictures: ImageDataset) -> StyleClassifier:
    return trained(pictures)


def test_it_learns_what_labels_say(classifier: StyleClassifier, pictures: ImageDataset) -> None:
    assert float(classifier.accuracy) > 0.8  # of six images
    assert not any(p.requires_grad for p in classifier.parameters())
    sure = module.probabilities(classifier, pictures, CPU)
    torch.testing.assert_close(sure.sum(dim=1), torch.ones(len(pictures)))
    assert (sure.argmax(dim=1) == pictures.styles).float().mean() > 0.9


def test_random_labels_do_not_generalise(pictures: ImageDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """The accuracy is that of subjects it did not learn: by heart, it would be high here, too."""
    rng = torch.Generator().manual_seed(0)
    shuffled = pictures.styles[torch.randperm(len(pictures), generator=rng)]
    monkeypatch.setattr(module, "HELD_OUT", 0.5)
    found = trained(replace(pictures, styles=shuffled))
    assert float(found.accuracy) < 0.6


def test_it_follows_from_the_seed(pictures: ImageDataset) -> None:
    one, same, other = (trained(pictures, SHORT, seed) for seed in (0, 0, 1))
    assert as_bytes(one) == as_bytes(same)
    assert as_bytes(one) != as_bytes(other)


def test_unlabelled_pictures_are_not_learnt_from(pictures: ImageDataset) -> None:
    labelled = torch.arange(len(pictures)) % 2 == 0
    part = replace(pictures, styles=torch.where(labelled, pictures.styles, -1))
    alone = pictures.subset(labelled.nonzero().squeeze(1))
    assert as_bytes(trained(part, SHORT)) == as_bytes(trained(alone, SHORT))


def test_its_trunk_starts_as_the_encoders(pictures: ImageDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEARNING_RATE", 1e-12)
    generator = Generator(replace(SHAPE, encoders=True), pictures.style_names)
    network = train_classifier(pictures, SHORT, generator, start=8, seed=0, device=CPU)
    assert generator.style_encoder is not None
    theirs = generator.style_encoder.state_dict()
    shared = [name for name in network.state_dict() if name in theirs]
    assert {name.split(".")[0] for name in shared} == {"from_rgb", "blocks"}
    for name in shared:
        torch.testing.assert_close(network.state_dict()[name], theirs[name])


def test_another_runs_classifier_is_refused(classifier: StyleClassifier) -> None:
    for content, names in ((as_bytes(classifier), ("a", "b")), (b"no safetensors", ("a", "b", "c"))):
        with pytest.raises(TrainingError, match="remove it to train it again"):
            module.from_bytes(content, Generator(SHAPE, names), CPU)


def test_a_single_style_cannot_be_told_from_others(pictures: ImageDataset) -> None:
    one = replace(pictures, styles=torch.where(pictures.styles == 0, 0, -1))
    with pytest.raises(TrainingError, match="needs labelled images of two styles"):
        trained(one)
