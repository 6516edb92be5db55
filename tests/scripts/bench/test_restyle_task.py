"""The task of the benchmark `restyle`: even, seeded, and fair: nobody is shown what is asked for."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from brushwork.data.pictures import Pictures
from brushwork.data.sources.toy import toy_pictures
from brushwork.eval.errors import EvalError
from brushwork.scripts.bench.restyle_task import choose_task

TEST = toy_pictures(styles=3, subjects=10, size=16, seed=1)
TRAIN = toy_pictures(styles=3, subjects=12, size=16, seed=2)


def without(pictures: Pictures, *rows: int) -> Pictures:
    kept = [row for row in range(len(pictures)) if row not in rows]
    return replace(
        pictures, images=pictures.images[kept], styles=pictures.styles[kept],
        subjects=tuple(pictures.subjects[row] for row in kept),
    )  # fmt: skip


def test_pairs_are_spread_evenly() -> None:
    task = choose_task(TEST, TRAIN, 24)
    between = Counter(zip(task.origins.tolist(), task.targets.tolist(), strict=True))
    assert len(between) == 6
    assert set(between.values()) == {4}
    assert all(origin != target for origin, target in between)
    subjects = Counter(task.subjects)
    assert len(subjects) == 10
    assert max(subjects.values()) - min(subjects.values()) <= 1
    triples = set(zip(task.origins.tolist(), task.targets.tolist(), task.subjects, strict=True))
    assert len(triples) == 24, "no pair comes twice"


def test_rows_belong_together() -> None:
    task = choose_task(TEST, TRAIN, 12)
    place = {
        (style, subject): row
        for row, (style, subject) in enumerate(zip(TEST.styles.tolist(), TEST.subjects, strict=True))
    }
    for row, subject in enumerate(task.subjects):
        origin, target = int(task.origins[row]), int(task.targets[row])
        assert torch.equal(task.contents[row], TEST.images[place[origin, subject]])
        assert torch.equal(task.truths[row], TEST.images[place[target, subject]])
        own = TRAIN.images[TRAIN.styles == target]
        assert (own == task.references[row]).all(dim=(1, 2, 3)).any(), "a training picture of the style"
    assert task.target_names == tuple(TEST.style_names[style] for style in task.targets.tolist())
    pairs = task.pairs(task.truths)
    assert pairs.styles == task.target_names
    assert torch.equal(pairs.contents, task.contents)


def test_the_seed_decides_and_a_small_task_begins_a_large_one() -> None:
    large, small, other = (
        choose_task(TEST, TRAIN, count, seed=seed) for count, seed in ((24, 0), (12, 0), (24, 1))
    )
    assert small.subjects == large.subjects[:12]
    assert torch.equal(small.references, large.references[:12])
    assert other.subjects != large.subjects
    assert len({task.fingerprint for task in (large, small, other)}) == 3
    assert choose_task(TEST, TRAIN, 24).fingerprint == large.fingerprint
    swapped = replace(large, references=large.references.flip(0))
    assert swapped.fingerprint != large.fingerprint


def test_only_subjects_that_were_drawn_in_both_styles_are_asked_for() -> None:
    """Without its first drawing, subject 0 of style 0 is neither a content nor a truth; unlabelled pictures
    are no drawings at all."""
    task = choose_task(without(TEST, 0), TRAIN, 56)
    asked = set(zip(task.origins.tolist(), task.targets.tolist(), task.subjects, strict=True))
    assert len(asked) == 56
    assert not [1 for origin, target, subject in asked if subject == "0000" and 0 in (origin, target)]
    styles = torch.where(torch.arange(30) == 0, -1, TEST.styles)
    assert choose_task(replace(TEST, styles=styles), TRAIN, 56).subjects == task.subjects


def test_mistakes_are_named() -> None:
    with pytest.raises(EvalError, match="5 pairs are too few for 3 styles: take 6"):
        choose_task(TEST, TRAIN, 5)
    with pytest.raises(EvalError, match=r"allow 60 pairs.*61 were"):
        choose_task(TEST, TRAIN, 61)
    with pytest.raises(EvalError, match="'00-filled' has 0 training pictures"):
        choose_task(TEST, without(TRAIN, *range(12)), 6)
