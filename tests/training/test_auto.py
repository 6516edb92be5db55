"""What `train auto` chooses for a collection, a machine and a time."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from brushwork.data.files import write_file
from brushwork.models.discriminator import Discriminator, DiscriminatorConfig
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.snapshot import TrainingNetworks, generator_bytes
from brushwork.models.stage import Stage
from brushwork.training.auto import REQUEST, Choice, Collection, Machine, choose, run_at_hand
from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.plan import Rates
from brushwork.training.prepare.transfer import Source
from brushwork.training.schedules import phases

CPU = Machine(gpu=False, name="cpu, 2 cores", memory=2**34)
GPU = Machine(gpu=True, name="a GPU, 24 GiB", memory=2**34)
PER_SECOND: Mapping[int, float] = {16: 200, 32: 100, 64: 30, 128: 8, 256: 2}


def collection(counts: tuple[int, ...] = (44, 44), side: int = 64, **changes: int) -> Collection:
    names = {f"style{n}": count for n, count in enumerate(counts)}
    return Collection(
        path=Path("datasets/mine"), counts=names, images=sum(counts), shape=(3, side, side),
        near_duplicates=changes.get("near_duplicates", 0),
    )  # fmt: skip


def rates_of(config: TrainConfig) -> Rates:
    """This machine trains 100 images a second at 32 px."""
    assert config.rows_of(1)
    return {phase.resolution: 1 / PER_SECOND[phase.resolution]
            for phase in phases(config.growing, config.generator.resolution)}  # fmt: skip


def chosen(
    found: Collection, minutes: float | None, machine: Machine = CPU, source: Source | None = None
) -> Choice:
    request = replace(
        REQUEST, data=Path("datasets/mine"), out=Path("runs/mine"), max_minutes=minutes, seed=7,
        start_from=source and source.path,
    )  # fmt: skip
    return choose(request, found, machine, source, rates_of)


def save_run(run: Path, *, nimg: int, side: int = 32, both: bool = True, **shape: int) -> Path:
    """A run folder whose newest snapshot has tiny networks."""
    config = GeneratorConfig(resolution=side, z_dim=8, w_dim=8, mapping_layers=2, channel_max=8, **shape)  # type: ignore[arg-type]
    average, generator = Generator(config, ("ink",)), Generator(config, ("ink",))
    discriminator = Discriminator(
        DiscriminatorConfig(channel_max=8),
        resolution=side,
        styles=1,
        base=config.base,
        inputs=config.channels,
    )
    training = TrainingNetworks(generator=generator, discriminator=discriminator) if both else None
    content = generator_bytes(average, stage=Stage(side), notes={"nimg": nimg}, training=training)
    write_file(run / "snapshots" / "latest.safetensors", content)
    return run


@pytest.mark.parametrize(("minutes", "resolution"), [(10, 32), (30, 32), (90, 64), (600, 64)])
def test_the_resolution_is_the_largest_for_which_the_time_is_enough(minutes: float, resolution: int) -> None:
    choice = chosen(collection(), minutes)
    assert choice.config.generator.resolution == resolution
    assert (choice.config.max_minutes, choice.config.seed) == (minutes, 7)
    assert f"in {minutes} min about" in choice.reasons["time"]
    assert ("are needed" in choice.reasons["resolution"]) == (resolution == 32)
    assert not choice.warnings


def test_the_images_of_a_run_are_those_that_its_schedule_trains_in_the_time() -> None:
    # A fifth of the run is at 16 px: 57 of 60 s, at .2 / 200 + .8 / 100 s for each image.
    assert chosen(collection(side=32), 1).reasons["time"] == "in 1 min about 6.33 kimg, each image 72 times"


def test_too_few_minutes_and_images_are_warned_of_with_figures() -> None:
    minutes, few, repeated = chosen(collection((44, 9), near_duplicates=5), 2).warnings
    assert "2 min are enough for 13 kimg at 32 px; at least 30 are needed, about 4.7 min" in minutes
    assert "fewer than 30 training images: 'style1' 9." in few
    assert "5 images nearly repeat another one (datasets/mine/report.md" in repeated
    assert not chosen(collection((44, 30), near_duplicates=3), 10).warnings


def test_no_time_given_is_half_an_hour_on_a_processor_and_eight_hours_on_a_gpu() -> None:
    assert chosen(collection(), None).config.max_minutes == 30
    choice = chosen(collection(side=256), None, GPU)
    assert choice.config.max_minutes == 480
    assert choice.config.generator.resolution == 64
    assert "an estimate" in choice.reasons["expect"]


def test_augmentation_adapts_in_long_runs_on_images_that_can_be_learned_by_heart() -> None:
    assert chosen(collection(side=32), 60).config.augment.ada == ("shift", "geometry", "colour")
    assert not chosen(collection(side=32), 40).config.augment.ada
    assert not chosen(collection((20_000, 20_000), side=32), 60).config.augment.ada


def test_uneven_styles_are_balanced() -> None:
    assert chosen(collection((300, 60)), 10).config.loader.balanced
    assert not chosen(collection((200, 60)), 10).config.loader.balanced
    assert not chosen(collection((200,)), 10).config.loader.balanced


def test_images_beyond_the_memory_stay_on_the_disk() -> None:
    small = replace(CPU, memory=3 * 64 * 64 * 88)
    assert chosen(collection(), 10).config.loader.cache == "auto"
    assert chosen(collection(), 10, small).config.loader.cache == "off"


def test_a_transfer_takes_the_networks_and_freezes_blocks_that_were_trained(tmp_path: Path) -> None:
    source = Source.load(save_run(tmp_path / "run", nimg=1000))
    assert source.training is not None
    config = chosen(collection(), 10, source=source).config
    assert config.generator == source.average.config
    assert config.discriminator == source.training.discriminator.config
    assert config.optimizer.frozen_blocks == 2
    higher = chosen(collection(), 90, source=source).config
    assert higher.generator == replace(source.average.config, resolution=64)
    assert higher.optimizer.frozen_blocks == 0


def test_a_transfer_spends_no_time_on_lower_resolutions(tmp_path: Path) -> None:
    source = Source.load(save_run(tmp_path / "run", nimg=1000))
    assert (
        chosen(collection(side=32), 1, source=source).reasons["time"]
        == "in 1 min about 5.7 kimg, each image 65 times"
    )


def test_a_snapshot_without_a_discriminator_is_warned_of(tmp_path: Path) -> None:
    source = Source.load(save_run(tmp_path / "run", nimg=1000, both=False))
    choice = chosen(collection(), 10, source=source)
    assert choice.config.optimizer.frozen_blocks == 0
    assert "has no discriminator" in choice.warnings[0]


def test_the_batch_is_divided_until_it_fits_and_a_gpu_too_small_is_named() -> None:
    def with_memory_for(rows: int) -> Choice:
        def rates(config: TrainConfig) -> Rates:
            if config.rows_of(1) > rows:
                raise torch.OutOfMemoryError
            return rates_of(config)

        return choose(replace(REQUEST, max_minutes=10.0), collection(), GPU, None, rates)

    config = with_memory_for(20).config
    assert (config.batch, config.accumulate) == (64, 4)
    with pytest.raises(
        TrainingError, match="Not even a few images of 32 px fit into the memory of a GPU, 24"
    ):
        with_memory_for(3)


def test_a_run_at_hand_has_the_same_shape_and_a_discriminator(tmp_path: Path) -> None:
    square = collection()
    assert run_at_hand(tmp_path, square) is None
    save_run(tmp_path / "wide", nimg=9000, base_width=6)
    save_run(tmp_path / "alpha", nimg=9000, channels=4)
    save_run(tmp_path / "alone", nimg=9000, both=False)
    save_run(tmp_path / "short", nimg=1000)
    longest = save_run(tmp_path / "long", nimg=2000)
    write_file(tmp_path / "damaged" / "snapshots" / "latest.safetensors", b"")
    assert run_at_hand(tmp_path, square) == longest
    assert run_at_hand(tmp_path, replace(square, shape=(3, 64, 96))) == tmp_path / "wide"
    assert run_at_hand(tmp_path, replace(square, shape=(4, 64, 64))) == tmp_path / "alpha"
