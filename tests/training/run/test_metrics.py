"""Measurements in the loop: of the right stage, with the same seeds, and the best of them is known."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from brushwork.data.sources.toy import toy_pictures
from brushwork.eval.errors import EvalError
from brushwork.eval.reference import Reference, build_reference
from brushwork.eval.sources import Stored
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.stage import Stage
from brushwork.training.errors import TrainingError
from brushwork.training.run import metrics as module
from brushwork.training.run.metrics import InLoopMetrics, MetricsConfig, draw_curves, is_best
from brushwork.training.run.restyled import RestyledMetrics
from brushwork.training.step import Networks

CPU = torch.device("cpu")


class Thumbnails:
    """Features for tests: the picture at 2 x 2, without weights."""

    name, protocol, dim, standardised = "thumbnails", "thumbnails of 2 px", 12, True

    def __call__(self, images: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(images.float() / 255, 2).flatten(1)

    def control(self) -> "Thumbnails":
        return self


@pytest.fixture
def reference() -> Reference:
    train, test = (toy_pictures(styles=3, subjects=8, size=16, seed=seed) for seed in (0, 1))
    real, held_out = (Stored(images=side.images, styles=side.styles) for side in (train, test))
    return build_reference(
        real, held_out, train.style_names, train.fingerprint, [Thumbnails()], control=False
    )


# Measuring
def test_figures_are_of_samples_at_the_stage_asked_for(
    nets: Networks, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Stage | None, Tensor]] = []
    sample = module.sample

    def spy(generator: Generator, styles: Tensor, seeds: Tensor, *, stage: Stage | None = None) -> Tensor:
        seen.append((stage, styles))
        return sample(generator, styles, seeds, stage=stage)

    opened: list[tuple[Path, list[str], bool]] = []

    def load(path: Path, extractors: Any, *, control: bool, **_: Any) -> Reference:
        opened.append((path, [extractor.name for extractor in extractors], control))
        return reference

    monkeypatch.setattr(module, "sample", spy)
    monkeypatch.setattr(module, "load_reference", load)
    measure = InLoopMetrics(MetricsConfig(per_style=4), Path("nowhere"))
    measure.prepare(CPU)
    figures = measure(nets.generator, Stage(8))
    assert opened == [(Path("nowhere"), ["efficientnet-lite0"], False)], "once, and without the control"
    _ = InLoopMetrics(MetricsConfig(restyled=("truth", "gram")), Path("nowhere")).reference
    assert len(opened[1][1]) == 2, "the Gram distance of restyled images has features of its own"
    assert {stage for stage, _ in seen} == {Stage(8)}
    assert {"fd", "accuracy", "fd_worst_style"} <= figures.keys()
    assert 0 <= figures["accuracy"] <= 1
    assert figures["fd"] > 0
    assert figures == measure(nets.generator, Stage(8)), "the same seeds every time"


def test_what_cannot_be_measured_shows_before_the_first_step(
    reference: Reference, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One style has no accuracy; two samples per style have no neighbourhoods."""
    alone = reference.restricted_to(reference.style_names[:1])
    for real, config, missing in (
        (alone, MetricsConfig(per_style=8), "accuracy: It takes 2 styles or more"),
        (alone, MetricsConfig(per_style=2, names=("fd", "prdc")), "prdc: 5 nearest neighbours need 6"),
        (reference, MetricsConfig(per_style=8), ""),
    ):
        monkeypatch.setattr(module, "load_reference", lambda *_, real=real, **__: real)
        InLoopMetrics(config, Path("somewhere")).prepare(CPU)
        said = capsys.readouterr().out
        assert said.startswith(f"not measured: {missing}") if missing else said == ""
    monkeypatch.setattr(module, "load_reference", lambda *_, **__: alone)
    config = MetricsConfig(per_style=8, best_by="accuracy")
    with pytest.raises(TrainingError, match=r"best_by is 'accuracy', which .* of somewhere .* from fd\."):
        InLoopMetrics(config, Path("somewhere")).prepare(CPU)


def test_a_figure_that_fails_later_ends_no_training(
    nets: Networks, reference: Reference, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unmeasurable(*_: Any, **__: Any) -> None:
        raise EvalError("its eigenvalues did not converge.")

    monkeypatch.setattr(module, "load_reference", lambda *_, **__: reference)
    monkeypatch.setattr(module, "measure", unmeasurable)
    assert InLoopMetrics(MetricsConfig(per_style=4), Path("nowhere"))(nets.generator, Stage(8)) == {}
    assert capsys.readouterr().out == "not measured: its eigenvalues did not converge.\n"


def test_a_run_without_styles_is_measured(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    config = GeneratorConfig(
        resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=12
    )
    generator = Generator(config, ())
    generator.mapping.average.normal_()
    monkeypatch.setattr(module, "load_reference", lambda *_, **__: reference.restricted_to(()))
    metrics = InLoopMetrics(MetricsConfig(per_style=8), Path("nowhere"))
    metrics.prepare(CPU)
    assert metrics(generator, Stage(8)).keys() == {"fd"}


def test_restyled_pictures_are_measured_beside_the_samples_and_baselines_told_once(
    nets: Networks, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path, int, bool]] = []

    class Idle(RestyledMetrics):
        def __init__(self, metrics: tuple[str, ...], held_out: Any, real: Reference) -> None:
            assert (metrics, held_out, real) == (("truth",), "held out", reference)
            self.baselines = {"restyled_truth_unchanged": 0.5}

        def __call__(self, generator: Generator, stage: Stage) -> dict[str, float]:
            assert (generator, stage) == (nets.generator, Stage(8))
            return {"restyled_truth": 0.5}

    def load(path: Path, *, most: int, truth: bool) -> str:
        asked.append((path, most, truth))
        return "held out"

    monkeypatch.setattr(module, "load_reference", lambda *_, **__: reference)
    monkeypatch.setattr(module, "RestyledMetrics", Idle)
    monkeypatch.setattr(module.HeldOut, "load", load)
    both = InLoopMetrics(
        MetricsConfig(per_style=4, restyled=("truth",), restyled_contents=30), Path("nowhere")
    )
    both.prepare(CPU)
    assert asked == [(Path("nowhere"), 30, True)], "before the first step"
    first, second = (both(nets.generator, Stage(8)) for _ in range(2))
    assert {"fd", "restyled_truth", "restyled_truth_unchanged"} <= first.keys()
    assert first.keys() - second.keys() == {"restyled_truth_unchanged"}
    alone = MetricsConfig(names=(), restyled=("truth",), best_by="restyled_truth")
    figures = InLoopMetrics(alone, Path("nowhere"))(nets.generator, Stage(8))
    assert figures == {"restyled_truth": 0.5, "restyled_truth_unchanged": 0.5}


# The best
def test_the_newest_is_the_best_if_none_was_better() -> None:
    log = [{"fd": 9.0, "accuracy": 0.1}, {"loss": 1.0}, {"fd": 7.0, "accuracy": 0.1}, {"fd": 8.0}]
    assert is_best(log[:1], "fd")
    assert is_best(log[:3], "fd")
    assert not is_best(log, "fd"), "less is better, and 7 was there"
    assert not is_best(log[:3], "accuracy"), "a tie goes to the older"
    assert is_best([*log, {"accuracy": 0.2}], "accuracy"), "more is better"
    assert not is_best([{"loss": 1.0}], "fd")
    assert is_best([{"fd@inception": 3.0}], "fd@inception")
    assert not is_best([{"restyled_truth": 1.0}, {"restyled_truth": 2.0}], "restyled_truth")
    assert is_best([{"restyled_nearer_truth": 0.1}, {"restyled_nearer_truth": 0.2}], "restyled_nearer_truth")


def test_curves_are_drawn_once_there_is_something_to_draw(tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    draw_curves(path, [{"nimg": 8, "loss_d": 1.0}])
    assert not path.exists()
    draw_curves(path, [{"nimg": 8, "fd": 9.0, "accuracy": 0.2}, {"nimg": 16, "fd": 7.0, "accuracy": 0.3}])
    with Image.open(path) as image:
        assert min(image.size) > 100
    assert list(tmp_path.iterdir()) == [path]


def test_terms_of_the_loss_are_no_figures(tmp_path: Path) -> None:
    """`diversity` is both."""
    tick = {"nimg": 8, "loss_g": 1.0, "diversity": -0.7}
    draw_curves(tmp_path / "curves.png", [tick])
    assert not list(tmp_path.iterdir())
    lower, higher = {"nimg": 8, "diversity": 0.4}, {"nimg": 16, "diversity": 0.5}
    assert is_best([lower, tick | {"diversity": 0.9}, higher], "diversity")


# Mistakes
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"names": ("fdd",)}, "metrics.names has 'fdd'"),
        ({"best_by": "kid"}, "metrics.best_by is 'kid', which is not measured; choose from fd, accuracy"),
        ({"best_by": "fd@inception"}, "which is not measured"),
        ({"restyled": ("truths",)}, "metrics.restyled has 'truths'; choose from fd, .*content, truth"),
        ({"restyled": ("lpips",)}, "metrics.restyled has 'lpips'"),
        ({"best_by": "restyled_truth"}, "which is not measured; choose from fd, accuracy."),
        (
            {"restyled": ("truth",), "best_by": "truth"},
            "choose from .* restyled_truth, restyled_nearer_truth",
        ),
        ({"restyled": ("truth",), "names": ()}, "metrics.best_by is 'fd', which is not measured"),
        (
            {"restyled": ("truth",), "features": ("vgg16", "vgg19"), "best_by": "restyled_truth@vgg19"},
            "which is not measured",
        ),
    ],
)
def test_mistakes_are_named(changes: dict, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        MetricsConfig(**changes)


def test_figures_of_restyled_pictures_may_name_the_best() -> None:
    for best_by in ("fd", "restyled_fd", "restyled_fd@inception", "restyled_content_normalised"):
        features = ("efficientnet-lite0", "inception")
        MetricsConfig(restyled=("fd", "content"), features=features, best_by=best_by)
