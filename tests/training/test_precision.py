from collections.abc import Callable

import pytest
import torch

from brushwork.eval.benchmark import Timings
from brushwork.training import precision
from brushwork.training.precision import faster_precision, settled_precision


@pytest.mark.parametrize(("ratio", "expected"), [(0.5, "bf16"), (0.9, "fp32"), (2.0, "fp32")])
def test_bf16_is_taken_where_it_is_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, ratio: float, expected: str
) -> None:
    def timed(candidates: dict[str, Callable[[], object]], *, repeats: int, warmup: int) -> Timings[object]:
        for action in candidates.values():
            action()
        # A load peak takes all rounds but one: the least is what the machine can do.
        wall = {name: (*(9.0,) * (repeats - 1), ratio if name == "bf16" else 1.0) for name in candidates}
        return Timings(wall=wall, processor=wall, results={})

    monkeypatch.setattr(precision, "alternated", timed)
    assert faster_precision(torch.device("cpu")) == expected


def test_only_auto_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.device] = []

    def probe(device: torch.device) -> str:
        seen.append(device)
        return "bf16"

    monkeypatch.setattr(precision, "faster_precision", probe)
    device = torch.device("cpu")
    assert settled_precision("fp32", device) == "fp32"
    assert settled_precision("bf16", device) == "bf16"
    assert not seen
    assert settled_precision("auto", device) == "bf16"
    assert seen == [device]


def test_the_measured_convolution_runs() -> None:
    assert faster_precision(torch.device("cpu")) in ("bf16", "fp32")
