"""Measurements in the loop: the evaluation's suite on samples of the averaged generator."""

from functools import cached_property
from pathlib import Path

from torch import Tensor

from brushwork.eval.reference import Reference, load_reference
from brushwork.eval.suite import evaluate
from brushwork.models.generator import Generator
from brushwork.models.sampling import sample
from brushwork.models.synthesis import Stage


class InLoopMetrics:
    """Figures of a generator against a packed data set; the real side is built once, at the first call."""

    def __init__(self, data: Path, *, per_style: int, device: str = "cpu") -> None:
        self.data, self.per_style, self.device = data, per_style, device

    @cached_property
    def reference(self) -> Reference:
        """What the real pictures say."""
        return load_reference(self.data, device=self.device, control=False)

    def prepare(self) -> None:
        """Builds the real side now, so that data which cannot be measured shows before hours of training."""
        _ = self.reference

    def __call__(self, generator: Generator, stage: Stage) -> dict[str, float]:
        """Short figures for the log, by name."""

        def sampler(styles: Tensor, seeds: Tensor) -> Tensor:
            return sample(generator, styles, seeds, stage=stage)

        measures = evaluate(sampler, self.reference, per_style=self.per_style, control=False)
        return measures.summary()
