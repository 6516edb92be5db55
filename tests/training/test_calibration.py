from collections.abc import Callable, Mapping

import pytest
import torch

from brushwork.training import calibration
from brushwork.training.calibration import choose_precision, faster_precision, least_seconds


@pytest.mark.parametrize(("ratio", "expected"), [(0.5, "bf16"), (0.9, "fp32"), (2.0, "fp32")])
def test_bf16_is_taken_where_it_is_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, ratio: float, expected: str
) -> None:
    def timed(candidates: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
        for action in candidates.values():
            action()
        return {"fp32": 1.0, "bf16": ratio}

    monkeypatch.setattr(calibration, "least_seconds", timed)
    assert faster_precision(torch.device("cpu")) == expected


def test_a_load_peak_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """All rounds but one are slow, and those that warm up are too fast to be true."""
    clock, spans = [0.0], iter([0.0, 0.0, 9.0, 9.0, 2.0, 9.0])

    def work() -> None:
        clock[0] += next(spans)

    monkeypatch.setattr(calibration.time, "perf_counter", lambda: clock[0])
    assert least_seconds({"work": work}, rounds=4) == {"work": 2.0}


def test_only_auto_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.device] = []

    def probe(device: torch.device) -> str:
        seen.append(device)
        return "bf16"

    monkeypatch.setattr(calibration, "faster_precision", probe)
    device = torch.device("cpu")
    assert choose_precision("fp32", device) == "fp32"
    assert choose_precision("bf16", device) == "bf16"
    assert not seen
    assert choose_precision("auto", device) == "bf16"
    assert seen == [device]


def test_the_measured_convolution_runs() -> None:
    assert faster_precision(torch.device("cpu")) in ("bf16", "fp32")
