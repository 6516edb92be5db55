from collections.abc import Callable
from typing import Literal

import pytest
import torch
from torch import Tensor

from brushwork.models.discriminator import Discriminator, DiscriminatorConfig
from brushwork.models.errors import ModelError
from brushwork.models.layers import downsample2x
from brushwork.models.stage import Stage

Make = Callable[..., Discriminator]


def images(resolution: int = 16, rows: int = 4) -> Tensor:
    return torch.rand(rows, 3, resolution, resolution) * 2 - 1


def unlabelled(rows: int = 4) -> Tensor:
    return torch.zeros(rows, 3)


# Growing


@pytest.mark.parametrize("resolution", [8, 16])
def test_at_alpha_zero_it_sees_what_the_stage_before_sees(make_discriminator: Make, resolution: int) -> None:
    network, x = make_discriminator(), images(resolution)
    fading = network.features(x, Stage(resolution, 0.0))
    assert torch.allclose(fading, network.features(downsample2x(x), Stage(resolution // 2)), atol=1e-6)


@pytest.mark.parametrize("resolution", [8, 16])
def test_a_fade_that_nears_one_nears_the_finished_stage(make_discriminator: Make, resolution: int) -> None:
    network, x = make_discriminator(), images(resolution)
    nearly = network.features(x, Stage(resolution, 1 - 1e-6))
    assert torch.allclose(nearly, network.features(x, Stage(resolution)), atol=1e-4)


@pytest.mark.parametrize("stage", [Stage(4), Stage(8), Stage(8, 0.5), Stage(16, 0.5)])
def test_only_the_layers_of_the_stage_get_gradients(make_discriminator: Make, stage: Stage) -> None:
    network = make_discriminator()
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter)
    network(images(stage.resolution), torch.rand(4, 3) / 3, stage).square().sum().backward()
    entrances = {stage.resolution} | ({stage.resolution // 2} if stage.alpha < 1 else set())
    for name, parameter in network.named_parameters():
        part, *rest = name.split(".")
        used = True
        if part == "from_rgb":
            used = int(rest[0]) in entrances
        if part == "blocks":
            used = int(rest[0]) <= stage.resolution
        assert (parameter.grad is not None) == used, name


def test_pictures_of_another_size_than_the_stage_are_refused(make_discriminator: Make) -> None:
    with pytest.raises(ModelError, match="pictures of 16 px at a stage of 8 px"):
        make_discriminator()(images(16), unlabelled(), Stage(8))


# Conditioning


def test_a_zero_row_is_scored_as_a_plain_picture(make_discriminator: Make) -> None:
    network, x = make_discriminator(), images()
    plain = network.score(network.features(x, Stage(16))).squeeze(1)
    assert torch.equal(network(x, unlabelled(), Stage(16)), plain)


def test_the_logit_is_linear_in_the_style_with_the_projection_as_slope(make_discriminator: Make) -> None:
    network, x = make_discriminator(), images()
    h = network.features(x, Stage(16))
    plain = network(x, unlabelled(), Stage(16))
    first, second = torch.eye(3)[[0, 1, 2, 0]], torch.rand(4, 3)

    def share(styles: Tensor) -> Tensor:
        return network(x, styles, Stage(16)) - plain

    projection = (network.table[[0, 1, 2, 0]] * h).sum(dim=1) / h.shape[1] ** 0.5
    assert torch.allclose(share(first), projection, atol=1e-5)
    mixed = share(0.3 * first + 0.5 * second)
    assert torch.allclose(mixed, 0.3 * share(first) + 0.5 * share(second), atol=1e-5)


def test_condition_noise_moves_labelled_rows_only(make_discriminator: Make) -> None:
    network, x, drawn = make_discriminator(), images(), torch.randn(4, 12)

    def score(styles: Tensor, amount: float) -> Tensor:
        return network(x, styles, Stage(16), normal=lambda shape: drawn, condition_noise=amount)

    assert torch.equal(score(unlabelled(), 0.5), score(unlabelled(), 0.0)), "no label stays no label"
    labels = torch.eye(3)[[0, 1, 2, 0]]
    assert torch.equal(score(labels, 0.0), network(x, labels, Stage(16)))
    h = network.features(x, Stage(16))
    moved = 0.5 * (drawn * h).sum(dim=1) / 12**0.5
    assert torch.allclose(score(labels, 0.5), score(labels, 0.0) + moved, atol=1e-5)
    half = torch.allclose(score(labels / 2, 0.5), score(labels / 2, 0.0) + moved / 2, atol=1e-5)
    assert half, "half a label gets half the noise"


# Minibatch standard deviation


def test_without_groups_pictures_do_not_touch_each_other(make_discriminator: Make) -> None:
    network, x = make_discriminator(group=1), images()
    assert torch.allclose(
        network(x, unlabelled(), Stage(16))[:1], network(x[:1], unlabelled(1), Stage(16)), atol=1e-5
    )


def test_groups_see_how_alike_their_pictures_are(make_discriminator: Make) -> None:
    network, x = make_discriminator(group=4), images()
    alike = torch.cat([x[:1]] * 4)
    apart = torch.cat([x[:1], -x[1:]])
    assert not torch.allclose(
        network.features(alike, Stage(16))[0], network.features(apart, Stage(16))[0], atol=1e-4
    )


def test_a_batch_split_at_its_groups_is_scored_as_the_whole(make_discriminator: Make) -> None:
    network, x, styles = make_discriminator(group=2), images(), torch.eye(3)[[0, 1, 2, 0]]
    whole = network(x, styles, Stage(16, 0.5))
    parts = [network(x[i : i + 2], styles[i : i + 2], Stage(16, 0.5)) for i in (0, 2)]
    assert torch.allclose(whole, torch.cat(parts), atol=1e-5)


def test_it_can_be_differentiated_twice(make_discriminator: Make) -> None:
    network, x = make_discriminator(), images().requires_grad_()
    torch.nn.init.ones_(network.blocks["8"].attention.gate)  # type: ignore[union-attr, arg-type]
    logits = network(x, torch.eye(3)[[0, 1, 2, 0]], Stage(16, 0.5))
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    gradient.square().sum().backward()
    used = dict(network.named_parameters())["from_rgb.16.conv.weight"].grad
    assert used is not None
    assert used.any()


# Minibatch statistics


@pytest.mark.parametrize(("group", "std", "more"), [(4, "each", 12), (4, "average", 1), (1, "each", 0)])
def test_the_last_convolution_sees_the_deviations(
    group: int, std: Literal["each", "average"], more: int
) -> None:
    shape = DiscriminatorConfig(channel_base=128, channel_max=12, minibatch_group=group, minibatch_std=std)
    network, x = Discriminator(shape, resolution=16, styles=3), images()
    assert network.conv.weight.shape[1] == 12 + more
    alone = torch.cat([network(one[None], torch.zeros(1, 3), Stage(16)) for one in x])
    assert torch.allclose(network(x, torch.zeros(len(x), 3), Stage(16)), alone, atol=1e-5) == (group == 1)
