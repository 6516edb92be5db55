"""The results: what one set of pictures scores, and all the rows of a measurement with their protocol."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float32, Int64
from torch import Tensor

from .frechet import Gaussian, frechet, frechet_from_features, gaussian_of
from .style import LinearProbe, balanced_accuracy, confusion


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Features of pictures and the style of each."""

    features: Float32[Tensor, "n d"]
    styles: Int64[Tensor, "n"]

    def of(self, style: int) -> Float32[Tensor, "k d"]:
        return self.features[self.styles == style]


# Results
@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one set of pictures scores in one feature space. Per-style entries follow the style names."""

    fd: float
    style_fd: tuple[float, ...]
    style_accuracy: float
    confusion: tuple[tuple[float, ...], ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "fd": self.fd,
            "style_fd": list(self.style_fd),
            "style_fd_mean": sum(self.style_fd) / len(self.style_fd),
            "style_accuracy": self.style_accuracy,
            "confusion": [list(row) for row in self.confusion],
        }


@dataclass(frozen=True, kw_only=True)
class Measures:
    """Samples beside held-out real pictures (the ceiling), each beside the random-weight control.

    `protocol` holds all that decides the numbers; two measures may be compared if their protocols are equal.
    """

    style_names: tuple[str, ...]
    samples: Figures
    real: Figures
    control_samples: Figures | None
    control_real: Figures | None
    protocol: dict[str, Any]
    label: str = ""
    """What was measured, in words: no part of the protocol."""

    @property
    def worst_style(self) -> str:
        """The style whose samples lie farthest from its real pictures."""
        style_fd = self.samples.style_fd
        return self.style_names[style_fd.index(max(style_fd))]

    def summary(self) -> dict[str, float]:
        """The few floats that a curve over training shows."""
        return {
            "fd": self.samples.fd,
            "style_accuracy": self.samples.style_accuracy,
            "fd_style_mean": sum(self.samples.style_fd) / len(self.samples.style_fd),
            "fd_worst_style": max(self.samples.style_fd),
        }

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        rows = {
            "samples": self.samples, "real": self.real,
            "control_samples": self.control_samples, "control_real": self.control_real,
        }  # fmt: skip
        return {
            "label": self.label,
            "protocol": self.protocol,
            "style_names": list(self.style_names),
            "worst_style": self.worst_style,
            **{name: figures and figures.to_json() for name, figures in rows.items()},
        }


def figures_of(
    pictures: Labelled, real: Labelled, gaussian: Gaussian, probe: LinearProbe, count: int
) -> Figures:
    """Figures of standardised features against the real ones."""
    enough = len(pictures.styles) >= pictures.features.shape[1] <= gaussian.count
    shares = confusion(pictures.styles, probe.predict(pictures.features), count)
    return Figures(
        fd=frechet(gaussian_of(pictures.features), gaussian)
        if enough
        else frechet_from_features(pictures.features, real.features),
        style_fd=tuple(frechet_from_features(pictures.of(s), real.of(s)) for s in range(count)),
        style_accuracy=balanced_accuracy(shares),
        confusion=tuple(tuple(row) for row in shares.tolist()),
    )
