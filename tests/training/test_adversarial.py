import math

import pytest
import torch
from torch import Tensor

from brushwork.training.adversarial import (
    LossConfig,
    gradient_penalty,
    logistic_discriminator,
    logistic_generator,
    relativistic_discriminator,
    relativistic_generator,
)
from brushwork.training.errors import TrainingError

ZERO = torch.zeros(5)


def slopes(value: Tensor, *logits: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(value, logits))


# Closed forms


def test_at_zero_logits_each_loss_is_a_logarithm_of_two() -> None:
    assert float(logistic_discriminator(ZERO, ZERO)) == pytest.approx(2 * math.log(2))
    assert float(logistic_generator(ZERO)) == pytest.approx(math.log(2))
    assert float(relativistic_discriminator(ZERO, ZERO)) == pytest.approx(math.log(2))
    assert float(relativistic_generator(ZERO, ZERO)) == pytest.approx(math.log(2))


def test_the_logistic_losses_are_the_negative_log_likelihoods() -> None:
    real, fake = torch.randn(6, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
    likelihood = real.sigmoid().log().mean() + (1 - fake.sigmoid()).log().mean()
    assert torch.allclose(logistic_discriminator(real, fake), -likelihood)
    assert torch.allclose(logistic_generator(fake), -fake.sigmoid().log().mean())


def test_large_logits_stay_finite() -> None:
    far = torch.full((2,), 1e4)
    for value in (logistic_discriminator(-far, far), logistic_generator(-far)):
        assert torch.isfinite(value)


def test_the_discriminator_raises_reals_and_lowers_fakes() -> None:
    real, fake = torch.randn(5, requires_grad=True), torch.randn(5, requires_grad=True)
    for loss in (logistic_discriminator, relativistic_discriminator):
        up, down = slopes(loss(real, fake), real, fake)
        assert (up < 0).all(), "a descent step raises D(real)"
        assert (down > 0).all()


def test_the_generator_raises_its_fakes_most_where_they_are_worst() -> None:
    fake = torch.tensor([-3.0, 0.0, 3.0], requires_grad=True)
    (slope,) = slopes(logistic_generator(fake), fake)
    assert torch.allclose(slope, -torch.sigmoid(-fake.detach()) / 3)
    (slope,) = slopes(relativistic_generator(torch.zeros(3), fake), fake)
    assert (slope < 0).all()


def test_relativistic_losses_see_differences_of_pairs_only() -> None:
    real, fake = torch.randn(5), torch.randn(5)
    for loss in (relativistic_discriminator, relativistic_generator):
        assert torch.allclose(loss(real + 7, fake + 7), loss(real, fake), atol=1e-6)
        assert not torch.allclose(loss(real, fake.roll(1)), loss(real, fake), atol=1e-4)
    expected = torch.log1p(torch.exp(fake - real)).mean()
    assert torch.allclose(relativistic_discriminator(real, fake), expected)
    assert torch.allclose(relativistic_generator(fake, real), expected), "the players' roles are exchanged"


# R1


@pytest.mark.parametrize("batch", [2, 7])
def test_r1_of_a_linear_discriminator_is_half_its_squared_slope(batch: int) -> None:
    a, x = torch.randn(3, 4, 4), torch.randn(batch, 3, 4, 4, requires_grad=True)
    penalty = gradient_penalty((x * a).sum(dim=(1, 2, 3)), x)
    assert torch.allclose(penalty, a.square().sum() / 2)


def test_r1_is_the_mean_over_pictures_and_can_be_differentiated() -> None:
    # D(x) = s |x|^2 / 2 has the gradient s x, so the penalty is s^2 / 2 * mean |x|^2.
    x, s = torch.randn(3, 1, 2, 2, requires_grad=True), torch.tensor(1.5, requires_grad=True)
    penalty = gradient_penalty(s * x.square().sum(dim=(1, 2, 3)) / 2, x)
    energy = x.detach().square().sum(dim=(1, 2, 3)).mean()
    assert torch.allclose(penalty, 1.5**2 / 2 * energy)
    (slope,) = torch.autograd.grad(penalty, s)
    assert torch.allclose(slope, 1.5 * energy)


# Configuration


def test_gamma_is_as_given_or_the_rule_of_thumb() -> None:
    assert LossConfig(r1_gamma=10.0).gamma(64, 16) == 10.0
    assert LossConfig().gamma(256, 32) == pytest.approx(0.4096)  # 0.0002 * 256 ** 2 / 32
    assert LossConfig().gamma(128, 32) == pytest.approx(0.4096 / 4)


@pytest.mark.parametrize(("nimg", "weight"), [(0, 0.0), (1999, 0.0), (2000, 0.0), (2500, 0.25), (4000, 1.0),
                                              (10**7, 1.0)])  # fmt: skip
def test_the_label_ramp_is_linear_between_its_ends(nimg: int, weight: float) -> None:
    ramp = LossConfig(ramp_start_kimg=2.0, ramp_end_kimg=4.0)
    assert ramp.label_weight(nimg) == pytest.approx(weight)


def test_without_a_ramp_labels_count_from_the_start() -> None:
    assert LossConfig().label_weight(0) == 1.0
    step = LossConfig(ramp_start_kimg=1.0, ramp_end_kimg=1.0)
    assert (step.label_weight(999), step.label_weight(1000)) == (0.0, 1.0)


def test_a_ramp_that_ends_before_it_starts_is_named() -> None:
    with pytest.raises(TrainingError, match=r"loss.ramp_end_kimg is 2.0, before .* 3.0"):
        LossConfig(ramp_start_kimg=3.0, ramp_end_kimg=2.0)
