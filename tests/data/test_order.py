"""Pairs of drawings: one subject, two styles, side by side."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from brushwork.data.errors import DataError
from brushwork.data.loader import Loader, LoaderConfig
from brushwork.data.order import Paired
from brushwork.data.toy import toy_pictures

TOY = toy_pictures(styles=3, subjects=8, size=16)
PAIRED = LoaderConfig(paired=True)


def test_neighbours_show_one_subject_in_two_styles() -> None:
    rows = Loader(TOY, PAIRED, seed=0).indices_at(0, 160)
    for one, other in rows.reshape(-1, 2):
        assert TOY.subjects[one] == TOY.subjects[other]
        assert TOY.styles[one] != TOY.styles[other]
    first_epoch = [TOY.subjects[row] for row in rows[:16:2]]
    assert sorted(first_epoch) == sorted(set(TOY.subjects)), "every subject once in an epoch"
    assert set(rows.tolist()) == set(range(24)), "and every drawing in time"


def test_pairs_are_a_function_of_their_number() -> None:
    whole = Loader(TOY, PAIRED, seed=3).indices_at(0, 40)
    assert Loader(TOY, PAIRED, seed=3).indices_at(13, 6).tolist() == whole[13:19].tolist()
    assert Loader(TOY, PAIRED, seed=4).indices_at(0, 40).tolist() != whole.tolist()


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


# Mistakes
def test_pairs_need_subjects_of_several_styles() -> None:
    alone = replace(TOY, subjects=tuple(str(n) for n in range(24)))
    with pytest.raises(DataError, match="No subject is drawn in two styles"):
        Loader(alone, PAIRED, seed=0)


@pytest.mark.parametrize("changes", [{"balanced": True}, {"flip": True}, {"rotate": 5.0}])
def test_pairs_are_kept_as_they_are(changes: dict) -> None:
    with pytest.raises(DataError, match="paired keeps the pictures of a subject as they are"):
        replace(PAIRED, **changes)
