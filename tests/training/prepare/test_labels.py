"""Hidden labels and pseudo-labels."""

import torch

from brushwork.training.prepare.labels import with_pseudo_labels, with_share

STYLES = torch.tensor([0] * 10 + [1] * 20 + [-1] * 5)


def test_a_share_of_each_styles_labels_is_kept() -> None:
    kept = with_share(STYLES, 0.25, seed=1)
    assert [(kept == style).sum().item() for style in (0, 1, -1)] == [3, 5, 27], "rounded up"
    assert kept[kept >= 0].equal(STYLES[kept >= 0])
    assert with_share(STYLES, 0.25, seed=1).equal(kept)
    assert not with_share(STYLES, 0.25, seed=2).equal(kept)
    assert (with_share(STYLES, 0.0, seed=1) == -1).all()
    more = with_share(STYLES, 0.5, seed=1)
    assert more[kept >= 0].equal(kept[kept >= 0]), "who has a label with less has it with more"


def test_sure_guesses_fill_in_what_is_missing_and_nothing_else() -> None:
    styles = torch.tensor([0, -1, -1, -1, -1])
    sure = torch.tensor([[0.0, 1.0], [0.1, 0.9], [0.2, 0.8], [0.8, 0.2], [0.6, 0.4]])
    assert with_pseudo_labels(styles, sure, 0.8).tolist() == [0, 1, 1, 0, -1]
