"""A run takes the networks of another run, the discriminator, too, and grows on from there."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from brushwork.data.dataset import ImageDataset
from brushwork.data.files import write_file
from brushwork.models.discriminator import Discriminator
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.snapshot import TrainingNetworks, generator_bytes
from brushwork.models.stage import Stage
from brushwork.training.config import OptimizerConfig, TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.prepare.pretraining import pretraining
from brushwork.training.prepare.transfer import Source
from brushwork.training.schedules import GrowingConfig
from brushwork.training.state import TrainingState
from brushwork.training.trainer import Trainer

MakeConfig = Callable[..., TrainConfig]
NOT_GROWING = GrowingConfig(start_resolution=16)


def saved(path: Path, config: TrainConfig, styles: tuple[str, ...], *, both: bool = True) -> Path:
    """A snapshot of random networks whose styles were all trained."""
    average, generator = Generator(config.generator, styles), Generator(config.generator, styles)
    for network in (average, generator):
        network.mapping.average.normal_()
    discriminator = Discriminator(
        config.discriminator, resolution=16, styles=len(styles), base=config.generator.base,
        inputs=config.generator.channels,
    )  # fmt: skip
    training = TrainingNetworks(generator=generator, discriminator=discriminator) if both else None
    write_file(path, generator_bytes(average, stage=Stage(16), notes={}, training=training))
    return path


def started(config: TrainConfig, styles: tuple[str, ...], path: Path) -> tuple[TrainingState, Source]:
    source = Source.load(path)
    return TrainingState.fresh(config, styles, torch.device("cpu"), source=source), source


def equal_where_shared(ours: nn.Module, theirs: nn.Module) -> bool:
    there = theirs.state_dict()
    shared = [name for name in ours.state_dict() if name in there]
    assert len(shared) > 10
    return all(ours.state_dict()[name].equal(there[name]) for name in shared)


def test_a_run_goes_on_with_all_three_networks_at_their_resolution(
    make_config: MakeConfig, pictures: ImageDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Trainer(make_config(growing=NOT_GROWING), pictures)
    first.run()
    config = make_config(out=tmp_path / "after", start_from=first.config.out)
    second = Trainer(config, pictures)
    assert "generator, average and discriminator; the rows of 00-filled, 01" in capsys.readouterr().out
    for ours, theirs in (
        (second.state.nets.generator, first.state.nets.generator),
        (second.state.nets.discriminator, first.state.nets.discriminator),
        (second.state.average, first.state.average),
    ):
        assert equal_where_shared(ours, theirs)
    assert not equal_where_shared(second.state.average, second.state.nets.generator)
    assert second.stage == Stage(16), "not at 8 px, where the schedule begins"
    assert second.plan.images == 32
    assert second.run().nimg == 32, "the whole length"


def test_pretraining_hands_on_a_generator_alone_and_growing_begins_as_usual(
    make_config: MakeConfig, pictures: ImageDataset, tmp_path: Path
) -> None:
    Trainer(replace(pretraining(make_config()), out=tmp_path / "before"), pictures).run()
    second = Trainer(make_config(out=tmp_path / "after", start_from=tmp_path / "before"), pictures)
    source = Source.load(tmp_path / "before")
    assert source.training is None
    for network in (second.state.nets.generator, second.state.average):
        assert equal_where_shared(network, source.average)
    assert second.stage.resolution == 8


def test_rows_follow_the_names_of_styles_and_new_ones_begin_at_the_mean(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(generator=replace(make_config().generator, encoders=True))
    path = saved(tmp_path / "latest.safetensors", config, ("ink", "oil"))
    state, source = started(config, ("chalk", "ink"), path)
    assert source.training is not None
    for ours, theirs in (
        (state.average.mapping, source.average.mapping),
        (state.average.encoders.style, source.average.encoders.style),
        (state.nets.generator.mapping, source.training.generator.mapping),
        (state.nets.discriminator, source.training.discriminator),
    ):
        assert ours.table[0].equal(theirs.table[:2].mean(dim=0)), "chalk is new"
        assert ours.table[1].equal(theirs.table[0]), "ink"
        assert ours.table[2:].equal(theirs.table[2:]), "the null style, if there is one"
    assert "the rows of ink; chalk from the mean of its 2 styles" in source.describe(state.nets)


def test_a_lower_resolution_serves_a_higher_one(make_config: MakeConfig, tmp_path: Path) -> None:
    path = saved(tmp_path / "latest.safetensors", make_config(), ("ink",))
    higher = make_config(generator=replace(make_config().generator, resolution=32, channel_base=128))
    state, source = started(higher, ("ink",), path)
    assert source.training is not None
    assert equal_where_shared(state.nets.generator, source.training.generator)
    assert equal_where_shared(state.nets.discriminator, source.training.discriminator)
    assert "layers above 16 px are new" in source.describe(state.nets)
    with pytest.raises(TrainingError, match=r"freeze blocks above 16 px, which .*latest.* has not trained"):
        started(replace(higher, start_from=path, optimizer=OptimizerConfig(frozen_blocks=1)), ("ink",), path)


def test_frozen_blocks_keep_their_weights_and_all_others_learn(
    make_config: MakeConfig, pictures: ImageDataset, tmp_path: Path
) -> None:
    path = saved(tmp_path / "latest.safetensors", make_config(), tuple(pictures.style_names))
    config = make_config(start_from=path, optimizer=OptimizerConfig(frozen_blocks=1), growing=NOT_GROWING)
    trainer = Trainer(config, pictures)
    before = {name: value.clone() for name, value in trainer.state.nets.discriminator.state_dict().items()}
    trainer.run()
    after = trainer.state.nets.discriminator.state_dict()
    kept = {name for name, value in after.items() if value.equal(before[name])}
    unused = {name for name in before if name.startswith(("from_rgb.4.", "from_rgb.8."))}
    assert kept - unused == {name for name in before if name.startswith(("from_rgb.16.", "blocks.16."))}


@pytest.mark.parametrize(
    ("changes", "frozen", "both", "words"),
    [
        ({"channel_max": 4}, 0, True, r"shape \(1, 4, 4, 4\), this run of \(1, 8.*same generator options"),
        ({"adain_eps": 1.0}, 0, True, r"adain_eps 1, .* 1e-05: set --generator\.adain-eps 1\."),
        (
            {"channels": 4},
            0,
            True,
            "draws images of 4:4 with transparency, this data set has images of 4:4 with",
        ),
        (
            {"base_width": 6},
            0,
            True,
            "draws images of 6:4 without transparency, this data set has images of 4:4",
        ),
        ({}, 3, True, "frozen_blocks is 3, but the discriminator has 2 blocks"),
        ({}, 1, False, "holds a generator alone"),
    ],
)
def test_what_does_not_fit_is_named(
    make_config: MakeConfig, tmp_path: Path, changes: dict[str, Any], frozen: int, both: bool, words: str
) -> None:
    shape: GeneratorConfig = replace(make_config().generator, **changes)
    path = saved(tmp_path / "latest.safetensors", make_config(generator=shape), ("ink",), both=both)
    config = make_config(start_from=path, optimizer=OptimizerConfig(frozen_blocks=frozen))
    with pytest.raises(TrainingError, match=words):
        started(config, ("ink",), path)
