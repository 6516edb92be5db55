from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from brushwork.data.dataset import Pictures
from brushwork.training.config import TrainConfig
from brushwork.training.run.header import balance
from brushwork.training.trainer import Trainer


def test_a_run_says_on_what_of_what_and_along_which_course_it_trains(
    make_config: Callable[..., TrainConfig], pictures: Pictures, capsys: pytest.CaptureFixture[str]
) -> None:
    Trainer(make_config(), pictures).run()
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert first == f"cpu, 1 process of 1 thread, fp32 | {len(pictures)} pictures, 3 styles of 8 to 8"
    assert second == "plan: 8 px, 16 px from 0.016 to 0.032 kimg"
    source = make_config(out=Path("other"), start_from=make_config().out)
    config = replace(source, out=make_config().out.with_name("from"), max_minutes=3.0, total_kimg=0.016)
    Trainer(config, pictures).run()
    second = capsys.readouterr().out.splitlines()[1]
    assert "0.0 of 3 minutes are used" in second
    assert f"weights from {source.start_from}" in second


def test_balance_names_what_has_no_label() -> None:
    styles = torch.tensor([0, 0, 0, 1, -1, -1])
    assert balance(styles, ("ink", "oil")) == "6 pictures, 2 styles of 1 to 3, 2 without a label"
    assert balance(torch.full((4,), -1), ()) == "4 pictures"
