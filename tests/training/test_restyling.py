"""Regimes, partners, and the terms of redrawn pictures: what each term is and whom its gradient reaches."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from brushwork.data.loader import Batch
from brushwork.data.pictures import Pictures
from brushwork.models.generator import Generator
from brushwork.models.synthesis import Stage
from brushwork.training.augment import AugmentConfig
from brushwork.training.checkpoint import checkpoints, load_checkpoint
from brushwork.training.config import TrainConfig
from brushwork.training.draws import Draws, Rows
from brushwork.training.errors import TrainingError
from brushwork.training.losses import LossConfig
from brushwork.training.networks import frozen
from brushwork.training.restyling import (
    TERMS,
    RestyleConfig,
    autoencoding_terms,
    restyle,
    restyling_terms,
    swap_neighbours,
    weighted_sum,
)
from brushwork.training.steps import Networks, autoencoding_step, discriminator_step, restyling_step
from brushwork.training.trainer import Trainer

STAGE = Stage(16)
ALL = dict.fromkeys(TERMS, 1.0)


def draws(name: str = "test", count: int = 4) -> Draws:
    return Draws(name, rows=Rows(start=0, count=count, total=count))


@pytest.fixture
def both(nets: Networks) -> Networks:
    """As `nets`, with encoders and a variational content."""
    config = replace(nets.generator.config, encoders=True, content_blocks=1, content_latent=2)
    generator = Generator(config, nets.generator.style_names)
    with torch.no_grad():
        for parameter in generator.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return Networks(generator=generator, discriminator=nets.discriminator)


# Regimes
def test_regimes_come_in_their_shares() -> None:
    config = RestyleConfig(sampling=1.0, restyling=2.0, autoencoding=1.0)
    drawn = [config.regime_at(nimg, 7) for nimg in range(0, 16_000, 16)]
    assert drawn == [config.regime_at(nimg, 7) for nimg in range(0, 16_000, 16)]
    assert drawn != [config.regime_at(nimg, 8) for nimg in range(0, 16_000, 16)]
    shares = [drawn.count(name) / len(drawn) for name in ("sampling", "restyling", "autoencoding")]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.05)
    assert {RestyleConfig().regime_at(nimg, 0) for nimg in range(100)} == {"sampling"}


def test_diversity_falls_to_nothing() -> None:
    config = RestyleConfig(diversity=2.0, diversity_kimg=1.0)
    assert [config.weights_at(nimg)["diversity"] for nimg in (0, 500, 1000, 2000)] == [2.0, 1.0, 0.0, 0.0]
    assert config.weights_at(0)["cycle"] == config.cycle


def test_partners_are_neighbours_however_the_batch_is_split() -> None:
    x = torch.arange(8)
    assert swap_neighbours(x).tolist() == [1, 0, 3, 2, 5, 4, 7, 6]
    assert torch.cat([swap_neighbours(part) for part in x.split(4)]).equal(swap_neighbours(x))
    assert swap_neighbours(swap_neighbours(x)).equal(x)
    with pytest.raises(TrainingError, match="5 pictures cannot be paired off"):
        swap_neighbours(x[:5])


# Restyling
def test_restyled_pictures_have_their_neighbours_style(both: Networks, batch: Batch) -> None:
    by_label = restyle(
        both.generator, batch, batch.styles, STAGE, RestyleConfig(by_picture=0.0), draws(), mixing=0.0
    )
    by_looks = restyle(
        both.generator, batch, batch.styles, STAGE, RestyleConfig(by_picture=1.0), draws(), mixing=0.0
    )
    assert by_label.styles.equal(swap_neighbours(batch.styles))
    assert by_label.w.equal(by_label.mapped)
    read = both.generator.encoders.style(swap_neighbours(batch.images), by_looks.styles, STAGE)
    assert by_looks.w.equal(read)
    assert by_looks.mapped.equal(by_label.mapped)
    assert by_label.whole.tolist() == [1.0] * 4
    mixed = restyle(both.generator, batch, batch.styles, STAGE, RestyleConfig(), draws(), mixing=1.0)
    assert mixed.whole.tolist() == [0.0] * 4


def test_another_content_is_another_picture_of_the_same_code(both: Networks, batch: Batch) -> None:
    config = RestyleConfig(by_picture=0.0)
    first = restyle(both.generator, batch, batch.styles, STAGE, config, draws(), mixing=0.0)
    other = Batch(images=batch.images.flip(3), styles=batch.styles, indices=batch.indices)
    second = restyle(both.generator, other, batch.styles, STAGE, config, draws(), mixing=0.0)
    assert first.w.equal(second.w)
    assert not torch.allclose(first.images, second.images, atol=1e-3)


# Terms
def reached(term: Tensor, generator: Generator) -> set[str]:
    """Names of the generator's parts that the term's gradient reaches."""
    generator.zero_grad(set_to_none=True)
    term.backward(retain_graph=True)
    return {
        name.partition(".")[0]
        for name, p in generator.named_parameters()
        if p.grad is not None and p.grad.any()
    }


def test_whom_each_term_teaches(both: Networks, batch: Batch) -> None:
    """The style term moves the pictures and the reader of them, never the code that is to be read."""
    generator, styles = both.generator, batch.styles
    redrawn = restyle(generator, batch, styles, STAGE, RestyleConfig(by_picture=0.0), draws(), mixing=0.0)
    terms = restyling_terms(generator, redrawn, batch, styles, STAGE, ALL, draws())
    assert set(terms) == {"style", "diversity", "cycle", "content", "divergence"}
    everything = {"mapping", "synthesis", "style_encoder", "content_encoder"}
    assert reached(terms["style"], generator) == everything  # the mapping by way of the picture alone
    assert reached(terms["diversity"], generator) == {"mapping", "synthesis", "content_encoder"}
    assert reached(terms["cycle"], generator) == everything
    assert reached(terms["divergence"], generator) == {"content_encoder"}
    rebuilt = autoencoding_terms(generator, batch, styles, STAGE, ALL, draws())
    assert set(rebuilt) == {"rebuild", "divergence"}
    assert reached(rebuilt["rebuild"], generator) == everything - {"mapping"}


def test_the_style_term_is_zero_where_the_code_is_read_off(
    both: Networks, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = both.generator
    redrawn = restyle(generator, batch, batch.styles, STAGE, RestyleConfig(), draws(), mixing=0.0)
    shift = torch.tensor([0.0, 1.0, 2.0, 5.0])[:, None]

    class Reader(nn.Module):
        def forward(self, *_: Any) -> Tensor:
            return redrawn.w + shift

    monkeypatch.setattr(generator, "style_encoder", Reader())
    weights = dict.fromkeys(TERMS, 0.0) | {"style": 1.0}

    def term(whole: list[float]) -> float:
        half = replace(redrawn, whole=torch.tensor(whole))
        terms = restyling_terms(generator, half, batch, batch.styles, STAGE, weights, draws())
        assert set(terms) == {"style"}
        return float(terms["style"].detach())

    monkeypatch.setattr(Generator, "encoders", property(lambda self: Doors(self)))
    assert term([1, 1, 1, 1]) == pytest.approx(2.0)
    assert term([1, 1, 1, 0]) == pytest.approx(1.0), "what mixes two codes has none to be read"
    assert term([0, 0, 0, 0]) == 0.0


class Doors:
    def __init__(self, generator: Generator) -> None:
        self.style, self.content = generator.style_encoder, generator.content_encoder


def test_terms_without_weight_are_not_made(both: Networks, batch: Batch) -> None:
    redrawn = restyle(both.generator, batch, batch.styles, STAGE, RestyleConfig(), draws(), mixing=0.0)
    nothing = dict.fromkeys(TERMS, 0.0)
    terms = restyling_terms(both.generator, redrawn, batch, batch.styles, STAGE, nothing, draws())
    assert terms == {}
    assert float(weighted_sum(terms, nothing)) == 0


def test_the_composite_is_the_weighted_sum() -> None:
    terms = {"style": torch.tensor(2.0), "cycle": torch.tensor(-3.0)}
    assert float(weighted_sum(terms, ALL | {"style": 0.5, "cycle": 2.0})) == -5.0


# Steps
def restyled(nets: Networks, batch: Batch, share: float = 1.0) -> dict[str, Tensor]:
    nets.generator.zero_grad(set_to_none=True)
    with frozen(nets.discriminator):
        stats = restyling_step(
            nets, batch, STAGE, LossConfig(), AugmentConfig(), draws(), restyling=RestyleConfig(),
            weights=ALL, share=share,
        )  # fmt: skip
    total = sum(float(v) for v in stats.terms.values())
    assert float(stats.loss) == pytest.approx(total, rel=1e-5)
    assert stats.w_sums is not None
    return {name: p.grad for name, p in nets.generator.named_parameters() if p.grad is not None}


def test_the_share_scales_all_gradients(both: Networks, batch: Batch) -> None:
    whole, half = restyled(both, batch), restyled(both, batch, share=0.5)
    assert whole.keys() == half.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(gradient, 2 * half[name], msg=name)


def test_rebuilding_leaves_mapping_and_discriminator_alone(both: Networks, batch: Batch) -> None:
    stats = autoencoding_step(both, batch, STAGE, draws(), weights=ALL)
    assert stats.w_sums is None
    assert all(p.grad is None for p in both.generator.mapping.parameters())
    assert all(p.grad is None for p in both.discriminator.parameters())
    assert set(stats.terms) == {"rebuild", "divergence"}


def test_the_discriminator_sees_restyled_pictures_under_the_styles_asked_for(
    both: Networks, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    forward = type(both.discriminator).forward

    def spy(self: Any, images: Tensor, styles: Tensor, *rest: Any, **options: Any) -> Tensor:
        seen.append(styles)
        return forward(self, images, styles, *rest, **options)

    monkeypatch.setattr(type(both.discriminator), "forward", spy)
    discriminator_step(
        both, batch, STAGE, LossConfig(), AugmentConfig(), draws(), gamma=1.0, redraw=RestyleConfig()
    )
    assert seen[0].equal(batch.styles)
    assert seen[1].equal(swap_neighbours(batch.styles))
    assert all(p.grad is None for p in both.generator.parameters())


# Runs
MIXED = RestyleConfig(sampling=1.0, restyling=1.0, autoencoding=1.0, by_picture=0.5)


@pytest.fixture
def joint(make_config: Callable[..., TrainConfig]) -> Callable[..., TrainConfig]:
    def make(**changes: Any) -> TrainConfig:
        plain = make_config()
        generator = replace(plain.generator, encoders=True, content_blocks=1)
        return replace(plain, generator=generator, restyle=MIXED, total_kimg=0.096, **changes)

    return make


def test_a_joint_run_resumes_bit_for_bit(
    joint: Callable[..., TrainConfig], pictures: Pictures, tmp_path: Any
) -> None:
    """Twelve steps of all three regimes, cut after five."""

    def state(name: str, kimg: float, *, resume: bool = False) -> dict:
        out = tmp_path / name
        Trainer(replace(joint(), out=out, total_kimg=kimg, resume=resume), pictures).run()
        return load_checkpoint(checkpoints(out / "checkpoints")[-1])

    regimes = {MIXED.regime_at(nimg, joint().seed) for nimg in range(0, 96, 8)}
    assert regimes == {"sampling", "restyling", "autoencoding"}
    whole = state("whole", 0.096)
    state("cut", 0.04)
    resumed = state("cut", 0.096, resume=True)
    for network in ("generator", "discriminator", "average"):
        assert all(torch.equal(value, resumed[network][name]) for name, value in whole[network].items()), (
            network
        )


def test_terms_are_logged_as_they_are_and_weighted(
    joint: Callable[..., TrainConfig], pictures: Pictures
) -> None:
    config = joint()
    config = replace(config, every=replace(config.every, tick_kimg=0.096))
    trainer = Trainer(config, pictures)
    trainer.run()
    (line,) = trainer.folder.history()
    for name in ("style", "cycle", "content", "rebuild"):
        assert line[f"weighted_{name}"] == pytest.approx(getattr(MIXED, name) * line[name])
    assert {"adversarial", "loss_g", "loss_d"} <= line.keys()


# Mistakes
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cycle": -1.0}, "restyle.cycle is -1.0"),
        ({"by_picture": 2.0}, "restyle.by_picture is 2.0; it is a share"),
        ({"sampling": 0.0}, "are all 0"),
    ],
)
def test_mistakes_are_named(changes: dict, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        RestyleConfig(**changes)


def test_restyling_needs_encoders(make_config: Callable[..., TrainConfig]) -> None:
    with pytest.raises(TrainingError, match=r"need encoders: set --generator\.encoders"):
        replace(make_config(), restyle=MIXED)
