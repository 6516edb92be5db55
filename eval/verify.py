"""Known answers of the evaluators: figures that somebody else published, or that this code had elsewhere.

What an answer needs, weights or images, is never downloaded: where it is missing, the answer is left out, and
a sentence says what to put where.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from brushwork.data.images import read_image
from brushwork.models.pretrained.hed import FILE
from brushwork.models.pretrained.weights import ALEXNET, DINOV2_B, INCEPTION, Weights, weights_folder

from .errors import EvalError
from .features.extractors import build_extractor
from .features.inception import Inception, legacy_tensorflow
from .features.vision_transformers import NETWORKS, VisionTransformer
from .metrics.frechet import frechet_from_features
from .metrics.lpips import Lpips

Files = Mapping[str, Path]
"""Files of weights by network, as the user gave them."""

CIFAR = Path("datasets/cifar-10-batches-bin")
"""CIFAR-10 in its binary form: records of a label and 3 x 32 x 32 values."""
LPIPS_EXAMPLES = Path("datasets/lpips-examples")


class Missing(Exception):
    """What an answer needs is not there."""


@dataclass(frozen=True, kw_only=True)
class KnownAnswer:
    """A figure of an evaluator that is known."""

    network: str
    what: str
    source: str
    expected: float
    tolerance: float
    measure: Callable[[Files], float]
    """Raises Missing."""


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What became of a known answer: its figure, or the reason why it was left out."""

    answer: KnownAnswer
    figure: float | None = None
    missing: str = ""

    @property
    def passed(self) -> bool:
        """Whether the figure is the known one."""
        return self.figure is not None and abs(self.figure - self.answer.expected) <= self.answer.tolerance

    def __str__(self) -> str:
        own = self.answer
        if self.figure is None:
            return f"left out  {own.network}: {own.what}: {self.missing}"
        verdict = "pass" if self.passed else "FAIL"
        known = f"known {own.expected:.7g} ± {own.tolerance:.0e} ({own.source})"
        return f"{verdict:9} {own.network}: {own.what} {self.figure:.7g}, {known}"


def verify(weights: Files, answers: Sequence[KnownAnswer] = ()) -> list[Verified]:
    """Measures every known answer whose weights and images are there.

    Raises ModelError for weights that are not the published ones.
    """
    found = []
    for answer in answers or ANSWERS:
        try:
            found.append(Verified(answer=answer, figure=answer.measure(weights)))
        except Missing as missing:
            found.append(Verified(answer=answer, missing=str(missing)))
    return found


# Figures
def noise(count: int, side: int) -> UInt8[Tensor, "n 3 s s"]:
    """The same images on every machine."""
    generator = torch.Generator().manual_seed(2023)
    return torch.randint(256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


def mean_feature(name: str) -> Callable[[Files], float]:
    """The mean absolute feature of eight images of noise."""

    def measure(weights: Files) -> float:
        if name == "hed-vgg16" and not (weights.get(name) or weights_folder() / FILE).is_file():
            raise Missing("run `brushwork fetch hed-vgg16`")
        return float(build_extractor(name, weights=weights)(noise(8, 64)).abs().mean())

    return measure


def dinov2_sum(weights: Files) -> float:
    """The sum of the class token of an image of noise, resized as torch-fidelity does."""
    path = present(DINOV2_B, weights)
    resized = legacy_tensorflow(noise(1, 32), 224) * 128 + 128
    network = VisionTransformer(NETWORKS["dinov2-b"], path)
    with torch.no_grad():
        return float(network.embed(resized).sum())


def cifar_fid(weights: Files) -> float:
    """FID of the first 5,000 training and the first 5,000 test images of CIFAR-10."""
    path = present(INCEPTION, weights)
    sides = [cifar(CIFAR / name) for name in ("data_batch_1.bin", "test_batch.bin")]
    network = Inception(path, "cuda" if torch.cuda.is_available() else "cpu", resize="legacy_tensorflow")
    return frechet_from_features(*(network(side) for side in sides))


def cifar(path: Path, count: int = 5000) -> UInt8[Tensor, "n 3 32 32"]:
    """The first images of a file of CIFAR-10. Raises EvalError if it is cut short."""
    if not path.is_file():
        raise Missing(
            f"unpack cifar-10-binary.tar.gz of www.cs.toronto.edu/~kriz/cifar.html into {CIFAR.parent}"
        )
    records = np.fromfile(path, np.uint8)
    if len(records) < count * 3073:
        raise EvalError(f"{path} has fewer than {count} images of CIFAR-10: unpack it again.")
    return torch.from_numpy(records[: count * 3073].reshape(-1, 3073)[:, 1:].reshape(-1, 3, 32, 32))


def lpips_example(name: str) -> Callable[[Files], float]:
    """The distance of one of the two examples of LPIPS to their reference."""

    def measure(weights: Files) -> float:
        path = present(ALEXNET, weights, name="lpips")
        files = [LPIPS_EXAMPLES / f"{each}.png" for each in ("ex_ref", name)]
        if not all(file.is_file() for file in files):
            raise Missing(
                f"put imgs/ex_*.png of github.com/richzhang/PerceptualSimilarity into {LPIPS_EXAMPLES}"
            )
        ref, example = (torch.from_numpy(read_image(file)).permute(2, 0, 1)[None] for file in files)
        return float(Lpips.from_weights(path)(ref, example))

    return measure


def present(known: Weights, weights: Files, *, name: str = "") -> Path:
    """The file of weights, given or in the cache."""
    path = weights.get(name or known.name) or weights_folder() / known.file
    if not path.is_file():
        raise Missing(f"put {known.url} at {path}")
    return path


OURS = "brushwork 0.3 on a processor"
FIDELITY = "torch-fidelity's tests"
ANSWERS = (
    KnownAnswer(
        network="efficientnet-lite0", what="mean feature of noise", source=OURS,
        expected=2.134326, tolerance=2e-4, measure=mean_feature("efficientnet-lite0"),
    ),
    KnownAnswer(
        network="hed-vgg16", what="mean feature of noise", source=OURS,
        expected=53.07003, tolerance=5e-3, measure=mean_feature("hed-vgg16"),
    ),
    KnownAnswer(
        network="inception", what="FID of 5,000 training and test images of CIFAR-10", source=FIDELITY,
        expected=10.3233274, tolerance=1e-2, measure=cifar_fid,
    ),
    KnownAnswer(
        network="dinov2-b", what="sum of the class token of noise", source=FIDELITY,
        expected=-34.6249580, tolerance=1e-2, measure=dinov2_sum,
    ),
    KnownAnswer(
        network="lpips", what="distance of example 0", source="LPIPS' README",
        expected=0.722, tolerance=1e-3, measure=lpips_example("ex_p0"),
    ),
    KnownAnswer(
        network="lpips", what="distance of example 1", source="LPIPS' README",
        expected=0.138, tolerance=1e-3, measure=lpips_example("ex_p1"),
    ),
)  # fmt: skip
