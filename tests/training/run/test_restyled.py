"""Restyled images in the loop: evenly spread, beside baselines that an idle generator scores exactly."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from brushwork.eval.processes import Processes
from brushwork.eval.reference import Reference
from brushwork.models.generator import Generator
from brushwork.models.restyling import content_style_codes, restyle
from brushwork.models.stage import Stage
from brushwork.scripts.bench.toy import toy_dataset
from brushwork.training.errors import TrainingError
from brushwork.training.run import restyled as module
from brushwork.training.run.restyled import RestyledMetrics, spread_evenly

from ..conftest import GENERATOR
from .conftest import TEST, TRAIN

NOWHERE = Path("nowhere")


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_dataset", lambda _, split: {"train": TRAIN, "test": TEST}[split])


@pytest.fixture
def generator() -> Generator:
    return Generator(replace(GENERATOR, encoders=True), TRAIN.style_names).requires_grad_(False)


@pytest.fixture
def metrics(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> RestyledMetrics:
    monkeypatch.setattr(module, "CONTENTS", 12)
    return RestyledMetrics(("fd", "accuracy", "content"), NOWHERE, reference)


@pytest.mark.parametrize("most", [6, 12, 13, 24])
def test_contents_and_goals_are_spread_evenly(most: int) -> None:
    rows, targets = spread_evenly(TEST.styles, 3, most)
    own = TEST.styles[rows]
    assert len(set(rows)) == len(rows) == most
    assert (own != torch.tensor(targets)).all()
    for styles in (own, torch.tensor(targets)):
        counts = torch.bincount(styles, minlength=3)
        assert counts.max() - counts.min() <= 1
        assert counts.min() >= 2
    pairs = torch.bincount(3 * own + torch.tensor(targets), minlength=9).view(3, 3)
    assert (pairs > 0).tolist() == [[False, True, True], [True, False, True], [True, True, False]]
    subjects = {TEST.subjects[row] for row in rows}
    assert len(subjects) >= 6, "each style shows others, as long as there are any"


def test_no_more_are_redrawn_than_there_are_and_none_without_a_style() -> None:
    styles = torch.tensor([0, -1, 0, 1, -1, 1, 1])
    rows, targets = spread_evenly(styles, 2, 100)
    assert rows == [0, 2, 3, 5, 6]
    assert targets == [1, 1, 0, 0, 0]


@pytest.mark.parametrize("stage", [Stage(8), Stage(16, 0.5), Stage(16)])
def test_images_of_any_stage_come_at_the_size_of_the_contents(
    generator: Generator, metrics: RestyledMetrics, stage: Stage
) -> None:
    restyled, contents = metrics.restyled(generator, stage), metrics.contents.contents
    assert generator.trained_stage == Stage(16), "as it was before"
    assert torch.equal(restyled, metrics.restyled(generator, stage)), "the same seeds every time"
    generator.trained_stage = stage
    seeds = torch.zeros(12, dtype=torch.int64)
    codes = content_style_codes(generator, contents, torch.eye(3)[metrics.target_styles])
    assert torch.equal(restyled, restyle(generator, contents, codes, seeds, mode="resized"))


def test_processes_share_the_work(
    generator: Generator, metrics: RestyledMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART", 5)
    alone = metrics.restyled(generator, Stage(16))
    shares: list[dict[int, Tensor]] = []

    class Two(Processes):
        def gather(self, mine: dict) -> dict:
            shares.append(mine)
            return {number: images for share in shares for number, images in share.items()}

    monkeypatch.setattr(Processes, "joined", lambda: Two(rank=len(shares), count=2))
    with pytest.raises(KeyError):
        metrics.restyled(generator, Stage(16))
    assert torch.equal(metrics.restyled(generator, Stage(16)), alone)
    assert [set(share) for share in shares] == [{0, 2}, {1}]


def test_unchanged_contents_score_the_baseline_and_real_drawings_beat_it(
    generator: Generator, metrics: RestyledMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    baselines, contents = metrics.baselines, metrics.contents
    row = {(int(style), subject): n for n, (style, subject) in
           enumerate(zip(TEST.styles, TEST.subjects, strict=True))}  # fmt: skip
    wanted = zip(metrics.target_styles.tolist(), contents.subjects, strict=True)
    real = TEST.images[[row[key] for key in wanted]]

    def figures(outputs: Tensor) -> dict[str, float]:
        monkeypatch.setattr(RestyledMetrics, "restyled", lambda *_: outputs)
        return metrics(generator, Stage(16))

    same, drawn = figures(contents.contents), figures(real)
    half = figures(((real.float() + contents.contents.float()) / 2).byte())
    assert baselines.keys() == {"restyled_fd_unchanged", "restyled_accuracy_unchanged"}
    for name in ("fd", "accuracy"):
        assert same[f"restyled_{name}"] == baselines[f"restyled_{name}_unchanged"]
    assert same["restyled_content_raw"] == same["restyled_content_normalised"] == 0
    assert drawn["restyled_accuracy"] > baselines["restyled_accuracy_unchanged"]
    assert 0 < half["restyled_content_raw"] < drawn["restyled_content_raw"]
    assert drawn["restyled_content_normalised"] > 0
    assert not any(name.endswith("style_mean") for name in drawn)


def test_a_single_style_is_named(metrics: RestyledMetrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_dataset", lambda *_: toy_dataset(styles=1, subjects=8, size=16))
    with pytest.raises(TrainingError, match="two styles or more, and nowhere has 1: leave it empty"):
        RestyledMetrics(("accuracy",), NOWHERE, metrics.reference)
