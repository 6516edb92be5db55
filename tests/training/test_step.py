from dataclasses import replace
from functools import partial
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from brushwork.data.loader import Batch
from brushwork.models.stage import Stage, fade_reals, layer_count
from brushwork.training import step as module
from brushwork.training.adversarial import LossConfig, gradient_penalty
from brushwork.training.augment import AugmentConfig
from brushwork.training.state import frozen
from brushwork.training.step import (
    Networks,
    Sampling,
    discriminator_step,
    generate,
    generator_step,
    noise_ahead,
    simultaneous_step,
    visible_labels,
)

from .conftest import four, step_context

GanLoss = Literal["logistic", "relativistic"]
STAGE = Stage(16, 0.5)
OFF = AugmentConfig()
ALL = AugmentConfig(colour=1.0, translation=0.125, cutout=0.5)


def gradients(network: nn.Module) -> dict[str, Tensor]:
    """Takes away the gradients that have been collected, by name."""
    found = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    network.zero_grad(set_to_none=True)
    return found


def close(ours: dict[str, Tensor], theirs: dict[str, Tensor], factor: float = 1.0) -> bool:
    """Equal to float32's precision, relative to each parameter's largest gradient."""
    return ours.keys() == theirs.keys() and all(
        (factor * ours[name] - theirs[name]).abs().max() <= 1e-4 * theirs[name].abs().max() + 1e-6
        for name in ours
    )


def half(batch: Batch, start: int) -> Batch:
    return Batch(**{name: rows[start : start + 2] for name, rows in vars(batch).items()})


@pytest.mark.parametrize("stage", [Stage(4), Stage(8), Stage(16, 0.5)])
def test_mixing_cutoffs_lie_within_the_active_layers(
    nets: Networks, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    mix = module.mix

    def spy(w1: Tensor, w2: Tensor, cutoff: Tensor, *, layers: int) -> Tensor:
        assert layers == layer_count(stage.resolution)
        assert not (w1 == w2).all(dim=1).any(), "two codes of each image"
        seen.append(cutoff)
        return mix(w1, w2, cutoff, layers=layers)

    monkeypatch.setattr(module, "mix", spy)
    styles = torch.eye(3)[torch.arange(64) % 3]
    generate(nets.generator, styles, step_context(LossConfig(mixing=1.0), rng=four(count=64), stage=stage))
    active = layer_count(stage.resolution)
    assert set(seen[0].tolist()) == set(range(1, active)), "each of them occurs, and each mixes"
    seen.clear()
    generate(nets.generator, styles, step_context(LossConfig(mixing=0.5), rng=four(count=64), stage=stage))
    unmixed = int((seen[0] == active).sum())
    assert 16 < unmixed < 48, "about half of them are not mixed"


def test_without_mixing_an_image_is_the_plain_one_of_its_code(nets: Networks) -> None:
    fakes = generate(nets.generator, torch.zeros(4, 3), step_context(LossConfig(mixing=0.0)))
    source = four()
    z = source.normal((8,))
    source.integers(1, 6)
    source.uniform()
    assert torch.equal(fakes.mapped, nets.generator.mapping(z, torch.zeros(4, 3)))
    codes, noise = fakes.mapped[:, None].expand(-1, 6, -1), noise_ahead(source.normal, STAGE)
    assert torch.equal(fakes.images, nets.generator.synthesis(codes, STAGE, noise))


@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_the_discriminators_step_leaves_the_generator_without_gradients(
    nets: Networks, batch: Batch, gamma: float
) -> None:
    discriminator_step(Sampling(), nets, batch, step_context(augment=ALL, gamma=gamma))
    assert gradients(nets.generator) == {}
    collected = gradients(nets.discriminator)
    unused = {name for name, _ in nets.discriminator.named_parameters() if name.startswith("from_rgb.4.")}
    assert collected.keys() == dict(nets.discriminator.named_parameters()).keys() - unused
    assert batch.images.grad is None
    assert not batch.images.requires_grad


def test_layers_that_the_stage_leaves_out_get_no_gradients(nets: Networks, batch: Batch) -> None:
    low = replace(batch, images=batch.images[..., ::2, ::2])
    discriminator_step(Sampling(), nets, low, step_context(stage=Stage(8), gamma=1.0))
    generator_step(Sampling(), nets, low, step_context(stage=Stage(8)))
    for network in (nets.generator, nets.discriminator):
        assert not [name for name in gradients(network) if "16" in name]


@pytest.mark.parametrize("gan_loss", ["logistic", "relativistic"])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_two_halves_add_up_to_the_whole(
    nets: Networks, batch: Batch, gan_loss: GanLoss, gamma: float
) -> None:
    context = partial(step_context, LossConfig(gan_loss=gan_loss), ALL, gamma=gamma)
    for step, network in ((discriminator_step, nets.discriminator), (generator_step, nets.generator)):
        stats: Any = step(Sampling(), nets, batch, context())
        whole, of_halves = gradients(network), list[Any]()
        for start in (0, 2):
            own = context(four(start=start, count=2), grad_scale=0.5)
            of_halves.append(step(Sampling(), nets, half(batch, start), own))
        assert close(gradients(network), whole)
    torch.testing.assert_close(sum(each.w_sums for each in of_halves), stats.w_sums)


@pytest.mark.parametrize(("gamma", "r2"), [(0.0, False), (2.0, False), (2.0, True)])
@pytest.mark.parametrize("gan_loss", ["logistic", "relativistic"])
def test_both_at_once_get_the_gradients_of_their_own_steps(
    nets: Networks, batch: Batch, gan_loss: GanLoss, gamma: float, r2: bool
) -> None:
    loss = LossConfig(gan_loss=gan_loss, mixing=0.5, r2=r2)
    seen, drawn = simultaneous_step(Sampling(), nets, batch, step_context(loss, gamma=gamma, grad_scale=0.5))
    both = gradients(nets.discriminator), gradients(nets.generator)
    # Each step draws the same images, since it draws them first of all.
    told_alone = discriminator_step(Sampling(), nets, batch, step_context(loss, gamma=gamma, grad_scale=0.5))
    assert close(both[0], gradients(nets.discriminator))
    with frozen(nets.discriminator):
        drawn_alone = generator_step(Sampling(), nets, batch, step_context(loss, grad_scale=0.5))
    assert gradients(nets.discriminator) == {}
    assert close(both[1], gradients(nets.generator))
    torch.testing.assert_close(vars(seen), vars(told_alone), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(drawn.loss, drawn_alone.loss, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(drawn.w_sums, drawn_alone.w_sums)


@pytest.mark.parametrize("r2", [False, True])
def test_penalties_are_taken_at_the_faded_reals_and_the_fakes_times_gamma(
    nets: Networks, batch: Batch, r2: bool
) -> None:
    loss = LossConfig(r2=r2)
    stats = discriminator_step(Sampling(), nets, batch, step_context(loss, gamma=3.0))
    with_penalties = gradients(nets.discriminator)
    discriminator_step(Sampling(), nets, batch, step_context(loss))
    with torch.no_grad():
        fakes = generate(nets.generator, batch.styles, step_context(loss)).images
    images = {"r1": fade_reals(batch.images, STAGE.alpha), "r2": fakes}
    assert stats.penalties.keys() == ({"r1", "r2"} if r2 else {"r1"})
    for name, found in stats.penalties.items():
        images[name].requires_grad_()
        penalty = gradient_penalty(nets.discriminator(images[name], batch.styles, STAGE), images[name])
        (3.0 * penalty).backward()
        assert torch.allclose(found, penalty.detach(), rtol=1e-4)
    assert close(gradients(nets.discriminator), with_penalties)


def test_stats_are_detached_means_of_images_under_their_own_labels(nets: Networks, batch: Batch) -> None:
    stats = discriminator_step(Sampling(), nets, batch, step_context(gamma=1.0))
    with torch.no_grad():
        real = nets.discriminator(fade_reals(batch.images, STAGE.alpha), batch.styles, STAGE)
    assert torch.allclose(stats.real_logit, real.mean(), atol=1e-5)
    told = [stats.loss, stats.real_logit, stats.fake_logit, stats.penalties["r1"]]
    assert not any(value.requires_grad for value in told)
    swapped = replace(batch, styles=batch.styles.roll(1, dims=1))
    theirs = discriminator_step(Sampling(), nets, swapped, step_context())
    assert not torch.allclose(stats.real_logit, theirs.real_logit, atol=1e-5)
    assert not torch.allclose(stats.fake_logit, theirs.fake_logit, atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_share_of_the_labels_is_hidden_from_both_networks_alike(share: float) -> None:
    numbers = torch.arange(400)
    many = Batch(images=torch.zeros(400, 3, 4, 4), styles=torch.eye(3)[numbers % 3], indices=numbers)
    context = step_context(LossConfig(label_dropout=share), rng=four(count=400))
    seen = visible_labels(many, context)
    hidden = seen.sum(dim=1) == 0
    assert abs(float(hidden.float().mean()) - share) < 0.08
    assert torch.equal(seen[~hidden], many.styles[~hidden])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_null_style_learns_where_labels_are_hidden(nets: Networks, batch: Batch, share: float) -> None:
    """Its row of the table has a gradient, and its average moves."""
    loss = LossConfig(label_dropout=share)
    _, stats = simultaneous_step(Sampling(), nets, batch, step_context(loss))
    gradient, w_sums = nets.generator.mapping.table.grad, stats.w_sums
    assert gradient is not None
    assert w_sums is not None
    assert (bool(gradient[-1].any()), bool(gradient[:-1].any())) == (share == 1, share == 0)
    assert float(w_sums[-1, -1]) == 4 * share
