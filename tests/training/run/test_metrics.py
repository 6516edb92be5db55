"""Measurements in the loop: of the right stage, with the same seeds, and the best of them is known."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.reference import Reference, build_reference
from brushwork.eval.sources import Stored
from brushwork.models.generator import Generator, GeneratorConfig
from brushwork.models.stage import Stage
from brushwork.scripts.bench.toy import toy_dataset
from brushwork.training.errors import TrainingError
from brushwork.training.run import metrics as module
from brushwork.training.run.metrics import InLoopMetrics, MetricsConfig, is_best
from brushwork.training.run.restyled import RestyledMetrics
from brushwork.training.step import Networks

CPU, NOWHERE = torch.device("cpu"), Path("nowhere")


class Thumbnails:
    """Features for tests: the image at 2 x 2, without weights."""

    name, protocol, dim, standardised = "thumbnails", "thumbnails of 2 px", 12, True

    def __call__(self, images: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(images.float() / 255, 2).flatten(1)

    def control(self) -> "Thumbnails":
        return self


@pytest.fixture
def reference() -> Reference:
    train, test = (toy_dataset(styles=3, subjects=8, size=16, seed=seed) for seed in (0, 1))
    real, held_out = (Stored(images=side.images, styles=side.styles) for side in (train, test))
    return build_reference(
        real, held_out, train.style_names, train.fingerprint, [Thumbnails()], control=False
    )


# Measuring
def test_figures_are_of_samples_at_the_stage_asked_for(
    nets: Networks, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Stage | None] = []
    opened: list[tuple[Path, int, bool]] = []
    sample = module.sample

    def spy(generator: Generator, styles: Tensor, seeds: Tensor, *, stage: Stage | None = None) -> Tensor:
        seen.append(stage)
        return sample(generator, styles, seeds, stage=stage)

    def load(path: Path, extractors: Any, *, control: bool, **_: Any) -> Reference:
        opened.append((path, len(extractors), control))
        return reference

    monkeypatch.setattr(module, "sample", spy)
    monkeypatch.setattr(module, "load_reference", load)
    measure = InLoopMetrics(MetricsConfig(per_style=4), NOWHERE)
    measure.prepare(CPU)
    figures = measure(nets.generator, Stage(8))
    assert opened == [(NOWHERE, 1, False)], "once, and without the control"
    _ = InLoopMetrics(MetricsConfig(restyled=("gram",)), NOWHERE).reference
    assert opened[1][1] == 2, "the Gram distance of restyled images has features of its own"
    assert set(seen) == {Stage(8)}
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
    assert InLoopMetrics(MetricsConfig(per_style=4), NOWHERE)(nets.generator, Stage(8)) == {}
    assert capsys.readouterr().out == "not measured: its eigenvalues did not converge.\n"


def test_a_run_without_styles_is_measured(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    config = GeneratorConfig(
        resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=12
    )
    generator = Generator(config, ())
    generator.mapping.average.normal_()
    monkeypatch.setattr(module, "load_reference", lambda *_, **__: reference.restricted_to(()))
    metrics = InLoopMetrics(MetricsConfig(per_style=8), NOWHERE)
    metrics.prepare(CPU)
    assert metrics(generator, Stage(8)).keys() == {"fd"}


def test_restyled_images_are_measured_beside_the_samples_and_baselines_told_once(
    nets: Networks, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[object, ...]] = []

    class Idle(RestyledMetrics):
        def __init__(self, *arguments: object) -> None:
            made.append(arguments)
            self.baselines = {"restyled_fd_unchanged": 0.5}

        def __call__(self, generator: Generator, stage: Stage) -> dict[str, float]:
            assert (generator, stage) == (nets.generator, Stage(8))
            return {"restyled_fd": 0.5}

    monkeypatch.setattr(module, "load_reference", lambda *_, **__: reference)
    monkeypatch.setattr(module, "RestyledMetrics", Idle)
    both = InLoopMetrics(MetricsConfig(per_style=4, restyled=("fd",)), NOWHERE)
    both.prepare(CPU)
    assert made == [(("fd",), NOWHERE, reference)], "before the first step"
    first, second = (both(nets.generator, Stage(8)) for _ in range(2))
    assert {"fd", "restyled_fd", "restyled_fd_unchanged"} <= first.keys()
    assert first.keys() - second.keys() == {"restyled_fd_unchanged"}
    alone = InLoopMetrics(MetricsConfig(names=(), restyled=("fd",), best_by="restyled_fd"), NOWHERE)
    assert alone(nets.generator, Stage(8)) == {"restyled_fd": 0.5, "restyled_fd_unchanged": 0.5}


# The best
def test_the_newest_is_the_best_if_none_was_better() -> None:
    log = [{"fd": 9.0, "accuracy": 0.1}, {"loss": 1.0}, {"fd": 7.0, "accuracy": 0.1}, {"fd": 8.0}]
    assert is_best(log[:1], "fd")
    assert is_best(log[:3], "fd")
    assert not is_best(log, "fd"), "less is better, and 7 was there"
    assert not is_best(log[:3], "accuracy"), "a tie goes to the older"
    assert is_best([*log, {"accuracy": 0.2}], "accuracy"), "more is better"
    assert not is_best([{"loss": 1.0}], "fd")
    assert not is_best([{"restyled_fd": 1.0}, {"restyled_fd": 2.0}], "restyled_fd")
    assert is_best([{"restyled_accuracy": 0.1}, {"restyled_accuracy": 0.2}], "restyled_accuracy")
    status = {"nimg": 8, "loss_g": 1.0, "diversity": 0.9}
    assert is_best([{"diversity": 0.4}, status, {"diversity": 0.5}], "diversity"), "a term is no figure"


# Mistakes
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"names": ("fdd",)}, "metrics.names has 'fdd'"),
        ({"best_by": "kid"}, "metrics.best_by is 'kid', which is not measured; choose from fd, accuracy"),
        ({"restyled": ("truth",)}, "metrics.restyled has 'truth'; choose from fd, .*, content"),
        ({"best_by": "restyled_fd"}, "which is not measured; choose from fd, accuracy."),
        ({"restyled": ("content",), "best_by": "content"}, "restyled_content_raw, restyled_content_norm"),
        ({"restyled": ("fd",), "names": ()}, "metrics.best_by is 'fd', which is not measured"),
    ],
)
def test_mistakes_are_named(changes: dict, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        MetricsConfig(**changes)
    for best_by in ("fd", "restyled_fd", "restyled_content_normalised"):
        MetricsConfig(restyled=("fd", "content"), best_by=best_by)
