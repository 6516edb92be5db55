import pytest
import torch

from brushwork.models.stage import Stage
from brushwork.training.config import TrainConfig
from brushwork.training.presets import PRESETS
from brushwork.training.state import build_networks

CONFIGS = {name: config for name, (_, config) in PRESETS.items()}


@pytest.mark.parametrize("name", ["toy", "emoji-32"])
def test_the_networks_of_small_presets_draw_and_score(name: str) -> None:
    config: TrainConfig = CONFIGS[name]
    nets = build_networks(config, ("a", "b"), torch.device("cpu"))
    with torch.no_grad():
        pictures = nets.generator(torch.randn(2, config.generator.z_dim), torch.eye(2))
        logits = nets.discriminator(pictures, torch.eye(2), Stage(config.generator.resolution))
    assert pictures.shape[-1] == config.generator.resolution
    assert torch.isfinite(logits).all()


def test_the_published_preset_keeps_the_published_figures() -> None:
    # Karras 2019: appendix C and the recipe of progressive growing.
    config = CONFIGS["stylegan-256"]
    assert (config.generator.mapping_layers, config.generator.mapping_lr) == (8, 0.01)
    assert (config.generator.channel_base, config.generator.channel_max) == (8192, 512)
    assert (config.loss.r1_gamma, config.loss.mixing) == (10.0, 0.9)
    assert (config.optimizer.generator_lr, config.optimizer.beta2) == (0.001, 0.99)
    assert (config.growing.fade_kimg, config.growing.steady_kimg) == ((600.0,), (600.0,))
    assert (config.total_kimg, config.ema.half_life_kimg) == (25_000.0, 10.0)
