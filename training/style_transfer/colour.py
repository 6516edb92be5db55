"""Colours of a picture that are to outlive its new style (Gatys et al. 2016, arXiv:1606.05897)."""

import torch
from jaxtyping import Float
from torch import Tensor

from .statistics import moments, square_root

LUMA = (0.299, 0.587, 0.114)
"""Of R, G and B as they are in files (ITU-R BT.601)."""

Picture = Float[Tensor, "1 3 h w"]


def luma(image: Picture) -> Float[Tensor, "1 1 h w"]:
    weights = torch.tensor(LUMA, dtype=image.dtype, device=image.device)
    return (image * weights[:, None, None]).sum(dim=1, keepdim=True)


def with_colours_of(content: Picture, drawn: Picture) -> Picture:
    """The content's colours at the drawn picture's luma, as far as 0 to 1 allow (section 4)."""
    return (content + luma(drawn) - luma(content)).clamp(0, 1)


def coloured_like(
    image: Float[Tensor, "1 3 h w"], other: Float[Tensor, "1 3 h2 w2"]
) -> Float[Tensor, "1 3 h w"]:
    """An affine map of its colours after which their mean and covariance are the other's, before what leaves
    0 to 1 is cut off (section 3, with symmetric roots)."""
    own, goal = moments(image), moments(other)
    floor = 1e-6 * torch.eye(3, dtype=torch.float32, device=image.device)  # of a picture in one colour
    matrix = square_root(goal.covariance) @ torch.linalg.inv(square_root(own.covariance + floor))
    centred = image - own.mean[:, None, None]
    return (torch.einsum("ij,njhw->nihw", matrix, centred) + goal.mean[:, None, None]).clamp(0, 1)
