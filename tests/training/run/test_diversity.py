"""The alarm: spreads by their definition, a generator that ignores its code, and a run that collapses."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from brushwork.data.dataset import ImageDataset
from brushwork.models.stage import Stage
from brushwork.scripts.bench.toy import toy_dataset
from brushwork.training.config import TrainConfig
from brushwork.training.run import artifacts, diversity
from brushwork.training.run.checkpoint import checkpoints
from brushwork.training.run.diversity import FEWEST, MOST, PATIENCE, DiversityProbe, StyleDiversity, spread
from brushwork.training.step import Networks
from brushwork.training.trainer import Trainer

from ..conftest import QUIET

STAGE = Stage(16)


def test_spread_is_the_root_mean_squared_distance_over_all_pairs() -> None:
    images = torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8)
    distances = torch.pdist(images.flatten(1).double()).square() / (3 * 16**2)
    assert spread(images) == pytest.approx(float(distances.mean().sqrt()), rel=1e-5)
    assert spread(images[:1].expand(4, -1, -1, -1)) == 0


def test_detail_below_the_compared_size_does_not_count() -> None:
    checkers = torch.arange(32)[:, None] + torch.arange(32)
    board = (checkers % 2 * 255).to(torch.uint8).expand(3, -1, -1)
    assert spread(torch.stack([board, 255 - board])) == 0


def test_real_pictures_pass_and_one_picture_does_not(
    nets: Networks, pictures: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = DiversityProbe(pictures)
    bare = replace(pictures, styles=torch.full_like(pictures.styles, -1), style_names=())
    assert DiversityProbe(bare)._real(16)[0] > 0, "images without labels are one style"
    assert probe._real(8) != probe._real(16)

    def drawn(generator: object, styles: Tensor, seeds: Tensor, *, stage: Stage) -> Tensor:
        of_style = [(pictures.styles == style).nonzero().squeeze(1) for style in range(3)]
        labels = styles.argmax(dim=1).tolist()
        picked = [
            of_style[label][seed % 8 if label else 0] for label, seed in zip(labels, seeds, strict=True)
        ]
        return pictures.take(torch.stack(picked))

    monkeypatch.setattr(diversity, "sample", drawn)
    found, names = probe(nets.generator, STAGE), pictures.style_names
    assert list(found.shares.values()) == pytest.approx([0, 1, 1], abs=0.1)
    assert found.warning == f"1 of 3 styles draws one image: {names[0]}"
    shares = {f"pixel_diversity/{name}": found.shares[name] for name in names}
    mean = sum(shares.values()) / 3
    assert found.values() == pytest.approx({"pixel_diversity": mean, **shares, "collapsed_styles": 1})


def test_a_generator_that_ignores_its_code_draws_one_picture(nets: Networks, pictures: ImageDataset) -> None:
    generator = nets.generator
    for name, parameter in generator.named_parameters():
        if "affine.weight" in name or "noise" in name:
            torch.nn.init.zeros_(parameter)
    found = DiversityProbe(replace(pictures, style_names=generator.style_names))(generator, STAGE)
    assert found.collapsed == generator.style_names


def test_styles_of_which_nothing_can_be_said_are_left_out(nets: Networks) -> None:
    toy = toy_dataset(styles=3, subjects=4, size=16)
    rows = torch.tensor([0, 1, 2, 3, 4, 8, 9])  # of the second style one image
    images = toy.images[rows]
    images[5:] = images[5]  # of the third one twice
    few = replace(toy.subset(rows), images=images)
    found = DiversityProbe(few)(nets.generator, STAGE)
    assert tuple(found.shares) == toy.style_names[:1]


def test_of_very_many_styles_some_are_looked_at(pictures: ImageDataset) -> None:
    count = 200
    many = replace(
        pictures, images=pictures.images[:2].repeat(count, 1, 1, 1), subjects=("a", "b") * count,
        styles=torch.arange(count).repeat_interleave(2), style_names=tuple(map(str, range(count))),
    )  # fmt: skip
    seen = list(DiversityProbe(many)._real(16))
    assert len(seen) == MOST // FEWEST
    assert max(b - a for a, b in itertools.pairwise([*seen, count])) <= 5


def test_a_run_that_collapses_says_so_and_stops_if_asked_to(
    make_config: Callable[..., TrainConfig], pictures: ImageDataset, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    titles: list[str] = []

    def grid(generator: object, *, title: str = "") -> np.ndarray:
        titles.append(title)
        return np.zeros((8, 8, 3), np.uint8)

    found = StyleDiversity(shares={"chalk": 0.1, "ink": 0.9})
    monkeypatch.setattr(DiversityProbe, "__call__", lambda *_: found)
    monkeypatch.setattr(artifacts, "sample_grid", grid)
    config = make_config(interval=replace(QUIET, status_kimg=0.008), total_kimg=0.08, stop_on_collapse=True)
    trainer = Trainer(config, pictures)
    outcome = trainer.run()
    assert (outcome.reason, outcome.warning) == ("collapse", found.warning)
    assert outcome.nimg == (PATIENCE + 1) * 8, "the step after the last status line that was waited for"
    lines = trainer.folder.history()
    assert all(line.items() >= found.values().items() for line in lines)
    assert len(lines) == capsys.readouterr().out.count(found.warning) == PATIENCE + 1
    assert set(titles) == {found.warning}
    assert checkpoints(trainer.folder.checkpoints), "nothing is lost"
