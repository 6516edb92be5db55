"""Compiled steps, run by the tracer alone: the C++ compiler would take minutes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own: type checks of the tests draw random numbers, which the tracer takes for constants.
SCRIPT = """
import json, sys
from pathlib import Path
from torch import nn
from torch._dynamo.utils import counters
from brushwork.data.sources.toy import toy_pictures
from brushwork.models.discriminator import DiscriminatorConfig
from brushwork.models.generator import GeneratorConfig
from brushwork.training.adversarial import LossConfig
from brushwork.training.config import IntervalConfig, TrainConfig
from brushwork.training.schedules import GrowingConfig
from brushwork.training.speed import SpeedConfig
from brushwork.training.trainer import Trainer

traced = nn.Module.compile
nn.Module.compile = lambda module, **_: traced(module, backend="eager", dynamic=False)
pictures = toy_pictures(styles=3, subjects=8, size=16)
for mode in ("off", "default"):
    trainer = Trainer(TrainConfig(
        out=Path(sys.argv[1]) / mode, total_kimg=0.064, batch=8, precision="fp32", device="cpu", threads=1,
        generator=GeneratorConfig(
            resolution=8, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=8
        ),
        discriminator=DiscriminatorConfig(channel_base=128, channel_max=8, minibatch_group=2),
        loss=LossConfig(r1_gamma=0.5, r1_interval=2),
        growing=GrowingConfig(start_resolution=4, fade_kimg=(0.016,), steady_kimg=(0.024,)),
        interval=IntervalConfig(status_kimg=0.008, grid_kimg=0.0, checkpoint_kimg=0.0, snapshot_kimg=0.0),
        speed=SpeedConfig(compile=mode, retain_freed_memory=False),
    ), pictures)
    compile_ahead, counts = trainer._compile, []

    def counted():
        compile_ahead()
        counts.append(counters["stats"]["unique_graphs"])

    trainer._compile = counted
    trainer.run()
    losses = [line["loss_g"] for line in trainer.folder.history()]
    print(json.dumps([losses, *counts, counters["stats"]["unique_graphs"]]), file=sys.stderr)
"""


@pytest.mark.slow
def test_compiled_steps_are_the_plain_ones_and_no_step_waits_for_the_compiler(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    plain, compiled = (json.loads(line) for line in done.stderr.splitlines() if line.startswith("[["))
    assert plain[1:] == [0, 0]
    assert compiled[0] == pytest.approx(plain[0], rel=1e-4)
    assert len(compiled[0]) == 8
    before, after = compiled[1:]
    assert before >= 4, "two networks at two resolutions"
    assert after == before
    assert "compiled: 4 px in " in done.stdout
