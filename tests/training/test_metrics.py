from pathlib import Path

import pytest
import torch.nn.functional as F
from torch import Tensor

from brushwork.data.toy import toy_pictures
from brushwork.eval.reference import Reference, build_reference
from brushwork.models.generator import Generator
from brushwork.models.synthesis import Stage
from brushwork.training import metrics as module
from brushwork.training.metrics import InLoopMetrics
from brushwork.training.steps import Networks


class Thumbnails:
    """Features for tests: the picture at 2 x 2, without weights."""

    name, protocol, dim = "thumbnails", "thumbnails of 2 px", 12

    def __call__(self, images: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(images.float() / 255, 2).flatten(1)


@pytest.fixture
def reference() -> Reference:
    train, test = (toy_pictures(styles=3, subjects=8, size=16, seed=seed) for seed in (0, 1))
    return build_reference(
        train.images, train.styles, test.images, test.styles, train.style_names, train.fingerprint,
        extractors=(Thumbnails(), None),
    )  # fmt: skip


def test_figures_are_of_samples_at_the_stage_asked_for(
    nets: Networks, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Stage | None, int]] = []
    sample = module.sample

    def spy(generator: Generator, styles: Tensor, seeds: Tensor, *, stage: Stage | None = None) -> Tensor:
        seen.append((stage, len(seeds)))
        return sample(generator, styles, seeds, stage=stage)

    monkeypatch.setattr(module, "sample", spy)
    monkeypatch.setattr(module, "load_reference", lambda *_, **__: reference)
    measure = InLoopMetrics(Path("nowhere"), per_style=4)
    figures = measure(nets.generator, Stage(8))
    assert {stage for stage, _ in seen} == {Stage(8)}
    assert sum(count for _, count in seen) == 3 * 4
    assert {"fd", "style_accuracy"} <= figures.keys()
    assert 0 <= figures["style_accuracy"] <= 1
    assert figures["fd"] > 0
    assert figures == measure(nets.generator, Stage(8)), "the same seeds every time"


def test_the_real_side_is_built_once_and_not_before_it_is_asked_for(
    reference: Reference, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[tuple[Path, bool]] = []

    def load(path: Path, *, device: str, control: bool) -> Reference:
        opened.append((path, control))
        return reference

    monkeypatch.setattr(module, "load_reference", load)
    measure = InLoopMetrics(tmp_path, per_style=4)
    assert opened == []
    assert measure.reference is measure.reference
    assert opened == [(tmp_path, False)], "built once, without the control, which the loop does not log"
