from dataclasses import replace

import numpy as np
import pytest
import torch

from brushwork.data.errors import DataError
from brushwork.data.loader import Loader, LoaderConfig
from brushwork.data.order import Paired, Runs
from brushwork.scripts.bench.toy import toy_dataset

TOY = toy_dataset(styles=3, subjects=8, size=16)
PAIRED = LoaderConfig(paired=True)


def test_neighbours_show_one_subject_in_two_styles() -> None:
    rows = Loader(TOY, PAIRED, seed=0).indices_at(0, 160)
    for one, other in rows.reshape(-1, 2):
        assert TOY.subjects[one] == TOY.subjects[other]
        assert TOY.styles[one] != TOY.styles[other]
    first_epoch = [TOY.subjects[row] for row in rows[:16:2]]
    assert sorted(first_epoch) == sorted(set(TOY.subjects)), "every subject once in an epoch"
    assert set(rows.tolist()) == set(range(24)), "and every drawing in time"


def test_every_two_styles_meet() -> None:
    rows = Loader(TOY, PAIRED, seed=1).indices_at(0, 2000).reshape(-1, 2)
    styles = TOY.styles.numpy()[rows]
    counts = np.array([((styles == pair).all(1)).sum() for pair in [(0, 1), (1, 2), (2, 0), (1, 0), (0, 2)]])
    assert counts.min() > 1000 / 6 * 0.7


def test_subjects_of_one_style_and_unlabelled_pictures_are_passed_over() -> None:
    styles = TOY.styles.clone()
    styles[torch.tensor([name == "0000" for name in TOY.subjects]) & (styles > 0)] = -1
    rows = Paired(styles, TOY.subjects, 0).rows(np.arange(200))
    assert "0000" not in {TOY.subjects[row] for row in rows}


def test_neighbours_in_runs_share_their_style_whatever_the_batch() -> None:
    rows = Loader(TOY, seed=2, run=4).indices_at(0, 240)
    runs = TOY.styles.numpy()[rows].reshape(-1, 4)
    assert (runs == runs[:, :1]).all()
    assert len({tuple(block) for block in runs[:, 0].reshape(-1, 6).tolist()}) > 1, "styles are shuffled"
    assert np.bincount(rows).tolist() == [10] * 24, "every image as often as every other"
    again = Loader(TOY, seed=2, run=4)
    assert np.concatenate([again.indices_at(n, 12) for n in range(0, 240, 12)]).tolist() == rows.tolist()


@pytest.mark.parametrize(("balanced", "shares"), [(False, [12, 4, 4]), (True, [4, 4, 4])])
def test_runs_come_as_often_as_pictures_or_as_styles(balanced: bool, shares: list[int]) -> None:
    """Of 12 images, of 5 and of 2: three runs of 4 in a block, one, and one for the smallest of all."""
    styles = torch.tensor([0] * 12 + [1] * 5 + [-1] * 2)
    order = Runs(styles, 0, run=4, balanced=balanced)
    rows = order.rows(np.arange(10 * sum(shares)))
    assert [(styles.numpy()[rows] == style).sum() for style in (0, 1, -1)] == [10 * n for n in shares]
    assert set(rows.tolist()) == set(range(19)), "every image in time"
    for block in rows.reshape(10, -1):
        assert [(styles.numpy()[block] == style).sum() for style in (0, 1, -1)] == shares


def test_pairs_need_subjects_of_several_styles() -> None:
    alone = replace(TOY, subjects=tuple(str(n) for n in range(24)))
    with pytest.raises(DataError, match="No subject has two styles"):
        Loader(alone, PAIRED, seed=0)
    for changes in ({"balanced": True}, {"flip": True}):
        with pytest.raises(DataError, match="paired excludes balanced and flip"):
            replace(PAIRED, **changes)
