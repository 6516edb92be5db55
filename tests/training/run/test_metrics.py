"""Measurements in the loop: of the right stage, with the same seeds, and the best of them is known."""

from pathlib import Path
from unittest.mock import ANY, Mock

import pytest
import torch

from brushwork.eval.errors import EvalError
from brushwork.eval.reference import Reference
from brushwork.models.generator import Generator
from brushwork.models.stage import Stage
from brushwork.training.errors import TrainingError
from brushwork.training.run import metrics as module
from brushwork.training.run.metrics import InLoopMetrics, MetricsConfig, is_best, why_give_up
from brushwork.training.run.restyled import RestyledMetrics
from brushwork.training.step import Networks

from ..conftest import GENERATOR

CPU, NOWHERE = torch.device("cpu"), Path("nowhere")


@pytest.fixture(autouse=True)
def _loaded(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_reference", lambda *_, **__: reference)


def test_figures_are_of_samples_at_the_stage_asked_for(
    nets: Networks, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample, load = Mock(wraps=module.sample), Mock(return_value=reference)
    monkeypatch.setattr(module, "sample", sample)
    monkeypatch.setattr(module, "load_reference", load)
    measure = InLoopMetrics(MetricsConfig(per_style=4), NOWHERE)
    measure.prepare(CPU)
    figures = measure(nets.generator, Stage(8))
    load.assert_called_once_with(NOWHERE, ANY, control=False, how=ANY)
    _ = InLoopMetrics(MetricsConfig(restyled=("gram",)), NOWHERE).reference
    assert [len(call.args[1]) for call in load.mock_calls] == [1, 2], "Gram matrices are of other features"
    assert all(call.kwargs["stage"] == Stage(8) for call in sample.mock_calls)
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
        InLoopMetrics(config, NOWHERE).prepare(CPU)
        said = capsys.readouterr().out
        assert said.startswith(f"not measured: {missing}") if missing else said == ""
    monkeypatch.setattr(module, "load_reference", lambda *_, **__: alone)
    config = MetricsConfig(per_style=8, best_by="accuracy")
    with pytest.raises(TrainingError, match=r"best_by is 'accuracy', which .* of nowhere .* from fd\."):
        InLoopMetrics(config, NOWHERE).prepare(CPU)


def test_a_figure_that_fails_later_ends_no_training(
    nets: Networks, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = Mock(side_effect=EvalError("its eigenvalues did not converge."))
    monkeypatch.setattr(module, "measure", failing)
    assert InLoopMetrics(MetricsConfig(per_style=4), NOWHERE)(nets.generator, Stage(8)) == {}
    assert capsys.readouterr().out == "not measured: its eigenvalues did not converge.\n"


def test_a_run_without_styles_is_measured(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = Generator(GENERATOR, ())
    generator.mapping.average.normal_()
    monkeypatch.setattr(module, "load_reference", lambda *_, **__: reference.restricted_to(()))
    metrics = InLoopMetrics(MetricsConfig(per_style=8), NOWHERE)
    metrics.prepare(CPU)
    assert metrics(generator, Stage(8)).keys() == {"fd"}


def test_restyled_images_are_measured_beside_the_samples_and_baselines_told_once(
    nets: Networks, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = Mock(RestyledMetrics, return_value={"restyled_fd": 0.5}, baselines={"restyled_fd_unchanged": 0.5})
    made = Mock(return_value=idle)
    monkeypatch.setattr(module, "RestyledMetrics", made)
    both = InLoopMetrics(MetricsConfig(per_style=4, restyled=("fd",)), NOWHERE)
    both.prepare(CPU)
    made.assert_called_once_with(("fd",), NOWHERE, reference)  # before the first step
    first, second = (both(nets.generator, Stage(8)) for _ in range(2))
    assert idle.call_args.args == (nets.generator, Stage(8))
    assert {"fd", "restyled_fd", "restyled_fd_unchanged"} <= first.keys()
    assert first.keys() - second.keys() == {"restyled_fd_unchanged"}
    alone = InLoopMetrics(MetricsConfig(names=(), restyled=("fd",), best_by="restyled_fd"), NOWHERE)
    assert alone(nets.generator, Stage(8)) == {"restyled_fd": 0.5, "restyled_fd_unchanged": 0.5}


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


def test_a_run_is_given_up_after_measurements_without_a_better_one_or_with_copies() -> None:
    better = [{"fd": value} for value in (9.0, 7.0, 8.0, 7.5)]
    assert why_give_up(better[:3], "fd", 2) == "", "the best is one measurement ago"
    assert why_give_up(better, "fd", 2) == "fd did not improve in the last 2 measurements"
    assert why_give_up(better[:3], "fd", 1) == "fd did not improve in the last measurement"
    assert why_give_up(better, "fd", 3) == ""
    falling = [{"fd": 9.0 - n, "copies": share} for n, share in enumerate((0.5, 0.05, 0.11, 0.2))]
    assert why_give_up(falling, "fd", 3) == ""
    assert why_give_up([*falling, {"nimg": 8, "loss_g": 1.0}], "fd", 2).startswith(
        "more than 10% of the samples"
    )
    assert why_give_up([], "fd", 1) == ""


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
