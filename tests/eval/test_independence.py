"""Evaluators that a run looked through do not judge it; those that chose it say so."""

import pytest

from brushwork.eval.errors import EvalError
from brushwork.eval.features.extractors import EXTRACTORS
from brushwork.eval.independence import cautions_on, independent
from brushwork.models.pretrained.frozen import PUBLISHED, FrozenNetwork, as_notes, from_notes

LITE, HED = "efficientnet-lite0", "hed-vgg16"
LOSS, CHOSEN, TUNED = (FrozenNetwork.published(LITE, role) for role in ("loss", "selection", "tuning"))


def test_every_evaluator_is_known() -> None:
    assert tuple(PUBLISHED) == EXTRACTORS


def test_an_evaluator_that_gave_gradients_is_left_out_or_refused() -> None:
    assert independent((LITE, HED), (LOSS,), chosen=False) == (HED,)
    for features, chosen in (((LITE,), False), ((LITE, HED), True)):
        with pytest.raises(EvalError, match=r"lite0 gave .* gradients.*--features hed-vgg16 .*fetch hed"):
            independent(features, (LOSS,), chosen=chosen)
    assert independent((LITE, HED), (CHOSEN, TUNED), chosen=True) == (LITE, HED)


def test_the_same_weights_under_another_name_are_the_same_network() -> None:
    alias = FrozenNetwork(name="mine", weights=PUBLISHED[LITE][0] + "aa", trained_on=(), role="loss")
    assert independent((LITE, HED), (alias,), chosen=False) == (HED,)
    other = FrozenNetwork(name="mine", weights="", trained_on=(), role="loss")
    assert independent((LITE, HED, "clip"), (other,), chosen=True) == (LITE, HED, "clip")


def test_choices_and_shared_images_are_cautions() -> None:
    chosen, tuned = cautions_on((LITE, HED), (CHOSEN, TUNED))
    assert chosen == f"The snapshot was chosen by {LITE}, whose figures it flatters; {HED} is independent."
    assert tuned.startswith(f"The settings were tuned by {LITE}")
    assert cautions_on((LITE,), (CHOSEN,)) == [
        f"The snapshot was chosen by {LITE}, whose figures it flatters."
    ]
    assert cautions_on((HED,), (LOSS,)) == [
        f"{HED} was trained on ImageNet, as was {LITE} of the run's losses."
    ]
    assert cautions_on(("clip",), (LOSS, CHOSEN)) == []


def test_notes_are_read_back_each_once_and_later_roles_are_left_out() -> None:
    notes = as_notes([LOSS, CHOSEN, LOSS])
    assert from_notes(notes) == (LOSS, CHOSEN)
    assert from_notes([{**notes[0], "role": "oracle"}]) == ()
