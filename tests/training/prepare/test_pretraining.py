"""Pretraining looks at no label."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from brushwork.data.dataset import ImageDataset
from brushwork.training.config import TrainConfig
from brushwork.training.prepare.pretraining import pretraining
from brushwork.training.presets import PRESETS
from brushwork.training.step import Networks
from brushwork.training.trainer import Trainer

Make = Callable[..., TrainConfig]


def alike(one: nn.Module, other: nn.Module) -> bool:
    theirs = other.state_dict()
    return all(value.equal(theirs[name]) for name, value in one.state_dict().items())


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_pretrained(name: str) -> None:
    config = pretraining(PRESETS[name][1])
    assert set(config.restyle.shares()) == {"autoencoding", "contrast"}
    assert config.generator.encoders
    assert replace(config.generator, encoders=False) == replace(PRESETS[name][1].generator, encoders=False)


def test_pretraining_looks_at_no_label_and_trains_no_discriminator(
    make_config: Make, pictures: ImageDataset, tmp_path: Path
) -> None:
    def pretrained(labelled: ImageDataset, name: str) -> Networks:
        trainer = Trainer(replace(pretraining(make_config()), out=tmp_path / name), labelled)
        before = copy.deepcopy(trainer.state.nets.discriminator)
        trainer.run()
        assert alike(trainer.state.nets.discriminator, before)
        return trainer.state.nets

    mine = pretrained(pictures, "mine")
    others = pretrained(replace(pictures, styles=pictures.styles.flip(0)), "others")
    assert alike(mine.generator, others.generator)
    assert list((tmp_path / "mine" / "samples").glob("*-restyled.png"))
