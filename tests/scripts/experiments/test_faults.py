"""Faults, and the metrics that detect them, on synthetic images."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from brushwork.eval.results import Score
from brushwork.eval.sources import Stored
from brushwork.scripts.bench.toy import toy_dataset
from brushwork.scripts.experiments import sensitivity
from brushwork.scripts.experiments.sensitivity import FAULTS, UNHARMED, blurred

from ...conftest import Shell
from ...eval.conftest import World


def test_quick_sensitivity_writes_its_tables(shell: Shell, packed: Path, tmp_path: Path) -> None:
    shell("reproduce", "sensitivity", packed, "--quick", "--results", tmp_path / "results")
    found = json.loads((tmp_path / "results" / "sensitivity.json").read_text())["tables"]
    assert [row[0] for row in found["styles"]["rows"]] == [UNHARMED, "labels exchanged"]
    assert found["styles"]["header"] == ["fault", "style accuracy"]
    assert found["styles"]["rows"][1][1].startswith("**")
    assert not found["distributions"]["rows"][1][1].startswith("**")
    data = found["distributions"]["data"]
    assert data[UNHARMED]["fd"] == pytest.approx(data["labels exchanged"]["fd"], rel=1e-6)


def test_every_fault_keeps_number_size_and_order_of_styles(world: World) -> None:
    for name, fault in FAULTS.items():
        harmed = fault(world.test, world.train, 3)
        assert harmed.images.shape == world.test.images.shape, name
        assert harmed.images.dtype == torch.uint8, name
        assert torch.bincount(harmed.styles).tolist() == [40, 40, 40], name
        assert harmed.images.equal(world.test.images) == (name in (UNHARMED, "labels exchanged")), name


def test_copies_are_of_training_and_collapse_is_of_few(world: World) -> None:
    chosen = sensitivity.copied(world.test, world.train, 3)
    rows = {tuple(image.flatten().tolist()) for image in world.train.images}
    assert all(tuple(image.flatten().tolist()) in rows for image in chosen.images)
    few = sensitivity.collapsed(world.test, world.train, 3).images.float()
    nearest = torch.cdist(few.flatten(1), few.flatten(1)).topk(2, largest=False).values[:, 1]
    real = world.test.images.float().flatten(1)
    assert nearest.max() < torch.cdist(real, real).median() / 4


def test_noise_and_blur_are_as_strong_as_they_say() -> None:
    grey = torch.full((8, 3, 16, 16), 128, dtype=torch.uint8)
    assert sensitivity.noisy(grey, 8.0).float().std() == pytest.approx(8, rel=0.05)
    assert blurred(grey, 1.0).equal(grey)
    dot = torch.zeros(1, 3, 33, 33, dtype=torch.uint8)
    dot[..., 16, 16] = 255
    row = blurred(dot, 1.0)[0, 0, 16].float()  # a Gaussian: exp(-1 / 2) at a distance of sigma
    assert row[17] / row[16] == pytest.approx(0.607, abs=0.03)
    one = Stored(images=grey, styles=torch.zeros(8).long())
    assert FAULTS["hue turned by a tenth"](one, one, 1).images.equal(grey), "grey has no hue"


def test_metrics_detect_the_faults_of_a_fake_world(world: World) -> None:
    faults = (UNHARMED, "labels exchanged", "copies of training images", "ten drawings a style")
    metrics = ("fd", "accuracy", "prdc", "copies")
    images = (world.test, world.train, world.reference)
    found = sensitivity.measure_faults(*images, faults=faults, metrics=metrics)
    text = sensitivity.table("T", found, ("fd", "accuracy", "recall", "copies"))
    assert text.header[:3] == ("fault", "Frechet distance", "style accuracy")
    shown = {fault: [cell.startswith("**") for cell in cells] for fault, *cells in text.rows}
    assert shown[UNHARMED] == [False] * 4
    assert shown["labels exchanged"][:2] == [False, True]
    assert shown["copies of training images"][1::2] == [False, True]
    assert shown["ten drawings a style"][2]


@pytest.mark.parametrize(
    ("figure", "harmed", "healthy", "seen"),
    [
        ("fd", Score(value=160.0), Score(value=100.0), True),
        ("fd", Score(value=140.0), Score(value=100.0), False),
        ("accuracy", Score(value=0.5, spread=0.02), Score(value=0.7, spread=0.02), True),
        ("accuracy", Score(value=0.65, spread=0.02), Score(value=0.7, spread=0.02), False),
        ("accuracy", Score(value=0.5, spread=0.1), Score(value=0.7, spread=0.1), False),
    ],
)
def test_detection_thresholds(figure: str, harmed: Score, healthy: Score, seen: bool) -> None:
    assert sensitivity.detected(figure, harmed, healthy) is seen


def test_unlabelled_images_are_left_out() -> None:
    toy = toy_dataset(styles=3, subjects=10, size=16)
    found = sensitivity.labelled(replace(toy, styles=torch.where(torch.arange(30) % 2 == 0, -1, toy.styles)))
    assert found.styles.equal(toy.styles[1::2])
    assert found.images.equal(toy.images[1::2])
