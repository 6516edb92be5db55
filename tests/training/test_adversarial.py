import torch

from brushwork.training.adversarial import (
    gradient_penalty,
    logistic_discriminator,
    logistic_generator,
    relativistic_discriminator,
    relativistic_generator,
)


def test_the_logistic_losses_are_the_negative_log_likelihoods() -> None:
    real, fake = torch.randn(6, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
    likelihood = real.sigmoid().log().mean() + (1 - fake.sigmoid()).log().mean()
    assert torch.allclose(logistic_discriminator(real, fake), -likelihood)
    assert torch.allclose(logistic_generator(fake), -fake.sigmoid().log().mean())
    far = torch.full((2,), 1e4)
    assert torch.isfinite(logistic_discriminator(-far, far) + logistic_generator(-far))


def test_relativistic_losses_see_differences_of_pairs_only() -> None:
    real, fake = torch.randn(5), torch.randn(5)
    for loss in (relativistic_discriminator, relativistic_generator):
        assert torch.allclose(loss(real + 7, fake + 7), loss(real, fake), atol=1e-6)
        assert not torch.allclose(loss(real, fake.roll(1)), loss(real, fake), atol=1e-4)
    expected = torch.log1p(torch.exp(fake - real)).mean()
    assert torch.allclose(relativistic_discriminator(real, fake), expected)
    assert torch.allclose(relativistic_generator(fake, real), expected), "the networks' roles are exchanged"


def test_r1_is_the_mean_over_images_and_can_be_differentiated() -> None:
    # D(x) = s |x|^2 / 2 has the gradient s x, so the penalty is s^2 / 2 * mean |x|^2.
    x, s = torch.randn(3, 2, 4, 4, requires_grad=True), torch.tensor(1.5, requires_grad=True)
    penalty = gradient_penalty(s * x.square().sum(dim=(1, 2, 3)) / 2, x)
    energy = x.detach().square().sum(dim=(1, 2, 3)).mean()
    assert torch.allclose(penalty, 1.5**2 / 2 * energy)
    (slope,) = torch.autograd.grad(penalty, s)
    assert torch.allclose(slope, 1.5 * energy)
