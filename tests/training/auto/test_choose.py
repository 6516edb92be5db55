"""What `train auto` chooses for a collection, a machine and a time."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from brushwork.data.files import write_file
from brushwork.models.discriminator import Discriminator, DiscriminatorConfig
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.snapshot import TrainingNetworks, generator_bytes
from brushwork.models.stage import Stage
from brushwork.training.auto.choose import REQUEST, Choice, choose
from brushwork.training.auto.explain import explain
from brushwork.training.auto.facts import Collection, Machine, run_at_hand
from brushwork.training.config import IntervalConfig, TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.plan import Rates
from brushwork.training.prepare.transfer import Source
from brushwork.training.schedules import phases

CPU, GPU = Machine(gpu=False, name="cpu, 2 cores"), Machine(gpu=True, name="a GPU, 24 GiB")
PER_SECOND: Mapping[int, float] = {8: 300, 16: 200, 32: 100, 64: 30, 128: 8, 256: 2}


def collection(counts: tuple[int, ...] = (44, 44), side: int = 64, **problems: int) -> Collection:
    names = {f"style{n}": count for n, count in enumerate(counts)}
    return Collection(
        path=Path("datasets/mine"), counts=names, images=sum(counts), shape=(3, side, side), **problems
    )


def rates_of(config: TrainConfig) -> Rates:
    """This machine trains on 100 images a second at 32 px."""
    return {phase.resolution: 1 / PER_SECOND[phase.resolution]
            for phase in phases(config.growing, config.generator.resolution)}  # fmt: skip


def chosen(
    found: Collection, minutes: float | None, machine: Machine = CPU, source: Source | None = None,
    rates: Callable[[TrainConfig], Rates] = rates_of, **options: Any,
) -> Choice:  # fmt: skip
    """What is chosen for options that set the time and some other fields."""

    def overridden(config: TrainConfig) -> TrainConfig:
        limit = {} if minutes is None else {"max_minutes": minutes}
        return replace(config, **options, **limit, start_from=source and source.path)

    return choose(overridden(REQUEST), found, machine, source, overridden, rates)


def line(choice: Choice, subject: str) -> str:
    """A line of the explanation, unwrapped."""
    text = explain(choice).replace("\n    ", " ")
    return " ".join(next(each for each in text.splitlines() if each.startswith(subject)).split()[1:])


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
    choice = chosen(collection(), minutes, seed=7)
    assert choice.config.generator.resolution == resolution
    assert (choice.config.max_minutes, choice.config.seed) == (minutes, 7)
    assert ("and 100 are needed" in line(choice, "resolution")) == (resolution == 32)
    assert "Warning" not in explain(choice)


def test_the_images_of_a_run_are_those_that_its_schedule_trains_on_in_the_time() -> None:
    # A fifth of the run is at 16 px: 57 of 60 s, at .2 / 200 + .8 / 100 s for each image.
    choice = chosen(collection(side=32), 1)
    assert choice.chosen.images == 6333
    assert line(choice, "time") == "in 1 min about 6.3 kimg, each image 72 times"
    assert line(chosen(collection(side=32), 1000), "time").startswith("in 1000 min about 6,300 kimg")


def test_too_few_minutes_and_images_are_warned_of_with_figures() -> None:
    text = " ".join(explain(chosen(collection((44, 9), near_duplicates=5, leaks=2), 2)).split())
    assert "2 min are enough for 13 kimg at 32 px; at least 25 are needed, about 3.9 min" in text
    assert "fewer than 30 training images: 'style1' 9." in text
    assert "5 images nearly repeat another one, 2 of them across the splits" in text
    assert "Warning" not in explain(chosen(collection((44, 30), near_duplicates=3), 10))


def test_no_time_given_is_half_an_hour_on_a_processor_and_eight_hours_on_a_gpu() -> None:
    assert chosen(collection(), None).config.max_minutes == 30
    choice = chosen(collection(side=256), None, GPU)
    assert choice.config.max_minutes == 480
    assert choice.config.generator.resolution == 64
    assert "an estimate" in line(choice, "expect")


def test_options_count_before_the_choice_is_measured_and_described() -> None:
    seen: list[int] = []

    def rates(config: TrainConfig) -> Rates:
        seen.append(config.rows_of(3))
        return rates_of(config)

    choice = chosen(collection(), 10, rates=rates, batch=48, total_kimg=20.0)
    assert set(seen) == {16}
    assert "batches of 48" in line(choice, "networks")
    assert line(choice, "time").startswith("in 10 min about 20 kimg")
    assert choice.config.growing.steady_kimg == (4.0,)
    quiet = IntervalConfig(metrics_kimg=0.0)
    assert chosen(collection(), 10, interval=quiet).config.patience == 0
    assert chosen(collection(), 10, generator=GeneratorConfig(resolution=16)).chosen.resolution == 16


def test_augmentation_adapts_in_long_runs_on_images_that_can_be_memorised() -> None:
    assert chosen(collection((88,), side=32), 7).config.augment.ada == ("shift", "geometry", "colour")
    assert not chosen(collection((88,), side=32), 6).config.augment.ada
    assert not chosen(collection((700,), side=32), 50).config.augment.ada
    assert not chosen(collection((30_000,), side=32), 9000).config.augment.ada


def test_uneven_styles_are_balanced() -> None:
    assert chosen(collection((300, 60)), 10).config.loader.balanced
    assert not chosen(collection((200, 60)), 10).config.loader.balanced
    assert not chosen(collection((200,)), 10).config.loader.balanced


def test_a_long_run_is_saved_every_ten_minutes_and_measured_less_often() -> None:
    config = chosen(collection(side=32), 1000).config
    assert config.interval.checkpoint_kimg == pytest.approx(63)
    assert config.interval.metrics_kimg == pytest.approx(320)
    assert config.interval.status_kimg == pytest.approx(13)
    assert config.metrics.per_style == 200
    assert chosen(collection((40,) * 50), 10).config.metrics.per_style == 40


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


def test_a_transfer_goes_back_to_no_lower_resolution(tmp_path: Path) -> None:
    source = Source.load(save_run(tmp_path / "run", nimg=1000, side=64))
    assert chosen(collection(), 1, source=source).chosen.resolution == 64
    assert chosen(collection(side=32), 1, source=source).chosen.resolution == 32
    same = Source.load(save_run(tmp_path / "same", nimg=1000))
    choice = chosen(collection(side=32), 1, source=same)
    assert choice.chosen.images == 5700, "no time is spent at 16 px"


def test_a_snapshot_without_a_discriminator_is_warned_of(tmp_path: Path) -> None:
    source = Source.load(save_run(tmp_path / "run", nimg=1000, both=False))
    choice = chosen(collection(), 10, source=source)
    assert choice.config.optimizer.frozen_blocks == 0
    assert "has no discriminator" in explain(choice)


def test_the_batch_is_divided_until_it_fits_and_a_gpu_too_small_is_named() -> None:
    def with_memory_for(rows: int, machine: Machine = GPU) -> Choice:
        def rates(config: TrainConfig) -> Rates:
            if config.rows_of(machine.processes) > rows:
                raise torch.OutOfMemoryError
            return rates_of(config)

        return chosen(collection(), 10, machine, rates=rates)

    choice = with_memory_for(20)
    assert (choice.config.batch, choice.config.accumulate) == (64, 4)
    assert "in 4 parts" in line(choice, "networks")
    for machine in (GPU, replace(GPU, processes=8)):
        with pytest.raises(
            TrainingError, match="Not even a few images of 32 px fit into the memory of a GPU"
        ):
            with_memory_for(3, machine)


def test_a_run_at_hand_has_the_same_shape_and_a_discriminator(tmp_path: Path) -> None:
    square = collection()
    assert run_at_hand(tmp_path, square) is None
    save_run(tmp_path / "wide", nimg=90_000, base_width=6)
    save_run(tmp_path / "alpha", nimg=90_000, channels=4)
    save_run(tmp_path / "alone", nimg=90_000, both=False)
    save_run(tmp_path / "toy", nimg=1000)
    assert run_at_hand(tmp_path, square) is None
    save_run(tmp_path / "short", nimg=30_000)
    longest = save_run(tmp_path / "long", nimg=60_000)
    write_file(tmp_path / "damaged" / "snapshots" / "latest.safetensors", b"")
    assert run_at_hand(tmp_path, square) == longest
    assert run_at_hand(tmp_path, replace(square, shape=(3, 64, 96))) == tmp_path / "wide"
    assert run_at_hand(tmp_path, replace(square, shape=(4, 64, 64))) == tmp_path / "alpha"
