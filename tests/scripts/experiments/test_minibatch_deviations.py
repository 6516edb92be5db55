from dataclasses import replace
from pathlib import Path

import pytest
import torch

from brushwork.data.curate.pack import PackConfig, pack
from brushwork.data.dataset import load_pictures
from brushwork.data.sources.toy import write_toy
from brushwork.models.discriminator import Discriminator, DiscriminatorConfig
from brushwork.models.stage import Stage
from brushwork.scripts.experiments.minibatch_deviations import (
    Arguments,
    auc,
    deviations,
    linear_auc,
    main,
    styles_of_groups,
)
from brushwork.training.errors import TrainingError
from brushwork.training.presets import toy
from brushwork.training.trainer import Trainer


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_toy(tmp_path / "toy", styles=3, subjects=6, size=16)
    pack(tmp_path / "toy", tmp_path / "toy-16", PackConfig(resolution=16, test_fraction=0.3))
    return tmp_path / "toy-16"


def test_auc_is_the_share_of_pairs_in_order() -> None:
    assert auc(torch.tensor([2.0, 3.0]), torch.tensor([1.0, 2.5])) == 0.75
    assert auc(torch.ones(3), torch.ones(4)) == 0.5


def test_a_linear_function_separates_what_the_average_does_not() -> None:
    real, fake = torch.randn(2, 64, 30)
    real[:, 0] += 6
    fake[:, 1] += 6
    assert 0.3 < auc(real.mean(dim=1), fake.mean(dim=1)) < 0.7
    assert linear_auc(real, fake) > 0.99


def test_nothing_separates_equal_distributions() -> None:
    assert 0.3 < linear_auc(*torch.randn(2, 200, 30)) < 0.7


def test_groups_are_of_one_style_or_of_any() -> None:
    rng = torch.Generator().manual_seed(0)
    alike = styles_of_groups(50, 3, rng, alike=True).unflatten(0, (50, 4))
    assert (alike == alike[:, :1]).all()
    assert len(alike.unique()) == 3
    assert not (styles_of_groups(50, 3, rng, alike=False).unflatten(0, (50, 4)) == alike[:, :1]).all()


def test_a_group_of_equal_images_has_no_deviation() -> None:
    torch.manual_seed(0)
    shape = DiscriminatorConfig(channel_base=128, channel_max=8)
    discriminator = Discriminator(shape, resolution=16, styles=2)
    images = torch.randint(256, (8, 3, 16, 16), dtype=torch.uint8)
    images[4:] = images[4]
    first, second = deviations(discriminator, images, Stage(16))
    assert first.shape == (8 * 4 * 4,)
    assert first.mean() > 30 * second.mean()


def test_a_run_gets_two_rows(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = replace(toy(), data=data, out=tmp_path / "run", total_kimg=0.02)
    Trainer(config, load_pictures(data)).run()
    main(Arguments(run=tmp_path / "run", groups=8))
    rows = capsys.readouterr().out.splitlines()[-2:]
    assert [row.split(" | ")[0] for row in rows] == ["| any styles", "| one style"]


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="holds no checkpoint of a run"):
        main(Arguments(run=tmp_path))
