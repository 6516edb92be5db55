"""The frozen networks of a run, and its pictures with the labels that are used."""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from brushwork.data.files import write_file
from brushwork.data.loader import Pictures, StoredPictures
from brushwork.models.classifier import StyleClassifier
from brushwork.models.generator import Generator
from brushwork.models.pretrained.hed import hed_vgg16
from brushwork.models.pretrained.vgg import Vgg
from brushwork.models.stage import Stage

from ..config import TrainConfig
from ..context import FeatureMaps, FrozenNetworks
from ..distributed import broadcast_from_main
from ..restyle.config import PerceptionConfig
from .classifier import as_bytes, from_bytes, probabilities, train_classifier
from .labels import labelled, pseudo_labels


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a run starts with."""

    frozen_networks: FrozenNetworks
    pictures: Pictures | StoredPictures
    """With the labels that are used, including pseudo-labels."""
    figures: dict[str, float] = field(default_factory=dict)
    """The classifier's accuracy and the number of pseudo-labels, for the log."""
    seconds: float = 0.0
    """How long the preparation took."""


def prepare(
    config: TrainConfig, pictures: Pictures | StoredPictures, generator: Generator, file: Path,
    accelerator: Accelerator,
) -> Prepared:  # fmt: skip
    """Trains the style classifier if the configuration needs one, or reads it from `file`; adds
    pseudo-labels."""
    used, started = labelled(pictures, config.labels, config.seed), time.perf_counter()
    if not (config.restyle.needs_classifier or config.labels.pseudo):
        return Prepared(frozen_networks=_frozen_networks(config, None, accelerator.device), pictures=used)

    def train() -> bytes:
        if file.exists():
            return file.read_bytes()
        network = train_classifier(
            used, config.classifier, generator, start=config.growing.start_resolution, seed=config.seed,
            device=accelerator.device,
        )  # fmt: skip
        write_file(file, as_bytes(network), durable=True)
        return as_bytes(network)

    classifier = from_bytes(broadcast_from_main(accelerator, train), generator, accelerator.device)
    figures = {"classifier_accuracy": float(classifier.accuracy)}
    if config.labels.pseudo:
        certain = probabilities(classifier, used, accelerator.device)
        pseudo = pseudo_labels(used.styles.cpu(), certain, config.labels.pseudo, hidden=pictures.styles.cpu())
        used = replace(used, styles=pseudo.styles)
        figures["pseudo_accepted"] = pseudo.accepted
        if pseudo.right is not None:
            figures["pseudo_right"] = pseudo.right
    return Prepared(
        frozen_networks=_frozen_networks(config, classifier, accelerator.device),
        pictures=used,
        figures=figures,
        seconds=time.perf_counter() - started,
    )


def _frozen_networks(
    config: TrainConfig, classifier: StyleClassifier | None, device: torch.device
) -> FrozenNetworks:
    perception = None
    if config.restyle.needs_perception:
        perception = _perception(config.restyle.perception, classifier, device)
    return FrozenNetworks(classifier=classifier, perception=perception)


def _perception(
    config: PerceptionConfig, classifier: StyleClassifier | None, device: torch.device
) -> FeatureMaps:
    if config.network == "classifier":
        assert classifier is not None
        return classifier.maps
    if config.network == "hed-vgg16":
        network = hed_vgg16(config.taps, config.weights).to(device)
    else:
        network = Vgg.from_weights(config.network, config.taps, config.weights).to(device)

    def maps(images: Tensor, stage: Stage) -> list[Tensor]:
        return list(network(images / 2 + 0.5).values())

    return maps
