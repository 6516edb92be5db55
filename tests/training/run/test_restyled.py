"""Restyled pictures in the loop: evenly spread, beside baselines that an idle generator scores exactly."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from brushwork.data.dataset import Pictures
from brushwork.data.sources.toy import toy_pictures
from brushwork.eval.processes import Processes
from brushwork.eval.reference import Reference, build_reference
from brushwork.eval.sources import Stored
from brushwork.models.generator import Generator
from brushwork.models.restyling import content_style_codes, restyle
from brushwork.models.stage import Stage
from brushwork.training.errors import TrainingError
from brushwork.training.run import restyled as module
from brushwork.training.run.restyled import HeldOut, RestyledMetrics, spread_evenly

from ..conftest import GENERATOR

TRAIN, TEST = (toy_pictures(styles=3, subjects=8, size=16, seed=seed) for seed in (0, 1))
NOWHERE = Path("nowhere")


class Thumbnails:
    """Features for tests: the picture at 4 x 4."""

    name, protocol, dim, standardised = "thumbnails", "thumbnails of 4 px", 48, True

    def __call__(self, images: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(images.float() / 255, 4).flatten(1)

    def control(self) -> "Thumbnails":
        return self


class Pixels(Thumbnails):
    """Feature maps beside them: the picture as it is."""

    maps_protocol = "pixels as they are"

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        return (images.float() / 255,)


def reference(extractor: Thumbnails) -> Reference:
    real, held_out = (Stored(images=side.images, styles=side.styles) for side in (TRAIN, TEST))
    return build_reference(real, held_out, TRAIN.style_names, "f", [extractor], control=False)


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_pictures", lambda _, split: {"train": TRAIN, "test": TEST}[split])


@pytest.fixture
def generator() -> Generator:
    return Generator(replace(GENERATOR, encoders=True), TRAIN.style_names).requires_grad_(False)


@pytest.fixture
def held_out() -> HeldOut:
    return HeldOut.load(NOWHERE, most=12, truth=True)


def redraws(monkeypatch: pytest.MonkeyPatch, outputs: Tensor) -> None:
    """Has whatever is redrawn come out as `outputs`."""
    monkeypatch.setattr(HeldOut, "restyled", lambda *_: outputs)


def truths(held_out: HeldOut) -> Tensor:
    """Each content as it was really drawn in its goal."""
    row = {(int(style), subject): n for n, (style, subject) in
           enumerate(zip(TEST.styles, TEST.subjects, strict=True))}  # fmt: skip
    wanted = zip(held_out.target_styles.tolist(), held_out.pairs.subjects, strict=True)
    return TEST.images[[row[key] for key in wanted]]


# What is redrawn
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


# Redrawing
@pytest.mark.parametrize("stage", [Stage(8), Stage(16, 0.5), Stage(16)])
def test_pictures_of_any_stage_come_at_the_size_of_the_contents(
    generator: Generator, held_out: HeldOut, stage: Stage
) -> None:
    drawn = held_out.restyled(generator, stage)
    assert generator.trained_stage == Stage(16), "as it was before"
    assert torch.equal(drawn, held_out.restyled(generator, stage)), "the same seeds every time"
    generator.trained_stage = stage
    seeds = torch.zeros(12, dtype=torch.int64)
    codes = content_style_codes(generator, held_out.pairs.contents, torch.eye(3)[held_out.target_styles])
    assert torch.equal(drawn, restyle(generator, held_out.pairs.contents, codes, seeds, mode="resized"))


def test_processes_share_the_redrawing(
    generator: Generator, held_out: HeldOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART", 5)
    alone = held_out.restyled(generator, Stage(16))
    done: dict[int, Tensor] = {}

    class Second(Processes):
        def gather(self, mine: dict) -> dict:
            done.update(mine)
            return done

    for rank, share in ((0, {0, 2}), (1, {0, 1, 2})):
        monkeypatch.setattr(Processes, "joined", lambda rank=rank: Second(rank=rank, count=2))
        if rank == 0:
            with pytest.raises(KeyError):
                held_out.restyled(generator, Stage(16))
        else:
            assert torch.equal(held_out.restyled(generator, Stage(16)), alone)
        assert set(done) == share


# Figures
def test_contents_left_unchanged_score_exactly_the_baseline(
    generator: Generator, held_out: HeldOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    redraws(monkeypatch, held_out.pairs.contents)
    metrics = RestyledMetrics(("fd", "accuracy", "content", "truth"), held_out, reference(Pixels()))
    figures, baselines = metrics(generator, Stage(16)), metrics.baselines
    for name in ("fd", "accuracy", "truth"):
        assert figures[f"restyled_{name}"] == baselines[f"restyled_{name}_unchanged"]
    assert figures["restyled_content_raw"] == figures["restyled_content_normalised"] == 0
    assert figures["restyled_nearer_truth"] == 0
    assert baselines.keys() == {
        "restyled_fd_unchanged", "restyled_accuracy_unchanged", "restyled_truth_unchanged",
        "restyled_truth_mean_picture",
    }  # fmt: skip
    assert not any(name.endswith("style_mean") for name in figures)


def test_the_real_drawings_beat_every_baseline(
    generator: Generator, held_out: HeldOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = truths(held_out)
    metrics = RestyledMetrics(("accuracy", "content", "truth"), held_out, reference(Pixels()))
    redraws(monkeypatch, real)
    figures, baselines = metrics(generator, Stage(16)), metrics.baselines
    assert figures["restyled_truth"] == 0 < baselines["restyled_truth_unchanged"]
    assert figures["restyled_nearer_truth"] == 1
    assert figures["restyled_accuracy"] > baselines["restyled_accuracy_unchanged"]
    assert figures["restyled_content_normalised"] > 0
    halfway = (real.float() + held_out.pairs.contents.float()) / 2
    redraws(monkeypatch, halfway.byte())
    half = metrics(generator, Stage(16))
    assert 0 < half["restyled_truth"] < baselines["restyled_truth_unchanged"]
    assert 0 < half["restyled_content_raw"] < figures["restyled_content_raw"]
    assert held_out.drawings is not None
    means = held_out.drawings.train.images
    for style in range(3):
        assert (means[style] - TRAIN.images[TRAIN.styles == style].double().mean(0)).abs().max() <= 0.5
    redraws(monkeypatch, means[held_out.target_styles])
    assert metrics(generator, Stage(16))["restyled_truth"] == baselines["restyled_truth_mean_picture"]


# Mistakes
def test_what_cannot_be_restyled_or_measured_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrainingError, match=r"restyled_contents is 5; for 3 styles it must be 6"):
        HeldOut.load(NOWHERE, most=5, truth=False)
    held_out = HeldOut.load(NOWHERE, most=6, truth=False)
    assert held_out.drawings is None
    with pytest.raises(TrainingError, match="needs feature maps, and thumbnails has none"):
        RestyledMetrics(("accuracy",), held_out, reference(Thumbnails()))
    single: Pictures = toy_pictures(styles=1, subjects=8, size=16)
    monkeypatch.setattr(module, "load_pictures", lambda *_: single)
    with pytest.raises(TrainingError, match="two styles or more, and nowhere has 1: leave it empty"):
        HeldOut.load(NOWHERE, most=6, truth=False)
