"""Running averages of vectors, one for each style, that come out the same however a batch is split."""

import torch
from jaxtyping import Float
from torch import Tensor


def style_sums(values: Float[Tensor, "n d"], styles: Float[Tensor, "n s"]) -> Float[Tensor, "s d1"]:
    """Each style's weighted sum, and in the last column its weight: (S, D + 1), to add up over processes."""
    return styles.T @ torch.cat([values, torch.ones_like(values[:, :1])], dim=1)


@torch.no_grad()
def moved_averages(average: Float[Tensor, "s d"], sums: Float[Tensor, "s d1"], *, beta: float) -> None:
    """Moves each style's average, in place, towards its mean in `sums`; styles that a batch lacks stay where
    they are.

    A style with a weight of k pictures moves by 1 - beta ** k', k' = k over the mean weight of the styles
    present, so rare styles are averaged over more batches. An average still at zero takes the mean as it is.
    """
    weight = sums[:, -1:]
    present = weight > 1e-6
    if not present.any():
        return
    mean = sums[:, :-1] / weight.clamp(min=1e-6)
    share = weight / weight[present].mean()
    fresh = (average == 0).all(dim=1, keepdim=True)
    pace = torch.where(fresh, torch.ones_like(share), 1 - beta**share)
    average += torch.where(present, pace * (mean - average), torch.zeros_like(mean))
