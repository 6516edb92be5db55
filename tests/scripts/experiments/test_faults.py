"""Faults, and the metrics that detect them, on synthetic images."""

from typing import TYPE_CHECKING, Any

import pytest
import torch

from brushwork.eval.results import Score
from brushwork.eval.sources import Stored
from brushwork.scripts.experiments.sensitivity import (
    FAULTS,
    UNHARMED,
    blurred,
    collapsed,
    copied,
    detected,
    hue_shifted,
    labelled,
    measure_faults,
    noisy,
    table,
)

if TYPE_CHECKING:
    from ...eval.conftest import World
else:
    World = Any


# Faults
def test_every_fault_keeps_number_size_and_order_of_styles(world: World) -> None:
    for name, fault in FAULTS.items():
        harmed = fault(world.test, world.train, 3)
        assert harmed.images.shape == world.test.images.shape, name
        assert harmed.images.dtype == torch.uint8, name
        assert torch.bincount(harmed.styles).tolist() == [40, 40, 40], name
        assert harmed.images.equal(world.test.images) == (name in (UNHARMED, "labels exchanged")), name


def test_copies_are_of_training_and_collapse_is_of_few(world: World) -> None:
    chosen = copied(world.test, world.train, 3)
    rows = {tuple(image.flatten().tolist()) for image in world.train.images}
    assert all(tuple(image.flatten().tolist()) in rows for image in chosen.images)
    few = collapsed(world.test, world.train, 3).images.float()
    nearest = torch.cdist(few.flatten(1), few.flatten(1)).topk(2, largest=False).values[:, 1]
    real = world.test.images.float().flatten(1)
    assert nearest.max() < torch.cdist(real, real).median() / 4


def test_noise_and_blur_are_as_strong_as_they_say() -> None:
    grey = Stored(images=torch.full((8, 3, 16, 16), 128, dtype=torch.uint8), styles=torch.zeros(8).long())
    assert noisy(8.0)(grey, grey, 1).images.float().std() == pytest.approx(8, rel=0.05)
    assert blurred(1.0)(grey, grey, 1).images.equal(grey.images)
    assert hue_shifted(0.3)(grey, grey, 1).images.equal(grey.images), "grey has no hue"


# Detecting
def test_metrics_detect_the_faults_of_a_fake_world(world: World) -> None:
    faults = (UNHARMED, "labels exchanged", "copies of training pictures", "ten drawings a style")
    metrics = ("fd", "accuracy", "prdc", "copies")
    found = measure_faults(world.test, world.train, world.reference, faults=faults, metrics=metrics)

    def shows(figure: str, fault: str) -> bool:
        harmed, healthy = (found[name].figures[figure].measured for name in (fault, UNHARMED))
        return detected(figure, harmed, healthy)

    assert shows("accuracy", "labels exchanged")
    assert not shows("fd", "labels exchanged")
    assert shows("copies", "copies of training pictures")
    assert not shows("accuracy", "copies of training pictures")
    assert shows("recall", "ten drawings a style")
    text = table(found, ("fd", "accuracy"))
    assert text.splitlines()[0] == "| fault | Frechet distance | style accuracy |"
    assert "**" in next(line for line in text.splitlines() if line.startswith("| labels exchanged"))


def test_detection_thresholds() -> None:
    assert detected("fd", Score(value=160.0), Score(value=100.0))
    assert not detected("fd", Score(value=140.0), Score(value=100.0))
    assert detected("accuracy", Score(value=0.5, spread=0.02), Score(value=0.7, spread=0.02))
    assert not detected("accuracy", Score(value=0.65, spread=0.02), Score(value=0.7, spread=0.02))
    assert not detected("accuracy", Score(value=0.5, spread=0.1), Score(value=0.7, spread=0.1))


def test_unlabelled_pictures_are_left_out(world: World) -> None:
    styles = world.test.styles.clone()
    styles[::2] = -1
    assert len(labelled(Stored(images=world.test.images, styles=styles)).styles) == 60
