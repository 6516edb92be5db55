"""A reference in features without weights."""

import pytest
import torch.nn.functional as F
from torch import Tensor

from brushwork.eval.reference import Reference, build_reference
from brushwork.eval.sources import Stored
from brushwork.scripts.bench.toy import toy_dataset

TRAIN, TEST = (toy_dataset(styles=3, subjects=8, size=16, seed=seed) for seed in (0, 1))


class Thumbnails:
    """Features for tests: the image at 4 x 4; feature maps: the image as it is."""

    name, protocol, dim, standardised = "thumbnails", "thumbnails of 4 px", 48, True
    maps_protocol = "pixels as they are"

    def __call__(self, images: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(images.float() / 255, 4).flatten(1)

    def control(self) -> "Thumbnails":
        return self

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        return (images.float() / 255,)


@pytest.fixture
def reference() -> Reference:
    real, held_out = (Stored(images=side.images, styles=side.styles) for side in (TRAIN, TEST))
    return build_reference(
        real, held_out, TRAIN.style_names, TRAIN.fingerprint, [Thumbnails()], control=False
    )
