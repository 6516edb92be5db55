"""Regimes, partners, and the terms of redrawn pictures: what each term is and whom its gradient reaches."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from brushwork.data.loader import Batch
from brushwork.models.discriminator import DiscriminatorConfig
from brushwork.models.encoders import StyleEncoder
from brushwork.models.generator import Generator
from brushwork.models.mapping import mix
from brushwork.models.stage import Stage
from brushwork.models.synthesis import Content
from brushwork.training.augment import AugmentConfig
from brushwork.training.errors import TrainingError
from brushwork.training.losses import LossConfig
from brushwork.training.restyle.config import TERMS, RestyleConfig
from brushwork.training.restyle.restyling import (
    Judges,
    Redrawn,
    autoencoding_terms,
    contrast_terms,
    cutoffs,
    restyle,
    restyling_terms,
    swap_neighbours,
    weighted_sum,
)
from brushwork.training.restyle.steps import (
    autoencoding_step,
    contrast_step,
    restyling_step,
    simultaneous_restyling_step,
)
from brushwork.training.rng import Draws, Rows
from brushwork.training.state import frozen
from brushwork.training.steps import Networks, discriminator_step

STAGE = Stage(16)
DISCRIMINATOR = DiscriminatorConfig(channel_base=128, channel_max=8, minibatch_group=2)
ALL = dict.fromkeys(TERMS, 1.0)


def draws(name: str = "test", count: int = 4) -> Draws:
    return Draws(name, rows=Rows(start=0, count=count))


# Partners and codes
def test_partners_are_neighbours_however_the_batch_is_split() -> None:
    x = torch.arange(8)
    assert swap_neighbours(x).tolist() == [1, 0, 3, 2, 5, 4, 7, 6]
    assert torch.cat([swap_neighbours(part) for part in x.split(4)]).equal(swap_neighbours(x))
    assert swap_neighbours(swap_neighbours(x)).equal(x)
    with pytest.raises(TrainingError, match="5 pictures cannot be paired off"):
        swap_neighbours(x[:5])


# Restyling
def drawn_by(
    nets: Networks, batch: Batch, *, mixing: float = 0.0, by_picture: float = 0.0, by_self: float = 0.0,
    hide_label: float = 0.0,
) -> Redrawn:  # fmt: skip
    config = RestyleConfig(by_picture=by_picture, by_self=by_self, hide_label=hide_label)
    return restyle(nets.generator, batch, batch.styles, STAGE, config, draws(), mixing=mixing)


def test_restyled_pictures_have_their_neighbours_style(both: Networks, batch: Batch) -> None:
    by_label, by_looks = drawn_by(both, batch), drawn_by(both, batch, by_picture=1.0)
    by_self = drawn_by(both, batch, by_self=1.0)
    goal, encode = swap_neighbours(batch.styles), both.generator.encoders.style
    assert by_label.styles.equal(goal)
    assert by_label.w.equal(by_label.mapped)
    torch.testing.assert_close(by_looks.w, encode(swap_neighbours(batch.images), goal, STAGE))
    torch.testing.assert_close(by_self.w, encode(batch.images, goal, STAGE))
    assert by_looks.mapped.equal(by_label.mapped)
    assert by_label.whole.tolist() == [1.0] * 4
    marks = [(r.by_picture.mean().item(), r.by_self.mean().item()) for r in (by_label, by_looks, by_self)]
    assert marks == [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]
    assert drawn_by(both, batch, mixing=1.0).whole.tolist() == [0.0] * 4


def test_two_pictures_styles_make_a_new_one(both: Networks, batch: Batch) -> None:
    """Content enters at 8 px: layers 3, 4 and 5 are passed; from a cutoff on, the second picture's code."""
    mixed, generator = drawn_by(both, batch, by_picture=1.0, mixing=1.0), both.generator
    goal, encode = swap_neighbours(batch.styles), generator.encoders.style
    asked = (mixed.styles * batch.styles).sum(dim=1)[batch.styles.ne(goal).any(dim=1)]
    assert set((asked * 3).round().int().tolist()) <= {1, 2}
    torch.testing.assert_close(mixed.styles.sum(dim=1), torch.ones(4))
    assert mixed.goals.equal(goal)
    first = encode(swap_neighbours(batch.images), goal, STAGE)
    second = encode(batch.images, batch.styles, STAGE)
    for row in range(4):
        if batch.styles[row].equal(goal[row]):
            continue
        cutoff = 6 - round(3 * float((mixed.styles[row] * batch.styles[row]).sum()))
        codes = mix(first[row : row + 1], second[row : row + 1], [cutoff], layers=generator.layers)
        content = Content(features=mixed.content.features[row : row + 1])
        quiet = generator.synthesis(codes, STAGE, None, content)
        noisy = mixed.images[row : row + 1]
        straight = mix(second[row : row + 1], first[row : row + 1], [cutoff], layers=generator.layers)
        wrong = generator.synthesis(straight, STAGE, None, content)
        assert (noisy - quiet).square().mean() < (noisy - wrong).square().mean()


def test_a_hidden_label_is_none_for_the_reader_and_stays_what_is_asked_for(
    both: Networks, batch: Batch
) -> None:
    hidden = drawn_by(both, batch, by_picture=1.0, hide_label=1.0)
    nameless = both.generator.encoders.style(swap_neighbours(batch.images), torch.zeros(4, 3), STAGE)
    torch.testing.assert_close(hidden.w, nameless)
    assert hidden.styles.equal(swap_neighbours(batch.styles))


def test_codes_change_at_a_layer_that_pictures_pass() -> None:
    many = Draws("cutoffs", rows=Rows(start=0, count=400))
    found = cutoffs(many, 0.5, low=4, active=8)
    assert set(found.tolist()) == {4, 5, 6, 7, 8}
    assert (found < 8).float().mean() == pytest.approx(0.5, abs=0.1)
    assert set(cutoffs(many, 1.0, low=6, active=6).tolist()) == {6}, "no layer is left to change at"
    assert set(cutoffs(many, 0.0, low=1, active=6).tolist()) == {6}


def test_another_content_is_another_picture_of_the_same_code(both: Networks, batch: Batch) -> None:
    first = drawn_by(both, batch)
    other = Batch(images=batch.images.flip(3), styles=batch.styles, indices=batch.indices)
    second = drawn_by(both, other)
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


def terms_of(
    nets: Networks, judges: Judges, redrawn: Redrawn, batch: Batch, weights: dict[str, float]
) -> dict[str, Tensor]:
    config = RestyleConfig()
    return restyling_terms(
        nets.generator, judges, redrawn, batch, batch.styles, STAGE, config, weights, draws()
    )


EVERYTHING = {"mapping", "synthesis", "style_encoder", "content_encoder"}


def test_whom_each_term_teaches(both: Networks, batch: Batch, judges: Judges) -> None:
    """The style term moves the pictures and the reader of them, never the code that is to be read."""
    generator = both.generator
    terms = terms_of(both, judges, drawn_by(both, batch), batch, ALL)
    judged = {"perceptual", "classifier", "gram", "mean_std"}
    assert set(terms) == {"style", "diversity", "cycle", "content", "paired", "divergence"} | judged
    assert reached(terms["style"], generator) == EVERYTHING  # the mapping by way of the picture alone
    assert reached(terms["diversity"], generator) == {"mapping", "synthesis", "content_encoder"}
    assert reached(terms["cycle"], generator) == EVERYTHING
    assert reached(terms["divergence"], generator) == {"content_encoder"}
    for name in ("perceptual", "classifier", "paired"):
        assert reached(terms[name], generator) == {"mapping", "synthesis", "content_encoder"}, name
    assert judges.classifier is not None
    assert all(p.grad is None for p in judges.classifier.parameters())


def test_looks_are_followed_where_a_picture_gave_them(both: Networks, batch: Batch, judges: Judges) -> None:
    """Gram and mean/std compare with the neighbour: only with those whose code was read off it, wholly."""
    for name in ("gram", "mean_std"):
        weights = dict.fromkeys(TERMS, 0.0) | {name: 1.0}
        (by_label,) = terms_of(both, judges, drawn_by(both, batch), batch, weights).values()
        redrawn = drawn_by(both, batch, by_picture=1.0)
        (by_picture,) = terms_of(both, judges, redrawn, batch, weights).values()
        perfect = replace(redrawn, images=swap_neighbours(batch.images))
        (none,) = terms_of(both, judges, perfect, batch, weights).values()
        assert by_label.item() == 0
        assert by_picture.item() > 0
        assert none.item() == pytest.approx(0, abs=1e-9)


def test_own_looks_must_show_in_the_picture_to_come_back(
    both: Networks, batch: Batch, judges: Judges, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code for the way back is read off the restyled picture where its looks were to be kept, else off
    the original."""
    seen: list[Tensor] = []
    head = StyleEncoder.head

    def spy(self: StyleEncoder, looks: Tensor, styles: Tensor) -> Tensor:
        seen.append(looks)
        return head(self, looks, styles)

    weights = dict.fromkeys(TERMS, 0.0) | {"cycle": 1.0}
    redrawn = {name: drawn_by(both, batch, **{name: 1.0}) for name in ("by_picture", "by_self")}
    monkeypatch.setattr(StyleEncoder, "head", spy)
    for name, original in (("by_picture", True), ("by_self", False)):
        seen.clear()
        terms_of(both, judges, redrawn[name], batch, weights)
        (back,) = seen
        assert back.equal(redrawn[name].looks) == original, name


def test_rebuilding_teaches_the_encoders_and_the_synthesis(
    both: Networks, batch: Batch, judges: Judges
) -> None:
    config = RestyleConfig(hide_label=0.0)
    rebuilt = autoencoding_terms(both.generator, judges, batch, batch.styles, STAGE, config, ALL, draws())
    assert set(rebuilt) == {"rebuild", "rebuild_perceptual", "divergence"}
    for name in ("rebuild", "rebuild_perceptual"):
        assert reached(rebuilt[name], both.generator) == EVERYTHING - {"mapping"}


def test_contrast_teaches_the_style_encoder_alone_and_looks_at_no_label(both: Networks, batch: Batch) -> None:
    found = contrast_terms(both.generator, batch, STAGE, RestyleConfig(), draws())
    assert reached(found["crops"], both.generator) == {"style_encoder"}
    other = Batch(images=batch.images, styles=torch.zeros(4, 3), indices=batch.indices)
    again = contrast_terms(both.generator, other, STAGE, RestyleConfig(), draws())
    assert found["crops"].equal(again["crops"])


def test_terms_without_weight_are_not_made(both: Networks, batch: Batch) -> None:
    nothing = dict.fromkeys(TERMS, 0.0)
    terms = terms_of(both, Judges(), drawn_by(both, batch), batch, nothing)
    assert terms == {}
    assert float(weighted_sum(terms, nothing)) == 0


def test_the_composite_is_the_weighted_sum() -> None:
    terms = {"style": torch.tensor(2.0), "cycle": torch.tensor(-3.0)}
    assert float(weighted_sum(terms, ALL | {"style": 0.5, "cycle": 2.0})) == -5.0


# Steps
def restyled(nets: Networks, judges: Judges, batch: Batch, share: float = 1.0) -> dict[str, Tensor]:
    nets.generator.zero_grad(set_to_none=True)
    with frozen(nets.discriminator):
        stats = restyling_step(
            nets, judges, batch, STAGE, LossConfig(), AugmentConfig(), draws(), RestyleConfig(),
            weights=ALL, share=share,
        )  # fmt: skip
    total = sum(float(v) for v in stats.terms.values())
    assert float(stats.loss) == pytest.approx(total, rel=1e-5)
    assert stats.w_sums is not None
    return {name: p.grad for name, p in nets.generator.named_parameters() if p.grad is not None}


def test_the_share_scales_all_gradients(both: Networks, judges: Judges, batch: Batch) -> None:
    whole, half = restyled(both, judges, batch), restyled(both, judges, batch, share=0.5)
    assert whole.keys() == half.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(gradient, 2 * half[name], msg=name)


def test_rebuilding_leaves_mapping_and_discriminator_alone(
    both: Networks, judges: Judges, batch: Batch
) -> None:
    stats = autoencoding_step(both, judges, batch, STAGE, draws(), RestyleConfig(), weights=ALL)
    assert stats.w_sums is None
    assert all(p.grad is None for p in both.generator.mapping.parameters())
    assert all(p.grad is None for p in both.discriminator.parameters())
    assert set(stats.terms) == {"rebuild", "rebuild_perceptual", "divergence"}


def test_nothing_is_learnt_where_all_weights_have_fallen_to_0(both: Networks, batch: Batch) -> None:
    nothing = dict.fromkeys(TERMS, 0.0)
    stats = contrast_step(both, batch, STAGE, draws(), RestyleConfig(), weights=nothing)
    assert float(stats.loss) == 0
    assert not any(p.grad is not None and p.grad.any() for p in both.generator.parameters())


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
        both,
        batch,
        STAGE,
        LossConfig(mixing=0.0),
        AugmentConfig(),
        draws(),
        gamma=1.0,
        redraw=RestyleConfig(),
    )
    assert seen[0].equal(batch.styles)
    assert seen[1].equal(swap_neighbours(batch.styles))
    assert all(p.grad is None for p in both.generator.parameters())


# The critic of contents
def test_the_critic_learns_from_contents_that_do_not(criticised: Networks, batch: Batch) -> None:
    stats = discriminator_step(
        criticised, batch, STAGE, LossConfig(), AugmentConfig(), draws(), redraw=RestyleConfig()
    )
    assert stats.critic is not None
    assert stats.critic.item() > 0
    critic = criticised.discriminator.content_critic
    assert critic is not None
    assert all(p.grad is not None and p.grad.any() for p in critic.parameters())
    assert all(p.grad is None for p in criticised.generator.parameters())


def test_the_content_encoder_alone_learns_to_fool_it(
    criticised: Networks, judges: Judges, batch: Batch
) -> None:
    weights = dict.fromkeys(TERMS, 0.0) | {"leak": 1.0}
    with frozen(criticised.discriminator):
        stats = restyling_step(
            criticised, judges, batch, STAGE, LossConfig(), AugmentConfig(), draws(), RestyleConfig(),
            weights=weights,
        )  # fmt: skip
    assert set(stats.terms) == {"leak"}
    taught = {
        name.partition(".")[0]
        for name, p in criticised.generator.named_parameters()
        if p.grad is not None and p.grad.any()
    }
    assert taught == {"content_encoder"}
    assert all(p.grad is None for p in criticised.discriminator.parameters())


# Both networks at once
@pytest.mark.parametrize("pairing", ["logistic", "relativistic"])
@pytest.mark.parametrize(
    ("off", "gamma"), [((), 0.0), ((), 2.0), (("adversarial",), 0.0), (tuple(TERMS), 0.0)]
)
def test_both_at_once_get_the_gradients_of_their_own_steps(
    criticised: Networks, judges: Judges, batch: Batch, pairing: Any, off: tuple[str, ...], gamma: float
) -> None:
    nets, config, loss = criticised, RestyleConfig(), LossConfig(pairing=pairing, mixing=0.5)
    weights = {name: 0.0 if name in off else 0.5 + 0.1 * place for place, name in enumerate(TERMS)}
    told, taught = simultaneous_restyling_step(
        nets, judges, batch, STAGE, loss, AugmentConfig(), draws(), config,
        weights=weights, gamma=gamma, share=0.5,
    )  # fmt: skip
    both = gradients(nets.discriminator), gradients(nets.generator)
    # Each step redraws the same pictures, since it redraws them first of all.
    told_alone = discriminator_step(
        nets, batch, STAGE, loss, AugmentConfig(), draws(), gamma=gamma, share=0.5, redraw=config
    )
    with frozen(nets.discriminator):
        taught_alone = restyling_step(
            nets, judges, batch, STAGE, loss, AugmentConfig(), draws(), config, weights=weights, share=0.5
        )
    alone = gradients(nets.discriminator), gradients(nets.generator)
    for found, expected in zip(both, alone, strict=True):
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5, msg=name)
    torch.testing.assert_close(vars(told), vars(told_alone), rtol=1e-4, atol=1e-5)
    assert taught.terms.keys() == taught_alone.terms.keys()
    torch.testing.assert_close(taught.terms, taught_alone.terms, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(taught.loss, taught_alone.loss, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(taught.w_sums, taught_alone.w_sums)


def gradients(network: torch.nn.Module) -> dict[str, Tensor]:
    """Of every weight, zero where there is none; taken away."""
    found = {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in network.named_parameters()
    }
    network.zero_grad(set_to_none=True)
    return found
