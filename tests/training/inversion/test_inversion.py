"""Inversion: the loss, its schedules, codes that come back, and a job that is stopped and goes on."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from brushwork.eval.metrics.perceptual import PerceptualDistance
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.latent.codes import render_codes
from brushwork.models.sampling import render, style_codes
from brushwork.training.errors import TrainingError
from brushwork.training.interrupt import StopRequest
from brushwork.training.inversion import job as jobs
from brushwork.training.inversion.config import InversionConfig
from brushwork.training.inversion.job import Inversion, InversionJob, Stopped
from brushwork.training.inversion.projection import (
    autocorrelation,
    code_noise,
    learning_rate,
    noise_maps,
)
from brushwork.training.inversion.results import nearest_images

CONFIG = GeneratorConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=1, channel_base=64, channel_max=8)
QUICK = InversionConfig(steps=12, batch=2)


@pytest.fixture(params=["adain", "modulated", "encoders", "wide and transparent"])
def generator(request: pytest.FixtureRequest) -> Generator:
    config = {
        "adain": CONFIG,
        "modulated": replace(CONFIG, modulation="modulated"),
        "encoders": replace(CONFIG, encoders=True),
        "wide and transparent": replace(CONFIG, base_width=6, channels=4),
    }[request.param]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = Generator(config, ("ink", "oil"))
        made.mapping.average.normal_(std=0.3)
        for name, parameter in made.named_parameters():
            if name.endswith("strength"):
                parameter.data.normal_(std=0.1)
    return made.eval().requires_grad_(False)


def pixels(images: Tensor) -> list[Tensor]:
    """Features that tell most images apart: colours at two scales, with a constant that unit length needs."""
    x = torch.cat([images, torch.ones_like(images[:, :1])], dim=1)
    return [x, torch.nn.functional.avg_pool2d(x, 8)]


DISTANCE = PerceptualDistance(name="pixels", protocol="pixels", maps=pixels)

Make = Callable[..., InversionJob]


@pytest.fixture
def make(generator: Generator, tmp_path: Path) -> Make:
    seeds = [3, 4, 5]
    images = render(generator, style_codes(generator, "oil", seeds), torch.zeros(3, dtype=torch.int64))
    return partial(
        InversionJob, generator=generator, distance=DISTANCE, config=QUICK, names=("a", "b", "c"),
        images=images, styles=torch.eye(2), weights="w", folder=tmp_path / "checkpoints", stop=StopRequest(),
    )  # fmt: skip


def same(one: Inversion, other: Inversion) -> bool:
    tuned = [{} if each.tuned is None else each.tuned.state_dict() for each in (one, other)]
    return (
        torch.equal(one.codes.w, other.codes.w)
        and all(torch.equal(a, b) for a, b in zip(one.codes.noise, other.codes.noise, strict=True))
        and all(torch.equal(tensor, tuned[1][name]) for name, tensor in tuned[0].items())
        and torch.equal(one.losses, other.losses)
        and torch.equal(one.tuning_losses, other.tuning_losses)
    )


# Schedules and losses
def test_rate_and_noise_follow_the_paper() -> None:
    assert learning_rate(0.025) == pytest.approx(0.05)
    assert learning_rate(0.5) == pytest.approx(0.1)
    assert learning_rate(0.875) == pytest.approx(0.05)
    assert learning_rate(1.0) == 0
    assert [code_noise(share) for share in (0.0, 0.375, 0.75, 1.0)] == pytest.approx([0.05, 0.0125, 0, 0])


def test_autocorrelation_is_that_of_the_paper_at_every_scale() -> None:
    torch.manual_seed(0)
    white = torch.randn(2, 1, 32, 32)
    stripes = torch.ones(2, 1, 16, 16)
    stripes[:, :, ::2] = -1  # neighbours: -1 across, 1 along; half the size: all 0
    assert torch.allclose(autocorrelation([stripes]), torch.tensor(2.0))
    assert torch.allclose(autocorrelation([torch.ones(1, 1, 4, 4)]), torch.tensor(0.0)), "below 8 px"
    assert (autocorrelation([white]) < 0.1).all()
    first = (white * white.roll(1, 2)).mean((1, 2, 3)).square()
    first = first + (white * white.roll(1, 3)).mean((1, 2, 3)).square()
    half = torch.nn.functional.avg_pool2d(white, 2) * 2
    assert torch.allclose(
        autocorrelation([white]) - first - autocorrelation([half]), torch.zeros(2), atol=1e-6
    )


# The job
def test_images_come_nearer_than_the_start(make: Make, generator: Generator) -> None:
    job = make(config=replace(QUICK, steps=50))
    found = job.run(resume=False)
    image, start, inverted = (
        DISTANCE.points(x / 127.5 - 1)
        for x in (job.images, render_codes(generator, found.start), render_codes(generator, found.codes))
    )
    before, after = ((image - x).square().sum(1) for x in (start, inverted))
    assert (after < 0.75 * before).all()
    assert found.losses.shape == (50, 3)
    assert (found.losses[-1] < found.losses[0]).all()
    assert found.codes.styles.sum(1).tolist() == [1, 1, 1]


@pytest.mark.parametrize("generator", ["adain", "encoders"], indirect=True)
@pytest.mark.parametrize("config", [replace(QUICK, space="w"), replace(QUICK, noise="optimised")])
def test_an_image_does_not_depend_on_the_others(make: Make, config: InversionConfig) -> None:
    config = replace(config, steps=4)  # Adam multiplies rounding errors
    whole = make(config=config).run(resume=False)
    pairs = make(config=replace(config, batch=1)).run(resume=False)
    assert torch.allclose(whole.codes.w, pairs.codes.w, atol=5e-3)
    if config.space == "w":
        assert (whole.codes.w == whole.codes.w[:, :1]).all()
    for maps in whole.codes.noise:
        assert torch.allclose(maps.mean((1, 2, 3)), torch.zeros(3), atol=1e-5)
        assert torch.allclose(maps.square().mean((1, 2, 3)), torch.ones(3), atol=1e-4)


@pytest.mark.parametrize("generator", ["adain", "modulated"], indirect=True)
def test_noise_maps_are_those_of_seed_zero(generator: Generator) -> None:
    maps = noise_maps(generator, 2)
    assert len(maps) == generator.layers
    w = style_codes(generator, "ink", [1])
    source = iter(maps)
    with torch.no_grad():
        images = generator.synthesis(w.expand(2, -1, -1), generator.trained_stage, lambda _: next(source))
    expected = render(generator, w, [0]).float()
    assert ((images[:1].clamp(-1, 1) * 127.5 + 127.5) - expected).abs().max() <= 0.51


@pytest.mark.parametrize("generator", ["adain"], indirect=True)
@pytest.mark.parametrize("stop_at", [1, 13, 29])
def test_a_stopped_job_goes_on_bit_for_bit(
    make: Make, monkeypatch: pytest.MonkeyPatch, stop_at: int, tmp_path: Path
) -> None:
    config = replace(QUICK, noise="optimised", tune_steps=6)
    whole = make(config=config, folder=tmp_path / "whole").run(resume=False)
    stop, steps = StopRequest(), 0
    job = make(config=config, stop=stop)
    save = InversionJob._save_if_due

    def counted(self: InversionJob) -> None:
        nonlocal steps
        steps += 1
        if steps == stop_at:
            stop.request()
        save(self)

    monkeypatch.setattr(InversionJob, "_save_if_due", counted)
    with pytest.raises(Stopped):
        job.run(resume=False)
    rest = make(config=config).run(resume=True)
    assert steps == 30, "no step was taken twice"
    assert same(whole, rest)
    assert not same(whole, make(config=replace(config, steps=11)).run(resume=False))


@pytest.mark.parametrize("generator", ["adain"], indirect=True)
def test_a_checkpoint_of_other_images_is_refused(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "SECONDS", 0.0)
    job = make()
    job.run(resume=False)
    with pytest.raises(TrainingError, match="of other images or settings"):
        make(images=255 - job.images).run(resume=True)


@pytest.mark.parametrize("generator", ["modulated", "wide and transparent"], indirect=True)
def test_tuning_brings_the_generator_to_the_images(make: Make, generator: Generator) -> None:
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    found = make(config=replace(QUICK, tune_steps=40)).run(resume=False)
    assert found.tuned is not None
    assert all(torch.equal(tensor, generator.state_dict()[name]) for name, tensor in before.items())
    assert (found.tuning_losses[-1] < found.tuning_losses[0]).all()
    assert found.tuning_losses[-1].sum() < 0.95 * found.tuning_losses[0].sum()
    mapping = [name for name in before if not name.startswith("synthesis")]
    assert all(torch.equal(before[name], found.tuned.state_dict()[name]) for name in mapping)


def test_the_nearest_training_image_is_found() -> None:
    torch.manual_seed(0)
    others = torch.randint(0, 256, (70, 3, 16, 16), dtype=torch.uint8)
    images = others[[69, 3]].float().add(3).clamp(0, 255).byte()
    found = nearest_images(DISTANCE, images, others, torch.device("cpu"))
    assert torch.equal(found, others[[69, 3]])
