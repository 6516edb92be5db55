from brushwork.models.stage import Stage
from brushwork.training.plan import RunSchedule
from brushwork.training.presets import PRESETS


def test_every_preset_reaches_its_resolution() -> None:
    for name, (_, config) in PRESETS.items():
        path = RunSchedule.of(config)
        assert path.end == path.images, name
        assert path.stage_at(path.end) == Stage(config.generator.resolution), name
