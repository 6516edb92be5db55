"""Known answers: those that can be measured here pass, others are left out with a reason or fail."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from brushwork.eval import verify as module
from brushwork.eval.errors import EvalError
from brushwork.eval.features.inception import Inception, random_state
from brushwork.eval.metrics.frechet import frechet_from_features
from brushwork.eval.verify import ANSWERS, KnownAnswer, Missing, Verified, cifar, cifar_fid, noise, verify
from brushwork.models.pretrained.weights import Weights

from ..conftest import Shell

BY_NETWORK = {answer.network: answer for answer in ANSWERS}


def test_the_offline_evaluator_passes_and_others_say_what_they_need(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = shell("measure", "--verify").splitlines()
    assert len(lines) == len(ANSWERS)
    assert lines[0].startswith("pass      efficientnet-lite0: mean feature of noise 2.1343")
    reasons = (
        "brushwork fetch hed-vgg16",
        "weights-inception",
        "dinov2_vitb14",
        "alexnet-owt",
        "alexnet-owt",
    )
    for line, reason in zip(lines[1:], reasons, strict=True):
        assert line.startswith("left out  ")
        assert reason in line


def test_a_figure_that_is_not_the_known_one_fails_with_one_sentence(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = BY_NETWORK["efficientnet-lite0"]
    monkeypatch.setattr(module, "ANSWERS", (replace(answer, expected=answer.expected + 0.01),))
    assert "efficientnet-lite0: another figure than the known one" in shell.mistake("measure", "--verify")
    assert "name a run, a folder, pairs or --verify" in shell.mistake("measure")


def test_a_verdict_depends_on_the_tolerance() -> None:
    answer = KnownAnswer(
        network="n", what="w", source="s", expected=2.0, tolerance=0.5, measure=lambda _: 2.5
    )
    (found,) = verify({}, [answer])
    assert found.passed
    assert str(found) == "pass      n: w 2.5, known 2 ± 5e-01 (s)"
    assert not Verified(answer=answer, figure=2.51).passed
    assert not Verified(answer=answer, missing="gone").passed


def test_fid_of_cifar_is_of_the_first_images_of_both_splits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With seeded random weights, and 20 images in place of 5,000."""
    weights = tmp_path / "inception.pth"
    torch.save(random_state(), weights)
    monkeypatch.setattr(module, "INCEPTION", Weights("inception", "", ""))
    monkeypatch.setattr("brushwork.eval.features.inception.INCEPTION", Weights("inception", "", ""))
    monkeypatch.setattr(module, "CIFAR", tmp_path)
    monkeypatch.setattr(module, "cifar", lambda path: cifar(path, 20))
    with pytest.raises(Missing, match="cifar-10-binary"):
        cifar_fid({"inception": weights})
    images = noise(60, 32)
    for name, own in (("data_batch_1", images[:30]), ("test_batch", images[30:])):
        records = np.concatenate([np.full((30, 1), 7, np.uint8), own.flatten(1).numpy()], axis=1)
        (tmp_path / f"{name}.bin").write_bytes(records.tobytes())
    network = Inception(pretrained=False, resize="legacy_tensorflow")
    expected = frechet_from_features(network(images[:20]), network(images[30:50]))
    assert cifar_fid({"inception": weights}) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(EvalError, match=r"data_batch_1.bin has fewer than 40 images"):
        cifar(tmp_path / "data_batch_1.bin", 40)
