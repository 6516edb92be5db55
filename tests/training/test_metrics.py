from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from brushwork.data.pictures import Pictures
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
    measure = InLoopMetrics(Path("nowhere"), per_style=4, cache_dir=None)
    measure._reference = reference
    figures = measure(nets.generator, Stage(8))
    assert {stage for stage, _ in seen} == {Stage(8)}
    assert sum(count for _, count in seen) == 3 * 4
    assert {"fd", "style_accuracy"} <= figures.keys()
    assert 0 <= figures["style_accuracy"] <= 1
    assert figures["fd"] > 0
    assert figures == measure(nets.generator, Stage(8)), "the same seeds every time"


def test_the_real_side_is_built_once_and_not_before_it_is_asked_for(
    pictures: Pictures, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[str] = []

    def load(path: Path, split: str) -> Pictures:
        opened.append(split)
        return pictures

    monkeypatch.setattr(module, "load_pictures", load)
    monkeypatch.setattr(module, "default_extractors", lambda *a, **k: (Thumbnails(), None))
    measure = InLoopMetrics(tmp_path, per_style=4, cache_dir=None)
    assert opened == []
    assert measure.reference is measure.reference
    assert opened == ["train", "test"]
    assert measure.reference.fingerprint == pictures.fingerprint
    assert torch.isfinite(torch.tensor(measure.reference.evaluator.held_out.fd))
