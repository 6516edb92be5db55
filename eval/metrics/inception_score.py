"""The inception score: are class scores sure of each picture, and different among pictures?

    IS = exp(H(mean of p) - mean of H(p)),    p = softmax(logits), H the entropy in nats

which is exp of the mean Kullback-Leibler divergence of p from its mean (Salimans et al. 2016, arXiv
1606.03498, section 4), in a form that lets a probability be 0. From 1 up to the number of classes. It never
sees a real picture, and says nothing about any style.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ..errors import EvalError


@dataclass(frozen=True, kw_only=True)
class InceptionScore:
    """Mean and standard deviation (ddof 0) over `splits` equal parts; it grows with the size of a part."""

    mean: float
    std: float
    splits: int


def inception_score(
    logits: Float[Tensor, "n classes"], *, splits: int = 10, seed: int = 2020, shuffle: bool = True
) -> InceptionScore:
    """Inception score of class scores, pictures dealt out to the splits in a seeded order.

    Order and splits are those of torch-fidelity for the same seed, and so is the number. Raises EvalError for
    fewer pictures than splits and for scores that are no numbers.
    """
    count = len(logits)
    if not 1 <= splits <= count:
        raise EvalError(
            f"An inception score over {splits} splits cannot be taken of {count} images: "
            "give an image for each split at least."
        )
    if not logits.isfinite().all():
        raise EvalError("Class scores are not finite: check the images and the weights.")
    if shuffle:
        order = np.random.RandomState(seed).permutation(count)
        logits = logits[torch.from_numpy(order).to(logits.device)]
    bounds = [i * count // splits for i in range(splits + 1)]
    scores = torch.tensor(
        [float(score(logits[a:b].double().softmax(1))) for a, b in pairwise(bounds)], dtype=torch.float64
    )
    return InceptionScore(mean=float(scores.mean()), std=float(scores.std(correction=0)), splits=splits)


def score(probabilities: Float64[Tensor, "n classes"]) -> Float64[Tensor, ""]:
    """exp of the mutual information of picture and class."""
    entropy = torch.special.entr
    return (entropy(probabilities.mean(0)).sum() - entropy(probabilities).sum(1).mean()).exp()
