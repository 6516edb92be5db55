"""Measurements in the loop: the evaluation's suite on samples of the averaged generator."""

from pathlib import Path

from torch import Tensor

from brushwork.data.loader import load_pictures
from brushwork.eval.suite import Reference, build_reference, default_extractors, evaluate
from brushwork.models.generator import Generator
from brushwork.models.sampling import sample
from brushwork.models.synthesis import Stage


class InLoopMetrics:
    """Figures of a generator against a packed data set; the real side is built once, at the first call."""

    def __init__(self, data: Path, *, per_style: int, cache_dir: Path | None, device: str = "cpu") -> None:
        self.data, self.per_style, self.cache_dir, self.device = data, per_style, cache_dir, device
        self._reference: Reference | None = None

    @property
    def reference(self) -> Reference:
        """What the real pictures say."""
        if self._reference is None:
            train, test = load_pictures(self.data, "train"), load_pictures(self.data, "test")
            evaluator, _ = default_extractors(self.device)
            self._reference = build_reference(
                train.images, train.styles, test.images, test.styles, train.style_names, train.fingerprint,
                extractors=(evaluator, None), cache_dir=self.cache_dir,
            )  # fmt: skip
        return self._reference

    def __call__(self, generator: Generator, stage: Stage) -> dict[str, float]:
        """Short figures for the log, by name."""

        def sampler(styles: Tensor, seeds: Tensor) -> Tensor:
            return sample(generator, styles, seeds, stage=stage)

        measures = evaluate(sampler, self.reference, per_style=self.per_style, control=False)
        return measures.summary()
