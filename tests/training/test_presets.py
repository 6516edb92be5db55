import pytest
import torch

from brushwork.models.stage import Stage
from brushwork.training.plan import RunSchedule
from brushwork.training.presets import PRESETS
from brushwork.training.state import build_networks


@pytest.mark.parametrize("name", ["toy", "emoji-32"])
def test_the_networks_of_small_presets_generate_and_score(name: str) -> None:
    config = PRESETS[name][1]
    nets = build_networks(config, ("a", "b"), torch.device("cpu"))
    with torch.no_grad():
        images = nets.generator(torch.randn(2, config.generator.z_dim), torch.eye(2))
        logits = nets.discriminator(images, torch.eye(2), Stage(config.generator.resolution))
    assert images.shape[-1] == config.generator.resolution
    assert torch.isfinite(logits).all()


def test_every_preset_reaches_its_resolution() -> None:
    for name, (_, config) in PRESETS.items():
        path = RunSchedule.of(config)
        assert path.end == path.images, name
        assert path.stage_at(path.end) == Stage(config.generator.resolution), name


def test_the_published_preset_keeps_the_published_figures() -> None:
    # Karras 2019: appendix C and the recipe of progressive growing.
    config = PRESETS["stylegan-256"][1]
    assert (config.generator.mapping_layers, config.generator.mapping_lr) == (8, 0.01)
    assert (config.generator.channel_base, config.generator.channel_max) == (8192, 512)
    assert (config.loss.r1_gamma, config.loss.mixing) == (10.0, 0.9)
    assert config.optimizer.generator_lr == config.optimizer.discriminator_lr == 0.001
    assert (config.growing.fade_kimg, config.growing.steady_kimg) == ((600.0,), (600.0,))
    assert (config.total_kimg, config.ema.half_life_kimg) == (25_000.0, 10.0)
