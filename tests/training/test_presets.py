import pytest
import torch

from brushwork.models.stage import Stage
from brushwork.training.config import TrainConfig
from brushwork.training.presets import PRESETS
from brushwork.training.schedules import phases, stage_at
from brushwork.training.state import build_networks

CONFIGS = {name: config for name, (_, config) in PRESETS.items()}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_course_reaches_the_final_resolution_within_the_run(name: str) -> None:
    config = CONFIGS[name]
    end, resolution = round(config.total_kimg * 1000), config.generator.resolution
    assert stage_at(end - 1, config.growing, resolution) == Stage(resolution)
    assert phases(config.growing, resolution)[-1].faded < 0.9 * end, "and stays there for a while"


@pytest.mark.parametrize("name", CONFIGS)
def test_names_folders_and_help_agree(name: str) -> None:
    help_line, config = PRESETS[name]
    assert help_line
    assert config.out.name == name
    if name != "toy":
        assert str(config.generator.resolution) in name.split("-")
        assert config.data.name.endswith(str(config.generator.resolution))


@pytest.mark.parametrize("name", CONFIGS)
def test_the_batch_divides_among_one_and_two_processes(name: str) -> None:
    assert CONFIGS[name].rows_of(1) == 2 * CONFIGS[name].rows_of(2)


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
