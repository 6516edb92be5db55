"""Parts that are kept and taken up again, times by the picture, one table in which all are measured alike."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from brushwork.data.pictures import Pictures
from brushwork.data.sources.toy import toy_pictures
from brushwork.eval.errors import EvalError
from brushwork.eval.features.cache import FeatureCache
from brushwork.eval.pairs.figures import STYLE_MEAN, UNCHANGED, Drawings
from brushwork.eval.pairs.suite import PairNetworks
from brushwork.eval.reference import build_reference
from brushwork.eval.sources import Stored
from brushwork.scripts.bench.restyle import contest_grid, contest_plot
from brushwork.scripts.bench.restyle_comparison import Absent, Contest, Drawn, Judge, Method, drawn_by, hold
from brushwork.scripts.bench.restyle_methods import NEAREST, REAL, trivial_answers
from brushwork.scripts.bench.restyle_task import Task, choose_task

if TYPE_CHECKING:
    from ...eval.conftest import Colours
else:
    Colours = Any

TEST = toy_pictures(styles=3, subjects=10, size=16, seed=1)
TRAIN = toy_pictures(styles=3, subjects=12, size=16, seed=2)
TASK = choose_task(TEST, TRAIN, 12)


class Counting:
    """Negatives, and how many it drew. It may be made to give up before a row."""

    def __init__(self, fails_at: int = 1000) -> None:
        self.drawn, self.fails_at = 0, fails_at

    def __call__(self, task: Task, rows: Tensor) -> Tensor:
        if self.fails_at in rows:
            raise KeyboardInterrupt
        self.drawn += len(rows)
        return 255 - task.contents[rows]


def method(draw: Counting, identity: str = "negative", part: int = 5) -> Method:
    return Method(name="The Negative", draw=draw, identity=identity, part=part)


# Drawing
def test_parts_are_drawn_in_order() -> None:
    draw = Counting()
    found = drawn_by(method(draw), TASK, None)
    assert torch.equal(found.outputs, 255 - TASK.contents)
    assert (draw.drawn, len(found.wall), len(found.processor)) == (12, 3, 3)
    assert (found.wall > 0).all()


def test_a_cut_run_goes_on_where_it_stood(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        drawn_by(method(Counting(fails_at=11)), TASK, tmp_path)
    draw = Counting()
    found = drawn_by(method(draw), TASK, tmp_path)
    assert draw.drawn == 2
    assert torch.equal(found.outputs, 255 - TASK.contents)
    assert len(found.wall) == 3
    again = Counting()
    assert torch.equal(drawn_by(method(again), TASK, tmp_path).outputs, found.outputs)
    assert again.drawn == 0
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("change", ["identity", "part", "task", "damage", "cut"])
def test_what_was_kept_of_something_else_is_drawn_anew(tmp_path: Path, change: str) -> None:
    drawn_by(method(Counting()), TASK, tmp_path)
    (path,) = tmp_path.iterdir()
    draw, task = Counting(), TASK
    other = method(draw)
    if change == "identity":
        other = method(draw, identity="other")
    elif change == "part":
        other = method(draw, part=6)
    elif change == "task":
        task = choose_task(TEST, TRAIN, 12, seed=1)
    elif change == "damage":
        path.write_bytes(b"nonsense")
    else:
        path.write_bytes(path.read_bytes()[:-7])
    found = drawn_by(other, task, tmp_path)
    assert draw.drawn == 12
    assert torch.equal(found.outputs, 255 - task.contents)


def test_pictures_of_another_kind_are_refused() -> None:
    def small(task: Task, rows: Tensor) -> Tensor:
        return task.contents[rows][:, :, :8]

    def floats(task: Task, rows: Tensor) -> Tensor:
        return task.contents[rows] / 255

    for wrong in (small, floats):
        with pytest.raises(EvalError, match=r"Bad gave .* for \(5, 3, 16, 16\)"):
            drawn_by(Method(name="Bad", draw=wrong, identity="", part=5), TASK, None)


def test_seconds_are_medians_of_a_picture() -> None:
    """Parts of 4, 4 and 2 pictures, which took 0.5, 2 and 0.25 seconds a picture."""
    drawn = Drawn(
        outputs=TASK.contents[:10], wall=torch.tensor([2.0, 8.0, 0.5]).double(),
        processor=torch.tensor([4.0, 4.0, 4.0]).double(),
    )  # fmt: skip
    assert drawn.seconds(4) == 0.5
    assert drawn.seconds(4, processor=True) == 1.0


# Measuring
class Pixels:
    """Maps that are the picture itself."""

    name, maps_protocol = "pixels", "pixels as they are"

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        return (images.float() / 255 + 0.1,)


class Layout:
    """The picture at 4 px, as an extractor: what style and subject there are in so few values."""

    name, dim, standardised, protocol = "layout", 48, True, "layout"

    def __call__(self, images: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(images.float(), 4).flatten(1)

    def control(self) -> "Layout":
        return self


@pytest.fixture(scope="module")
def judge() -> Judge:
    def stored(pictures: Pictures) -> Stored:
        return Stored(images=pictures.images, styles=pictures.styles)

    reference = build_reference(stored(TRAIN), stored(TEST), TRAIN.style_names, "toy", [Layout()])
    return Judge(
        reference=reference, drawings=Drawings(test=TEST, train=TRAIN),
        networks=PairNetworks(maps=Pixels(), control=Pixels()), cache=FeatureCache(None),
    )  # fmt: skip


@pytest.fixture(scope="module")
def held(judge: Judge) -> tuple[Contest, dict[str, Tensor]]:
    methods = [*trivial_answers(TRAIN), replace(method(Counting()), note="A note.")]
    return hold(methods, [Absent(name="Nobody", why="it is not installed.")], TASK, judge, None)


def test_known_answers_have_known_figures(held: tuple[Contest, dict[str, Tensor]]) -> None:
    contest, outputs = held
    figures = {entry.name: entry.measures.figures for entry in contest.entries}
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
    assert list(outputs) == [entry.name for entry in contest.entries]
    timed = {entry.name for entry in contest.entries if entry.seconds is not None}
    assert timed == {NEAREST, "The Negative"}


def test_the_table_has_all_methods_and_says_who_is_absent(held: tuple[Contest, dict[str, Tensor]]) -> None:
    contest, _ = held
    table = contest.table()
    assert {len(row) for row in table.rows} == {len(table.header)}
    assert table.header.count("with random weights") == 2
    assert [row[0] for row in table.rows] == [REAL, UNCHANGED, STYLE_MEAN, NEAREST, "The Negative", "Nobody"]
    assert set(table.rows[-1][1:]) == {""}
    assert table.notes[-1] == "Nobody: it is not installed."
    assert "A note." in table.notes
    told = json.loads(json.dumps(contest.to_json()))
    assert told["absent"] == {"Nobody": "it is not installed."}
    assert told["methods"][REAL]["figures"]["truth"]["measured"]["value"] == 0
    assert told["methods"]["The Negative"]["seconds"] > 0


# Pictures
def test_the_grid_shows_what_was_drawn(held: tuple[Contest, dict[str, Tensor]]) -> None:
    _, outputs = held
    few = contest_grid(TASK, {UNCHANGED: outputs[UNCHANGED]}, 2)
    many = contest_grid(TASK, {UNCHANGED: outputs[UNCHANGED]}, 100)
    assert many.width == few.width
    assert many.height - few.height == 10 * 66, "a row is 64 px and a gap"
    red = torch.tensor([200, 0, 9], dtype=torch.uint8)[:, None, None].expand_as(TASK.contents)
    colours = contest_grid(TASK, {"red": red}, 2)
    assert (np.asarray(colours) == (200, 0, 9)).all(-1).sum() == 2 * 64 * 64


def test_the_plot_grows_with_the_methods(held: tuple[Contest, dict[str, Tensor]], tmp_path: Path) -> None:
    contest, _ = held
    heights = []
    for entries in (contest.entries[:2], contest.entries):
        contest_plot(tmp_path / "plot.png", replace(contest, entries=entries), ["The Negative"])
        with Image.open(tmp_path / "plot.png") as image:
            heights.append(image.height)
            assert len(image.convert("RGB").getcolors(maxcolors=2**20) or ()) > 3
    assert heights[1] > heights[0]
