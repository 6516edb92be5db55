from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from brushwork.data.pictures import Pictures
from brushwork.training.config import TrainConfig
from brushwork.training.losses import LossConfig
from brushwork.training.schedules import GrowingConfig
from brushwork.training.speed import SpeedConfig
from brushwork.training.trainer import Trainer

Make = Callable[..., TrainConfig]


@pytest.mark.filterwarnings("ignore")  # of the compiler about its own doings
def test_compiled_steps_are_the_plain_ones_and_no_step_waits_for_the_compiler(
    make_config: Make, pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Traced and run as it is, without the C++ compiler, which takes minutes."""
    plainly = nn.Module.compile
    monkeypatch.setattr(
        nn.Module, "compile", lambda module, **_: plainly(module, backend="eager", dynamic=False)
    )
    torch._dynamo.reset()
    counters.clear()
    compiled_before_the_loop = []

    def losses(mode: Any) -> list[float]:
        config = make_config(
            out=tmp_path / mode, total_kimg=0.064, speed=SpeedConfig(compile=mode, keep_memory=False),
            loss=LossConfig(r1_gamma=0.5, r1_every=2),
            generator=replace(make_config().generator, resolution=8),
            growing=GrowingConfig(start_resolution=4, fade_kimg=(0.016,), steady_kimg=(0.024,)),
        )  # fmt: skip
        trainer = Trainer(replace(config, every=replace(config.every, tick_kimg=0.008)), pictures)
        rehearse = trainer._compile

        def counted() -> None:
            rehearse()
            compiled_before_the_loop.append(counters["stats"]["unique_graphs"])

        monkeypatch.setattr(trainer, "_compile", counted)
        trainer.run()
        return [line["loss_g"] for line in trainer.folder.history()]

    expected = losses("off")
    assert compiled_before_the_loop == [0]
    assert losses("default") == pytest.approx(expected, rel=1e-4)
    assert len(expected) == 8
    assert compiled_before_the_loop[1] >= 4, "two networks at two resolutions"
    assert counters["stats"]["unique_graphs"] == compiled_before_the_loop[1]
    assert "compiled: 4 px in " in capsys.readouterr().out
