"""The style classifier of a run, and its images with the labels that are used."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from accelerate import Accelerator

from brushwork.data.files import write_file
from brushwork.data.loader import ImageDataset, StoredDataset
from brushwork.models.encoders import StyleClassifier
from brushwork.models.generator import Generator
from brushwork.models.pretrained.frozen import FrozenNetwork

from ..config import TrainConfig
from ..distributed import broadcast_from_main
from .classifier import as_bytes, from_bytes, probabilities, train_classifier
from .labels import with_pseudo_labels, with_share


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The preparation of a run."""

    classifier: StyleClassifier | None
    """Frozen; None if neither a loss term nor pseudo-labels need it."""
    dataset: ImageDataset | StoredDataset
    """The training images with the labels that are used, including pseudo-labels."""
    looked_through: tuple[FrozenNetwork, ...] = ()
    """The classifier, if a loss term uses it."""
    figures: dict[str, float] = field(default_factory=dict)
    """The classifier's accuracy and the share of unlabelled images that got a pseudo-label, for the log."""


def prepare(
    config: TrainConfig, dataset: ImageDataset | StoredDataset, generator: Generator, file: Path,
    accelerator: Accelerator,
) -> Prepared:  # fmt: skip
    """Trains the style classifier if the configuration needs one, or reads it from `file`; adds
    pseudo-labels."""
    device, labels = accelerator.device, config.labels
    if labels.share < 1:
        dataset = replace(dataset, styles=with_share(dataset.styles, labels.share, config.seed))
    if not (config.restyle.needs_classifier or labels.pseudo):
        return Prepared(classifier=None, dataset=dataset)

    def train() -> bytes:
        if file.exists():
            return file.read_bytes()
        network = train_classifier(
            dataset, config.classifier, generator, start=config.growing.start_resolution, seed=config.seed,
            device=device,
        )  # fmt: skip
        write_file(file, as_bytes(network), durable=True)
        return as_bytes(network)

    content = broadcast_from_main(accelerator, train)
    classifier, looked_through = from_bytes(content, generator, device), ()
    if config.restyle.needs_classifier:
        looked_through = (
            FrozenNetwork(
                name="style-classifier", weights=hashlib.sha256(content).hexdigest()[:8],
                trained_on=(dataset.fingerprint,), role="loss",
            ),
        )  # fmt: skip
    figures = {"classifier_accuracy": float(classifier.accuracy)}
    if labels.pseudo:
        before = dataset.styles.cpu()
        after = with_pseudo_labels(before, probabilities(classifier, dataset, device), labels.pseudo)
        dataset = replace(dataset, styles=after)
        figures["pseudo_accepted"] = float((after != before).sum() / (before < 0).sum().clamp(min=1))
    return Prepared(classifier=classifier, dataset=dataset, looked_through=looked_through, figures=figures)
