"""Settings of an inversion."""

from typing import Annotated, Literal

from annotated_types import Interval

from brushwork.models.options import BatchSize, Count, options

Space = Literal["w", "w+"]


@options
class InversionConfig:
    """Where codes are sought, how long, and by which distance."""

    space: Space = "w+"
    """w: one code for all layers, which stays among the codes of the mapping network and is edited best. w+:
    a code for each layer, which comes nearer to the image."""
    noise: Literal["seed", "optimised"] = "seed"
    """Noise maps: those of seed 0, or optimised with the codes and regularised, so that they hold no part of
    the image."""
    steps: Count = 300
    """Steps of Adam for the codes."""
    tune_steps: Annotated[int, Interval(ge=0, le=10**6)] = 0
    """Steps that tune the generator around the codes afterwards, as in pivotal tuning (Roich 2021); 350 in
    the paper. It comes nearest to the images, in a snapshot of its own."""
    network: Literal["efficientnet-lite0", "hed-vgg16", "lpips"] = "efficientnet-lite0"
    """Network of the perceptual distance: the first is offline, hed-vgg16 needs `brushwork fetch hed-vgg16`,
    and lpips AlexNet's weights."""
    batch: BatchSize = 8
    """Images at once. The codes of an image do not depend on the others."""
