"""The arguments that the functions of `sampling` share: accepted, or refused with one sentence."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from .errors import ModelError
from .generator import Generator

SEEDS = "give whole numbers (n,) below 2**63, as in [0, 1] or torch.arange(8)"

Seeds = Tensor | Sequence[int]


def checked_seeds(seeds: Seeds) -> Int64[Tensor, "n"]:
    """The seeds as a tensor. Raises ModelError unless they are whole numbers in one dimension."""
    try:
        found = torch.as_tensor(seeds)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"the seeds {seeds!r:.60} cannot be read ({error}): {SEEDS}.") from error
    if found.dtype != torch.int64 or found.ndim != 1:
        raise ModelError(f"the seeds are {found.dtype} of shape {tuple(found.shape)}: {SEEDS}.")
    return found


def check_styles(generator: Generator, styles: Tensor) -> None:
    """Raises ModelError unless they are rows of weights of the generator's styles."""
    count = len(generator.style_names)
    if styles.ndim != 2 or styles.shape[1] != count or not styles.is_floating_point():
        raise ModelError(
            f"the style weights are {styles.dtype} of shape {tuple(styles.shape)}: give floats (n, {count}), "
            "a row a picture, as from style_weights(NAME, generator.style_names)[None]."
        )


def require_drawn(generator: Generator, styles: Float[Tensor, "n s"], psi: float) -> None:
    """Raises ModelError where codes of `styles`, truncated by `psi`, would be noise."""
    names = generator.style_names
    for row in generator.mapping.untrained_styles(styles):
        if row == len(names) and names:
            raise ModelError(
                "this run never learnt to draw without a style: name one, or a blend whose weights sum to 1 "
                "(--loss.label-dropout has a training learn it)."
            )
        if psi != 1:
            raise ModelError(
                f"{names[row] if names else 'this run'} has no average code to truncate to, since no picture "
                "was drawn with it in training: leave psi at 1."
            )


def seeds_of_styles(generator: Generator, styles: Tensor, seeds: Seeds) -> Int64[Tensor, "n"]:
    """The seeds as a tensor. Raises ModelError unless there is one for each row of style weights."""
    check_styles(generator, styles)
    return _one_a_row(styles, checked_seeds(seeds))


def seeds_of_codes(generator: Generator, w: Tensor, seeds: Seeds) -> Int64[Tensor, "n"]:
    """The seeds as a tensor. Raises ModelError unless there is one for each row of the generator's codes."""
    layers, width = generator.layers, generator.config.w_dim
    if w.shape[1:] != (layers, width):
        raise ModelError(f"the style codes have the shape {tuple(w.shape)}: give (n, {layers}, {width}).")
    return _one_a_row(w, checked_seeds(seeds))


def _one_a_row(rows: Tensor, seeds: Tensor) -> Tensor:
    if len(rows) != len(seeds):
        raise ModelError(f"{len(seeds)} seeds do not fit {len(rows)} rows of styles: give one for each row.")
    return seeds
