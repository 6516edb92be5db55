"""Hidden, missing and pseudo_labels labels."""

from dataclasses import replace

import pytest
import torch

from brushwork.data.dataset import Pictures
from brushwork.training.errors import TrainingError
from brushwork.training.prepare.labels import LabelConfig, labelled, pseudo_labels, with_share

STYLES = torch.tensor([0] * 10 + [1] * 20 + [-1] * 5)


def test_a_share_of_each_styles_labels_is_kept() -> None:
    kept = with_share(STYLES, 0.25, seed=1)
    assert [(kept == style).sum().item() for style in (0, 1, -1)] == [3, 5, 27], "rounded up"
    assert kept[kept >= 0].equal(STYLES[kept >= 0])
    assert with_share(STYLES, 0.25, seed=1).equal(kept)
    assert not with_share(STYLES, 0.25, seed=2).equal(kept)
    assert with_share(STYLES, 1.0, seed=1).equal(STYLES)
    assert (with_share(STYLES, 0.0, seed=1) == -1).all()


def test_more_labels_hold_fewer() -> None:
    """Runs with other shares are comparable: who has a label with less has it with more."""
    few, many = with_share(STYLES, 0.2, seed=1), with_share(STYLES, 0.5, seed=1)
    assert many[few >= 0].equal(few[few >= 0])


def test_sure_guesses_fill_in_what_is_missing_and_nothing_else() -> None:
    styles = torch.tensor([0, -1, -1, -1, -1])
    hidden = torch.tensor([0, 1, 0, -1, 1])
    sure = torch.tensor([[0.0, 1.0], [0.1, 0.9], [0.05, 0.95], [0.8, 0.2], [0.6, 0.4]])
    found = pseudo_labels(styles, sure, 0.8, hidden)
    assert found.styles.tolist() == [0, 1, 1, 0, -1], "a label is never overruled; 0.6 is not sure"
    assert found.accepted == 0.75
    assert found.right == 0.5, "of two that are known, one is right; the third nobody knows"
    assert pseudo_labels(styles, sure, 0.8, styles).right is None
    assert pseudo_labels(hidden.clamp(min=0), sure, 0.8, hidden).accepted == 0, "nothing is missing"


def test_unlabelled_pictures_are_kept_or_left_out(pictures: Pictures) -> None:
    some = labelled(pictures, LabelConfig(share=0.5), seed=0)
    assert len(some) == len(pictures)
    assert (some.styles >= 0).sum() == len(pictures) / 2
    fewer = labelled(pictures, LabelConfig(share=0.5, unlabelled="drop"), seed=0)
    assert fewer.styles.equal(some.styles[some.styles >= 0])
    rows = (some.styles >= 0).nonzero().squeeze(1)
    assert fewer.take(torch.arange(len(fewer))).equal(pictures.take(rows))
    assert fewer.subjects == tuple(pictures.subjects[row] for row in rows.tolist())
    assert labelled(pictures, LabelConfig(), seed=0) is pictures


def test_no_guess_is_made_for_what_is_dropped() -> None:
    with pytest.raises(TrainingError, match="set it to keep"):
        LabelConfig(pseudo=0.9, unlabelled="drop")


def test_dropping_everything_is_refused(pictures: Pictures) -> None:
    none = replace(pictures, styles=torch.full_like(pictures.styles, -1))
    with pytest.raises(TrainingError, match="no picture has a label"):
        labelled(none, LabelConfig(unlabelled="drop"), seed=0)
