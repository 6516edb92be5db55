"""Loss terms of the encoders' objectives: functions of tensors, each a mean over the batch.

Rows to which a term does not apply count as zeros. So the mean over a batch is the mean of the means over its
parts, in any number of processes.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from brushwork.models.feature_statistics import channel_normalised
from brushwork.models.layers import full_precision

Scalar = Float[Tensor, ""]
Maps = Sequence[Float[Tensor, "n _c _h _w"]]


# Style
def style(read: Float[Tensor, "n d"], w: Float[Tensor, "n d"], rows: Float[Tensor, "n"]) -> Scalar:
    """|E(G(x, w)) - w| over the length of the code (StarGAN v2, Choi et al. 2020, arXiv:1912.01865, eq. 2).

    No gradient goes into w: the image and the encoder adapt to the code.
    """
    return ((read - w.detach()).abs().mean(dim=1) * rows).mean()


def classifier(logits: Float[Tensor, "n s"], styles: Float[Tensor, "n s"]) -> Scalar:
    """Cross entropy in nats with the target style weights; rows without a label count as 0."""
    return -(styles * logits.float().log_softmax(dim=1)).sum(dim=1).mean()


def info_nce(
    one: Float[Tensor, "n d"], other: Float[Tensor, "n d"], *, group: int, temperature: float
) -> Scalar:
    """InfoNCE in nats: cross entropy of matching row i of `one` with row i of `other`, in both directions, by
    cosine / `temperature` (van den Oord et al. 2018, arXiv:1807.03748; SimCLR, Chen et al. 2020,
    arXiv:2002.05709).

    Rows are matched among `group` neighbours, not in the whole batch, so that a batch split over processes
    forms the same groups. `group` is lowered to the largest divisor of the batch.
    """
    n = len(one)
    size = next(size for size in range(min(group, n), 0, -1) if n % size == 0)
    a, b = (F.normalize(x.float(), dim=1).unflatten(0, (-1, size)) for x in (one, other))
    with full_precision(a):
        alike = a @ b.mT / temperature  # (m, size, size)
    right = torch.arange(size, device=alike.device).expand(len(alike), size)
    losses = [F.cross_entropy(scores.flatten(0, 1), right.flatten()) for scores in (alike, alike.mT)]
    return torch.stack(losses).mean()


def crop(images: Float[Tensor, "n 3 h w"], u: Float[Tensor, "n 4"]) -> Float[Tensor, "n 3 h w"]:
    """Random crops of half to all of the side, half of them mirrored, resampled to the images' size."""
    side = 0.5 + 0.5 * u[:, 0]
    mirror = torch.where(u[:, 3] < 0.5, -side, side)
    x, y = ((1 - side) * (2 * u[:, i] - 1) for i in (1, 2))
    none = torch.zeros_like(side)
    matrices = torch.stack([torch.stack([mirror, none, x], 1), torch.stack([none, side, y], 1)], 1)
    grid = F.affine_grid(matrices.to(images), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


# Content
def pixels(a: Tensor, b: Tensor) -> Scalar:
    """Mean absolute difference of images in [-1, 1]."""
    return (a - b).abs().mean()


def content(kept: Float[Tensor, "n c h w"], original: Float[Tensor, "n c h w"]) -> Scalar:
    """Mean squared difference of instance-normalised content codes; no gradient goes into the original."""
    return (kept.float() - original.detach().float()).square().mean()


def perceptual(drawn: Maps, originals: Maps) -> Scalar:
    """Squared distance of unit feature vectors, 0 to 4, averaged over positions and maps (LPIPS without
    learned weights, Zhang et al. 2018, arXiv:1801.03924, eq. 1); independent of contrast."""
    layers = [
        (channel_normalised(x.float()) - channel_normalised(y.float())).square().sum(dim=1).mean()
        for x, y in zip(drawn, originals, strict=True)
    ]
    return torch.stack(layers).mean()
