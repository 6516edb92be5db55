"""Who takes part in `brushwork bench restyle` beside the trivial answers, and who judges."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from brushwork.data.progress import Progress
from brushwork.eval.efficientnet import EfficientNetLite
from brushwork.eval.feature_cache import FeatureCache, user_cache
from brushwork.eval.opponents import by_code, by_label, by_picture
from brushwork.eval.pair_figures import Drawings
from brushwork.eval.pair_suite import PairNetworks
from brushwork.eval.reference import load_reference
from brushwork.eval.restyle_contest import Absent, Judge, Method
from brushwork.eval.restyle_task import Task
from brushwork.models.errors import ModelError
from brushwork.models.hed import DIGEST, FILE, NAME, hed_vgg16
from brushwork.models.snapshot import find_snapshot, load_generator
from brushwork.models.weights import weights_folder
from brushwork.training.backbones import LEVELS, VGG_CONTENT, VGG_STYLE, placed
from brushwork.training.precision import settled_precision
from brushwork.training.stylize import stylize
from brushwork.training.stylize_config import StylizeConfig

GATYS = f"Gatys ({NAME})"
SIDE = 64
"""Smaller pictures are enlarged to so many pixels for the network, which sees little in less."""


def contest_gatys() -> StylizeConfig:
    """As published, from the content; the weights were chosen on held-out pairs, in its favour."""
    return StylizeConfig(
        backbone="hed-vgg16", scaling="gatys", style_weight=1e-4 * LEVELS**4,
        content_weight=2 / (512 * (SIDE // 8) ** 2) * LEVELS**2, size=SIDE, evaluations=50,
    )  # fmt: skip


def methods_of_run(source: str, name: str, *, seed: int, psi: float, device: str) -> list[Method]:
    """A run told the style's name, with each content's own looks or those of a latent code, and the same
    shown the style picture. Raises ModelError for no run, and for one without encoders."""
    snapshot = find_snapshot(source)
    generator = load_generator(snapshot, device=device)
    identity = sha256(snapshot.read_bytes()).hexdigest()
    return [
        by_label(generator, name, identity, seed=seed, psi=psi),
        by_code(generator, name, identity, seed=seed, psi=psi),
        by_picture(generator, name, identity, seed=seed),
    ]


def gatys(config: StylizeConfig, weights: Path | None, device: str) -> Method | Absent:
    """Style transfer by optimising pixels; absent where its weights were neither given nor fetched."""
    try:
        network = placed(hed_vgg16((*VGG_STYLE, *VGG_CONTENT), weights).with_inputs_divided(LEVELS), device)
    except ModelError as error:
        if weights is not None or (weights_folder() / FILE).is_file():
            raise
        return Absent(name=GATYS, why=str(error))

    # Once for all pictures, and part of the identity: each would measure by itself, and come out as it may.
    config = replace(config, precision=settled_precision(config.precision, torch.device(device)))

    def draw(task: Task, rows: Tensor) -> Tensor:
        shape = task.contents.shape[2:]
        drawn = [
            stylize(task.contents[row], [task.references[row]], config, network=network, device=device)
            for row in Progress(rows.tolist(), desc=GATYS, leave=False)
        ]
        sized = F.interpolate(torch.stack(drawn).float(), shape, mode="area")
        return sized.round().to(torch.uint8)

    return Method(
        name=GATYS, draw=draw, identity=f"{NAME} {DIGEST} {config!r}",
        part=4,
        note=f"{GATYS} follows the style picture: {config.evaluations} evaluations of {config.optimizer} "
        f"from the {config.start}, at {config.size or 'their own'} px.",
    )  # fmt: skip


def judge_by(data: Path, drawings: Drawings) -> Judge:
    """EfficientNet-Lite0, which no method has seen, beside its random-weight control."""
    network, cache = EfficientNetLite("lite0"), FeatureCache(user_cache())
    reference = load_reference(data, [network], cache=cache, progress=True)
    networks = PairNetworks(maps=network, control=network.control())
    return Judge(reference=reference, drawings=drawings, networks=networks, cache=cache)
