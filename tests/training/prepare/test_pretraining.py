"""Pretraining looks at no label, and a run that starts from it has its weights."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from brushwork.data.dataset import ImageDataset
from brushwork.data.files import write_file
from brushwork.models.generator import Generator
from brushwork.models.snapshot import generator_bytes, load_generator
from brushwork.models.stage import Stage
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.prepare.pretraining import init_from, pretraining
from brushwork.training.presets import PRESETS
from brushwork.training.step import Networks
from brushwork.training.trainer import Trainer

Make = Callable[..., TrainConfig]


def saved(generator: Generator, path: Path) -> Path:
    write_file(path, generator_bytes(generator, stage=Stage(16), notes={}))
    return path


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


def test_a_run_starts_from_these_weights(make_config: Make, pictures: ImageDataset, tmp_path: Path) -> None:
    Trainer(replace(pretraining(make_config()), out=tmp_path / "before"), pictures).run()
    theirs = load_generator(tmp_path / "before").state_dict()
    config = replace(make_config(), start_from=tmp_path / "before", out=tmp_path / "after")
    trainer = Trainer(config, pictures)
    for network in (trainer.state.nets.generator, trainer.state.average):
        ours = network.state_dict()
        shared = [name for name in ours if name in theirs]
        assert len(shared) > 10
        assert all(ours[name].equal(theirs[name]) for name in shared)


def test_styles_are_taken_over_by_their_names(make_config: Make, tmp_path: Path) -> None:
    shape = replace(make_config().generator, encoders=True)
    theirs, ours = Generator(shape, ("ink", "oil")), Generator(shape, ("chalk", "ink", "wax"))
    plain = Generator(make_config().generator, ("ink",))
    init_from(ours, saved(plain, tmp_path / "plain.safetensors"))  # without encoders
    assert ours.synthesis.start.equal(plain.synthesis.start)
    before = ours.mapping.table.clone()
    init_from(ours, saved(theirs, tmp_path / "a.safetensors"))
    assert ours.mapping.table[1].equal(theirs.mapping.table[0]), "ink"
    assert ours.mapping.table[3].equal(theirs.mapping.table[2]), "no label"
    assert ours.mapping.table[[0, 2]].equal(before[[0, 2]]), "chalk and wax are new"
    assert ours.encoders.style.table[1].equal(theirs.encoders.style.table[0])
    assert ours.synthesis.start.equal(theirs.synthesis.start)


def test_other_networks_are_refused_by_name(make_config: Make, tmp_path: Path) -> None:
    plain = make_config().generator
    narrow, other = replace(plain, channel_max=4), replace(plain, adain_eps=1.0)
    for config, words in (
        (narrow, r"has synthesis\.start of shape \(1, 4, 4, 4\), this run of \(1, 8"),
        (other, r"was trained with adain_eps 1, .* 1e-05: set --generator\.adain-eps 1\."),
    ):
        path = saved(Generator(config, ("ink",)), tmp_path / "a.safetensors")
        with pytest.raises(TrainingError, match=words):
            init_from(Generator(plain, ("ink",)), path)
