from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from brushwork.data.loader import Batch
from brushwork.models.stage import Stage, fade_reals, layer_count
from brushwork.training import step as module
from brushwork.training.adversarial import LossConfig, gradient_penalty
from brushwork.training.augment import AugmentConfig
from brushwork.training.config import TrainConfig
from brushwork.training.context import Networks
from brushwork.training.state import build_networks, build_optimizers, frozen
from brushwork.training.step import (
    Sampling,
    discriminator_step,
    generate,
    generator_step,
    noise_ahead,
    simultaneous_step,
    visible_labels,
)

from .conftest import four, step_context

Pairing = Literal["logistic", "relativistic"]
STAGE = Stage(16, 0.5)
OFF = AugmentConfig()
ALL = AugmentConfig(colour=1.0, translation=0.125, cutout=0.5)


def gradients(network: nn.Module) -> dict[str, Tensor]:
    """What has been collected, by name; forgotten afterwards."""
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
    end = start + 2
    return Batch(
        images=batch.images[start:end], styles=batch.styles[start:end], indices=batch.indices[start:end]
    )


# Generated pictures


@pytest.mark.parametrize("stage", [Stage(4), Stage(8), Stage(16, 0.5)])
def test_mixing_cutoffs_lie_within_the_active_layers(
    nets: Networks, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    mix = module.mix

    def spy(w1: Tensor, w2: Tensor, cutoff: Tensor, *, layers: int) -> Tensor:
        assert layers == layer_count(stage.resolution)
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


def test_both_codes_of_a_mixture_share_the_label(nets: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Tensor, Tensor]] = []
    forward = nets.generator.mapping.forward

    def spy(z: Tensor, styles: Tensor, **options: object) -> Tensor:
        calls.append((z, styles))
        return forward(z, styles)

    monkeypatch.setattr(nets.generator.mapping, "forward", spy)
    styles = torch.eye(3)[[0, 1, 2, 0]]
    generate(nets.generator, styles, step_context(LossConfig(mixing=0.9), stage=Stage(8)))
    ((z, labels),) = calls  # in one pass
    assert torch.equal(labels, torch.cat([styles, styles]))
    first_z, second_z = z.chunk(2)
    assert not torch.equal(first_z, second_z)
    calls.clear()
    generate(nets.generator, styles, step_context(LossConfig(mixing=0.0), stage=Stage(8)))
    ((_, labels),) = calls
    assert torch.equal(labels, styles)


def test_without_mixing_the_picture_is_the_plain_one_of_its_code(nets: Networks) -> None:
    fakes = generate(nets.generator, torch.zeros(4, 3), step_context(LossConfig(mixing=0.0)))
    source = four()
    z = source.normal((8,))
    source.integers(1, 6)
    source.uniform()
    assert torch.equal(fakes.mapped, nets.generator.mapping(z, torch.zeros(4, 3)))
    codes, noise = fakes.mapped[:, None].expand(-1, 6, -1), noise_ahead(source.normal, STAGE)
    assert torch.equal(fakes.images, nets.generator.synthesis(codes, STAGE, noise))


@pytest.mark.parametrize("loss", [LossConfig(), LossConfig(mixing=0.0)])
def test_pictures_of_half_a_batch_are_half_of_the_pictures(nets: Networks, loss: LossConfig) -> None:
    styles = torch.eye(3)[[0, 1, 2, 0]]
    whole = generate(nets.generator, styles, step_context(loss)).images
    part = generate(nets.generator, styles[2:], step_context(loss, rng=four(start=2, count=2))).images
    assert torch.allclose(whole[2:], part, atol=1e-5)


# Who gets gradients


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


@pytest.mark.parametrize("pairing", ["logistic", "relativistic"])
def test_the_generators_step_leaves_a_frozen_discriminator_without_gradients(
    nets: Networks, batch: Batch, pairing: Pairing
) -> None:
    with frozen(nets.discriminator):
        generator_step(
            Sampling(), nets, batch, step_context(replace(LossConfig(), pairing=pairing), ALL, four())
        )
        assert gradients(nets.discriminator) == {}
    assert all(parameter.requires_grad for parameter in nets.discriminator.parameters())
    assert all(gradient.any() for gradient in gradients(nets.generator).values())


def test_frozen_puts_back_what_it_found() -> None:
    network = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    network[0].requires_grad_(False)
    before = [parameter.requires_grad for parameter in network.parameters()]

    def fail() -> None:
        with frozen(network):
            assert not any(parameter.requires_grad for parameter in network.parameters())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [parameter.requires_grad for parameter in network.parameters()] == before


def test_layers_that_the_stage_leaves_out_get_no_gradients(nets: Networks, batch: Batch) -> None:
    low = replace(batch, images=batch.images[..., ::2, ::2])
    discriminator_step(Sampling(), nets, low, step_context(stage=Stage(8), gamma=1.0))
    generator_step(Sampling(), nets, low, step_context(stage=Stage(8)))
    for network in (nets.generator, nets.discriminator):
        assert not [name for name in gradients(network) if "16" in name]


# Shares and halves


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_the_share_scales_all_gradients(nets: Networks, batch: Batch, gamma: float) -> None:
    found = []
    for share in (1.0, 0.25):
        discriminator_step(Sampling(), nets, batch, step_context(gamma=gamma, grad_scale=share))
        generator_step(Sampling(), nets, batch, step_context(grad_scale=share))
        found.append((gradients(nets.discriminator), gradients(nets.generator)))
    for whole, quarter in zip(*found, strict=True):
        assert close(quarter, whole, 4.0)


@pytest.mark.parametrize("pairing", ["logistic", "relativistic"])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_two_halves_add_up_to_the_whole(nets: Networks, batch: Batch, pairing: Pairing, gamma: float) -> None:
    loss = LossConfig(pairing=pairing)
    discriminator_step(Sampling(), nets, batch, step_context(loss, ALL, four(), gamma=gamma))
    whole = gradients(nets.discriminator)
    for start in (0, 2):
        own = four(start=start, count=2)
        discriminator_step(
            Sampling(), nets, half(batch, start), step_context(loss, ALL, own, gamma=gamma, grad_scale=0.5)
        )
    assert close(gradients(nets.discriminator), whole)
    stats = generator_step(Sampling(), nets, batch, step_context(loss, ALL, four()))
    whole, sums = gradients(nets.generator), []
    for start in (0, 2):
        own = four(start=start, count=2)
        sums.append(
            generator_step(
                Sampling(), nets, half(batch, start), step_context(loss, ALL, own, grad_scale=0.5)
            ).w_sums
        )
    assert close(gradients(nets.generator), whole)
    assert stats.w_sums is not None
    assert torch.allclose(torch.stack(sums).sum(0), stats.w_sums, atol=1e-5)


# What is optimised


@pytest.mark.parametrize(("gamma", "r2"), [(0.0, False), (2.0, False), (2.0, True)])
@pytest.mark.parametrize("pairing", ["logistic", "relativistic"])
def test_both_at_once_get_the_gradients_of_their_own_steps(
    nets: Networks, batch: Batch, pairing: Pairing, gamma: float, r2: bool
) -> None:
    loss = LossConfig(pairing=pairing, mixing=0.5, r2=r2)
    seen, drawn = simultaneous_step(Sampling(), nets, batch, step_context(loss, gamma=gamma, grad_scale=0.5))
    both = gradients(nets.discriminator), gradients(nets.generator)
    # Each step draws the same pictures, since it draws them first of all.
    told_alone = discriminator_step(Sampling(), nets, batch, step_context(loss, gamma=gamma, grad_scale=0.5))
    with frozen(nets.discriminator):
        drawn_alone = generator_step(Sampling(), nets, batch, step_context(loss, grad_scale=0.5))
    assert close(both[0], gradients(nets.discriminator))
    assert close(both[1], gradients(nets.generator))
    torch.testing.assert_close(vars(seen), vars(told_alone), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(drawn.loss, drawn_alone.loss, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(drawn.w_sums, drawn_alone.w_sums)


def test_the_penalty_is_r1_at_the_faded_reals_times_gamma(nets: Networks, batch: Batch) -> None:
    stats = discriminator_step(Sampling(), nets, batch, step_context(gamma=3.0))
    with_penalty = gradients(nets.discriminator)
    discriminator_step(Sampling(), nets, batch, step_context(gamma=0.0))
    reals = fade_reals(batch.images, STAGE.alpha).requires_grad_()
    penalty = gradient_penalty(nets.discriminator(reals, batch.styles, STAGE), reals)
    (3.0 * penalty).backward()
    assert close(gradients(nets.discriminator), with_penalty)
    assert stats.penalties.keys() == {"r1"}
    assert torch.allclose(stats.penalties["r1"], penalty.detach(), rtol=1e-4)


def test_r2_is_the_penalty_at_the_generated_pictures(nets: Networks, batch: Batch) -> None:
    """Beside R1 with the same weight, and it moves the discriminator alone."""
    r1, both = LossConfig(), LossConfig(r2=True)
    stats = discriminator_step(Sampling(), nets, batch, step_context(both, gamma=3.0))
    with_r2 = gradients(nets.discriminator)
    assert not gradients(nets.generator)
    discriminator_step(Sampling(), nets, batch, step_context(r1, gamma=3.0))
    with torch.no_grad():
        fakes = generate(nets.generator, batch.styles, step_context(both)).images
    fakes.requires_grad_()
    penalty = gradient_penalty(nets.discriminator(fakes, batch.styles, STAGE), fakes)
    (3.0 * penalty).backward()
    assert close(gradients(nets.discriminator), with_r2)
    assert stats.penalties.keys() == {"r1", "r2"}
    assert torch.allclose(stats.penalties["r2"], penalty.detach(), rtol=1e-4)


def test_penalties_are_off_at_gamma_zero(nets: Networks, batch: Batch) -> None:
    stats = discriminator_step(Sampling(), nets, batch, step_context(LossConfig(r2=True), gamma=0.0))
    assert not stats.penalties


@pytest.mark.parametrize("pairing", ["logistic", "relativistic"])
def test_a_step_against_the_gradient_improves_each_player(
    nets: Networks, batch: Batch, pairing: Pairing
) -> None:
    loss = replace(LossConfig(), pairing=pairing)
    players = {
        "discriminator": lambda: discriminator_step(Sampling(), nets, batch, step_context(loss)).loss,
        "generator": lambda: generator_step(Sampling(), nets, batch, step_context(loss)).loss,
    }
    for name, step in players.items():
        network: nn.Module = getattr(nets, name)
        network.zero_grad(set_to_none=True)
        before = step()
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.grad is not None:
                    parameter -= 1e-3 * parameter.grad
        assert step() < before, name


def test_stats_are_detached_means(nets: Networks, batch: Batch) -> None:
    stats = discriminator_step(Sampling(), nets, batch, step_context(gamma=1.0))
    reals = fade_reals(batch.images, STAGE.alpha)
    with torch.no_grad():
        real = nets.discriminator(reals, batch.styles, STAGE)
    assert torch.allclose(stats.real_logit, real.mean(), atol=1e-5)
    assert torch.allclose(stats.real_sign, real.sign().mean())
    values = [stats.loss, stats.real_logit, stats.fake_logit, stats.real_sign, stats.penalties["r1"]]
    assert not any(value.requires_grad for value in values if value is not None)


def test_at_label_weight_zero_both_networks_see_no_labels(nets: Networks, batch: Batch) -> None:
    blind = replace(batch, styles=torch.zeros_like(batch.styles))
    found = []
    for seen, weight in ((batch, 0.0), (blind, 1.0)):
        discriminator_step(Sampling(), nets, seen, step_context(label_weight=weight))
        stats = generator_step(Sampling(), nets, seen, step_context(label_weight=weight))
        found.append((gradients(nets.discriminator), gradients(nets.generator), {"w": stats.w_sums}))
    for ours, theirs in zip(*found, strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert found[0][2]["w"][:3].abs().max() == 0, "only the null style's average moves"


def test_reals_and_fakes_are_scored_under_their_own_labels(nets: Networks, batch: Batch) -> None:
    swapped = replace(batch, styles=batch.styles.roll(1, dims=1))
    ours = discriminator_step(Sampling(), nets, batch, step_context())
    theirs = discriminator_step(Sampling(), nets, swapped, step_context())
    assert not torch.allclose(ours.real_logit, theirs.real_logit, atol=1e-5)
    assert not torch.allclose(ours.fake_logit, theirs.fake_logit, atol=1e-5)


# Building


def test_networks_are_built_from_the_seed_alone(make_config: Callable[..., TrainConfig]) -> None:
    before = torch.get_rng_state()
    names, device = ("a", "b"), torch.device("cpu")
    one = build_networks(make_config(seed=5), names, device)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    other, third = (build_networks(make_config(seed=seed), names, device) for seed in (5, 6))
    ours, same = one.generator.state_dict(), other.generator.state_dict()
    assert all(torch.equal(ours[name], same[name]) for name in ours)
    assert not torch.equal(one.discriminator.table, third.discriminator.table)


def test_optimizers_are_adams_without_momentum(
    make_config: Callable[..., TrainConfig], nets: Networks
) -> None:
    config = make_config().optimizer
    optimizers = build_optimizers(nets, replace(config, generator_lr=0.25, beta2=0.9))
    assert optimizers.generator.defaults["betas"] == (0.0, 0.9)
    assert (optimizers.generator.defaults["lr"], optimizers.discriminator.defaults["lr"]) == (0.25, 0.001)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_share_of_the_labels_is_hidden_from_both_networks_alike(share: float) -> None:
    numbers = torch.arange(400)
    many = Batch(images=torch.zeros(400, 3, 4, 4), styles=torch.eye(3)[numbers % 3], indices=numbers)
    context = step_context(LossConfig(label_dropout=share), rng=four(count=400), label_weight=0.5)
    seen = visible_labels(many, context)
    hidden = seen.sum(dim=1) == 0
    assert abs(float(hidden.float().mean()) - share) < 0.08
    assert torch.equal(seen[~hidden], 0.5 * many.styles[~hidden])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_null_style_learns_where_labels_are_hidden(nets: Networks, batch: Batch, share: float) -> None:
    """Its row of the table has a gradient, and its average moves."""
    loss = LossConfig(label_dropout=share)
    _, stats = simultaneous_step(Sampling(), nets, batch, step_context(loss))
    table, w_sums = nets.generator.mapping.table, stats.w_sums
    assert table.grad is not None
    assert w_sums is not None
    assert bool(table.grad[-1].any()) == bool(share)
    assert bool(table.grad[:-1].any()) != bool(share)
    assert float(w_sums[-1, -1]) == 4 * share
