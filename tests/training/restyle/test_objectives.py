"""The objectives of the encoders: what each loss term is, and which networks its gradient reaches."""

from typing import Any

import pytest
import torch
from torch import Tensor

from brushwork.data.loader import Batch
from brushwork.models.encoders import StyleClassifier, StyleEncoder
from brushwork.models.generator import Generator
from brushwork.models.mapping import mix
from brushwork.models.stage import Stage
from brushwork.models.synthesis import Content
from brushwork.training import step
from brushwork.training.adversarial import LossConfig
from brushwork.training.errors import TrainingError
from brushwork.training.restyle import objectives
from brushwork.training.restyle.config import TERMS, RestyleConfig
from brushwork.training.restyle.objectives import Contrast, Restyled, RestylingObjective, swap_neighbours
from brushwork.training.state import frozen
from brushwork.training.step import Networks, StepContext, generator_step, simultaneous_step

from ..conftest import four, step_context

STAGE = Stage(16)
NOTHING = dict.fromkeys(TERMS, 0.0)


def test_partners_are_neighbours_however_the_batch_is_split() -> None:
    x = torch.arange(8)
    assert swap_neighbours(x).tolist() == [1, 0, 3, 2, 5, 4, 7, 6]
    assert torch.cat([swap_neighbours(part) for part in x.split(4)]).equal(swap_neighbours(x))
    with pytest.raises(TrainingError, match="5 images cannot be paired off"):
        swap_neighbours(x[:5])


def restyled_by(nets: Networks, batch: Batch, *, mixing: float = 0.0, **changes: Any) -> Restyled:
    """Restyled by latent codes alone, unless `changes` says otherwise."""
    probabilities: dict[str, Any] = {"exemplar_prob": 0.0, "self_style_prob": 0.0, "label_dropout": 0.0}
    config = RestyleConfig(**(probabilities | changes))
    context = step_context(LossConfig(mixing=mixing), stage=STAGE, restyle=config)
    return objectives.restyle(nets.generator, batch, context)


def test_restyled_images_have_their_neighbours_style(both: Networks, batch: Batch) -> None:
    by_label, by_exemplar = restyled_by(both, batch), restyled_by(both, batch, exemplar_prob=1.0)
    from_self = restyled_by(both, batch, self_style_prob=1.0)
    target, encode = swap_neighbours(batch.styles), both.generator.encoders.style
    assert by_label.target_styles.equal(target)
    assert by_label.w.equal(by_label.mapped)
    torch.testing.assert_close(by_exemplar.w, encode(swap_neighbours(batch.images), target, STAGE))
    torch.testing.assert_close(from_self.w, encode(batch.images, target, STAGE))
    assert by_exemplar.mapped.equal(by_label.mapped)
    assert by_label.unmixed.tolist() == [1.0] * 4
    assert [r.from_self.mean().item() for r in (by_label, by_exemplar, from_self)] == [0.0, 0.0, 1.0]
    assert restyled_by(both, batch, mixing=1.0).unmixed.tolist() == [0.0] * 4


def test_a_mixture_of_two_exemplars_targets_the_blend_of_their_styles(both: Networks, batch: Batch) -> None:
    """Content enters at 8 px: images pass layers 3, 4 and 5; from a cutoff on, with the second code."""
    mixed, generator = restyled_by(both, batch, exemplar_prob=1.0, mixing=1.0), both.generator
    target, encode = swap_neighbours(batch.styles), generator.encoders.style
    own_share = (mixed.target_styles * batch.styles).sum(dim=1)
    assert set((own_share[batch.styles.ne(target).any(dim=1)] * 3).round().int().tolist()) <= {1, 2}
    torch.testing.assert_close(mixed.target_styles.sum(dim=1), torch.ones(4))
    assert mixed.mapped_styles.equal(target)
    first = encode(swap_neighbours(batch.images), target, STAGE)
    second = encode(batch.images, batch.styles, STAGE)
    for row in range(4):
        if batch.styles[row].equal(target[row]):
            continue
        cutoff = 6 - round(3 * float(own_share[row]))
        codes = mix(first[row : row + 1], second[row : row + 1], [cutoff], layers=generator.layers)
        content = Content(features=mixed.content.features[row : row + 1])
        quiet = generator.synthesis(codes, STAGE, None, content)
        noisy = mixed.images[row : row + 1]
        straight = mix(second[row : row + 1], first[row : row + 1], [cutoff], layers=generator.layers)
        wrong = generator.synthesis(straight, STAGE, None, content)
        assert (noisy - quiet).square().mean() < (noisy - wrong).square().mean()


def test_a_hidden_label_is_hidden_from_the_encoder_and_stays_the_target(both: Networks, batch: Batch) -> None:
    hidden = restyled_by(both, batch, exemplar_prob=1.0, label_dropout=1.0)
    unlabelled = both.generator.encoders.style(swap_neighbours(batch.images), torch.zeros(4, 3), STAGE)
    torch.testing.assert_close(hidden.w, unlabelled)
    assert hidden.target_styles.equal(swap_neighbours(batch.styles))


def test_codes_change_at_a_layer_that_images_pass() -> None:
    many = four("cutoffs", count=400)
    found = step.mixing_cutoffs(many, 0.5, low=4, active=8)
    assert set(found.tolist()) == {4, 5, 6, 7, 8}
    assert (found < 8).float().mean() == pytest.approx(0.5, abs=0.1)
    for mixing, low in ((1.0, 6), (0.0, 1)):  # no layer is left to change at, or no code changes
        assert set(step.mixing_cutoffs(many, mixing, low=low, active=6).tolist()) == {6}


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
    nets: Networks, classifier: StyleClassifier | None, fakes: Restyled, batch: Batch, *names: str
) -> dict[str, Tensor]:
    """All terms, or those named."""
    weights = NOTHING | dict.fromkeys(names or TERMS, 1.0)
    context = step_context(stage=STAGE, weights=weights, classifier=classifier)
    return RestylingObjective().terms_of_fakes(nets.generator, fakes, batch, context)


EVERYTHING = {"mapping", "synthesis", "style_encoder", "content_encoder"}


def test_whom_each_term_trains(both: Networks, batch: Batch, classifier: StyleClassifier) -> None:
    """The style term trains the images and their encoder, never the code that is to be read."""
    generator = both.generator
    terms = terms_of(both, classifier, restyled_by(both, batch), batch)
    assert set(terms) == {"style", "cycle", "content", "paired", "kl", "perceptual", "classifier"}
    assert reached(terms["style"], generator) == EVERYTHING  # the mapping by way of the image alone
    assert reached(terms["cycle"], generator) == EVERYTHING
    assert reached(terms["kl"], generator) == {"content_encoder"}
    for name in ("perceptual", "classifier", "paired"):
        assert reached(terms[name], generator) == {"mapping", "synthesis", "content_encoder"}, name
    assert all(p.grad is None for p in classifier.parameters())


def test_the_way_back_takes_own_style_features_from_the_restyled_image(
    both: Networks, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This holds for images that keep their own features; the others take those of the original."""
    seen: list[Tensor] = []
    head = StyleEncoder.head

    def spy(self: StyleEncoder, style_features: Tensor, styles: Tensor) -> Tensor:
        seen.append(style_features)
        return head(self, style_features, styles)

    fakes = {name: restyled_by(both, batch, **{name: 1.0}) for name in ("exemplar_prob", "self_style_prob")}
    monkeypatch.setattr(StyleEncoder, "head", spy)
    for name, original in (("exemplar_prob", True), ("self_style_prob", False)):
        seen.clear()
        terms_of(both, None, fakes[name], batch, "cycle")
        (back,) = seen
        assert back.equal(fakes[name].style_features) == original, name


def test_autoencoding_trains_the_encoders_and_the_synthesis(both: Networks, batch: Batch) -> None:
    context = step_context(stage=STAGE, restyle=RestyleConfig(label_dropout=0.0))
    found = objectives.Autoencoding().terms(both.generator, batch, context)
    assert set(found) == {"reconstruct", "kl"}
    assert reached(found["reconstruct"], both.generator) == EVERYTHING - {"mapping"}
    stats = step.encoder_step(objectives.Autoencoding(), both, batch, context)
    assert stats.w_sums is None
    assert set(stats.terms) == {"reconstruct", "kl"}
    assert all(p.grad is None for p in both.discriminator.parameters())


def test_contrast_trains_the_style_encoder_alone_and_sees_no_label(both: Networks, batch: Batch) -> None:
    found = Contrast().terms(both.generator, batch, step_context(stage=STAGE))
    assert reached(found["info_nce"], both.generator) == {"style_encoder"}
    unlabelled = Batch(images=batch.images, styles=torch.zeros(4, 3), indices=batch.indices)
    again = Contrast().terms(both.generator, unlabelled, step_context(stage=STAGE))
    assert found["info_nce"].equal(again["info_nce"])


def test_terms_without_weight_are_not_computed(both: Networks, batch: Batch) -> None:
    context = step_context(stage=STAGE, weights=NOTHING)
    assert RestylingObjective().terms_of_fakes(both.generator, restyled_by(both, batch), batch, context) == {}
    assert float(step.encoder_step(Contrast(), both, batch, context).loss) == 0
    assert not any(p.grad is not None and p.grad.any() for p in both.generator.parameters())
    assert float(step.weighted_sum({}, NOTHING)) == 0
    terms = {"style": torch.tensor(2.0), "cycle": torch.tensor(-3.0)}
    assert float(step.weighted_sum(terms, {"style": 0.5, "cycle": 2.0})) == -5.0


def gradients(network: torch.nn.Module) -> dict[str, Tensor]:
    """Takes away the gradients of every weight; zero where there is none."""
    found = {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in network.named_parameters()
    }
    network.zero_grad(set_to_none=True)
    return found


def test_only_composite_losses_log_terms(both: Networks, classifier: StyleClassifier, batch: Batch) -> None:
    class Plain(RestylingObjective):
        composite = False

    context = step_context(stage=STAGE, classifier=classifier)
    for one, logged in ((RestylingObjective(), set(TERMS) - {"reconstruct", "info_nce"}), (Plain(), set())):
        _, together = simultaneous_step(one, both, batch, context)
        for stats in (together, generator_step(one, both, batch, context)):
            assert set(stats.terms) == logged


def test_the_discriminator_sees_restyled_images_under_their_target_styles(
    both: Networks, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    forward = type(both.discriminator).forward

    def spy(self: Any, images: Tensor, styles: Tensor, *rest: Any, **options: Any) -> Tensor:
        seen.append(styles)
        return forward(self, images, styles, *rest, **options)

    monkeypatch.setattr(type(both.discriminator), "forward", spy)
    context = step_context(LossConfig(mixing=0.0), stage=STAGE, gamma=1.0)
    step.discriminator_step(RestylingObjective(), both, batch, context)
    assert seen[0].equal(batch.styles)
    assert seen[1].equal(swap_neighbours(batch.styles))
    assert all(p.grad is None for p in both.generator.parameters())


@pytest.mark.parametrize("gan_loss", ["logistic", "relativistic"])
@pytest.mark.parametrize(
    ("off", "gamma"), [((), 0.0), ((), 2.0), (("adversarial",), 0.0), (tuple(TERMS), 0.0)]
)
def test_a_simultaneous_step_gives_the_gradients_of_both_single_steps(
    both: Networks, classifier: StyleClassifier, batch: Batch, gan_loss: Any, off: Any, gamma: float
) -> None:
    weights = {name: 0.0 if name in off else 0.5 + 0.1 * place for place, name in enumerate(TERMS)}

    def context() -> StepContext:
        return step_context(
            LossConfig(gan_loss=gan_loss, mixing=0.5), stage=STAGE, gamma=gamma, grad_scale=0.5,
            weights=weights, classifier=classifier,
        )  # fmt: skip

    seen, learned = simultaneous_step(RestylingObjective(), both, batch, context())
    together = gradients(both.discriminator), gradients(both.generator)
    # Each step restyles first of all, so with the same random numbers.
    seen_alone = step.discriminator_step(RestylingObjective(), both, batch, context())
    with frozen(both.discriminator):
        learned_alone = generator_step(RestylingObjective(), both, batch, context())
    alone = gradients(both.discriminator), gradients(both.generator)
    for found, expected in zip(together, alone, strict=True):
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5, msg=name)
    torch.testing.assert_close(vars(seen), vars(seen_alone), rtol=1e-4, atol=1e-5)
    assert learned.terms.keys() == learned_alone.terms.keys()
    torch.testing.assert_close(learned.terms, learned_alone.terms, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(learned.loss, learned_alone.loss, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(learned.w_sums, learned_alone.w_sums)
