"""Plans and search spaces: the defaults, what a user may write, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from brushwork.training.config import TrackerConfig, TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.presets import PRESETS
from brushwork.training.restyle.config import TERMS, Term
from brushwork.training.run.metrics import MetricsConfig
from brushwork.training.tune.config import TuningConfig
from brushwork.training.tune.plan import contains, default_space, make_plan, make_space, with_fields

EMOJI, RESTYLE = PRESETS["emoji-32"][1], PRESETS["emoji-32-restyle"][1]


def log(low: float, high: float) -> FloatDistribution:
    return FloatDistribution(low, high, log=True)


def test_the_default_space_lies_around_the_preset() -> None:
    assert default_space(EMOJI) == {
        "optimizer.generator_lr": log(0.002, 0.05),
        "optimizer.discriminator_lr": log(0.001, 0.025),
        "loss.r1_gamma": log(0.2, 20.0),
        "batch": CategoricalDistribution((8, 16, 32)),
    }
    unpenalised = replace(EMOJI, accumulate=4, batch=8, loss=replace(EMOJI.loss, r1_gamma=0.0))
    space = default_space(unpenalised)
    assert "loss.r1_gamma" not in space, "no weight of a penalty that is off"
    assert space["batch"] == CategoricalDistribution((8, 16)), "no odd parts"


@pytest.mark.parametrize("name", PRESETS)
def test_every_default_space_is_valid_and_contains_its_preset(name: str) -> None:
    config = PRESETS[name][1]
    for field, distribution in make_space(config, (), defaults=True).items():
        value = attrgetter(field)(config)
        assert value == "auto" or contains(distribution, value)
        categorical = isinstance(distribution, CategoricalDistribution)
        for end in distribution.choices if categorical else (distribution.low, distribution.high):
            with_fields(config, {field: end})


def test_restyling_weights_are_searched_where_they_are_used() -> None:
    def names(config: TrainConfig) -> set[str]:
        return {name for name in default_space(config) if name.startswith("restyle.")}

    used = {f"restyle.{term}.weight" for term in TERMS if RESTYLE.restyle.uses(term) and term != "kl"}
    assert names(RESTYLE) == used
    assert default_space(RESTYLE)["restyle.reconstruct.weight"] == log(1.0, 100.0)
    without = replace(RESTYLE, restyle=replace(RESTYLE.restyle, cycle=Term()))
    assert names(without) == used - {"restyle.cycle.weight"}
    narrow = replace(RESTYLE.generator, content_details=False, content_vae_channels=8)
    assert names(replace(RESTYLE, generator=narrow)) == used | {"restyle.kl.weight"}
    assert names(EMOJI) == set()


def test_search_adds_to_the_defaults_or_replaces_them() -> None:
    search = ("batch=16", "augment.colour=0:1")
    assert make_space(EMOJI, search, defaults=True) == {
        **default_space(EMOJI), "batch": CategoricalDistribution((16,)),
        "augment.colour": FloatDistribution(0.0, 1.0),
    }  # fmt: skip


def test_positive_ranges_are_logarithmic_and_ranges_of_integers_integer() -> None:
    for text, name, distribution in (
        ("loss.r1-gamma=0.5:8", "loss.r1_gamma", log(0.5, 8.0)),
        ("loss.r1_gamma=0:8", "loss.r1_gamma", FloatDistribution(0.0, 8.0)),
        ("loss.r1_interval=4:16", "loss.r1_interval", IntDistribution(4, 16, log=True)),
        ("batch=8,16,8", "batch", CategoricalDistribution((8, 16))),
    ):
        assert make_space(PRESETS["toy"][1], (text,), defaults=False) == {name: distribution}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("optimizer.lr=1:2", "'optimizer.lr', which is no number that is searched; did you mean optimizer"),
        ("generator_lr=1:2", "did you mean optimizer.generator_lr?"),
        ("zzz=1:2", "give one such as optimizer.generator_lr or batch"),
        ("loader.flip=0,1", "'loader.flip', which is no number"),
        ("generator.channels=3,4", "'generator.channels', which is no number that is searched"),
        ("growing.fade_kimg=1:2", "'growing.fade_kimg', which is no number"),
        ("interval.status_kimg=1:2", "'interval.status_kimg', which is no number that is searched"),
        ("seed=1,2", "'seed', which is no number"),
        ("batch=", "write FIELD=LOW:HIGH or FIELD=ONE,TWO,THREE with whole numbers"),
        ("batch=8:4", "write FIELD=LOW:HIGH"),
        ("batch=8:16:32", "write FIELD=LOW:HIGH"),
        ("batch=8.5:9", "with whole numbers"),
        ("loss.mixing=a:1", "'loss.mixing=a:1'; write FIELD=LOW:HIGH or FIELD=ONE,TWO,THREE with numbers"),
        ("loss.r1_gamma=nan:1", "r1_gamma is nan"),
        ("batch=0:8", "batch is 0: it must be greater than or equal to 1"),
        ("", "nothing to search"),
    ],
)
def test_mistakes_are_named(text: str, words: str) -> None:
    with pytest.raises(TrainingError, match=words.replace("?", r"\?")):
        make_space(EMOJI, (text,) if text else (), defaults=False)


def test_fields_are_replaced_together_and_nothing_else_changes() -> None:
    values = {"batch": 8, "restyle.exemplar_prob": 0.8, "restyle.self_style_prob": 0.1}
    changed = with_fields(EMOJI, values)  # the first alone would exceed 1 together with the second, .4
    assert {name: attrgetter(name)(changed) for name in values} == values
    assert with_fields(changed, {name: attrgetter(name)(EMOJI) for name in values}) == EMOJI


@pytest.fixture
def base(make_config: Callable[..., TrainConfig], tmp_path: Path) -> TrainConfig:
    return make_config(out=tmp_path / "study")


def test_what_cannot_be_tuned_is_named(base: TrainConfig) -> None:
    for config, words in (
        (replace(base, max_minutes=3.0), "max_minutes is 3.0; trials have equal lengths"),
        (replace(base, metrics=MetricsConfig(names=())), "nothing is measured to search by"),
    ):
        with pytest.raises(TrainingError, match=words):
            make_plan(config, TuningConfig())


def test_a_run_folder_is_refused_and_a_tracker_group_kept(base: TrainConfig) -> None:
    config = replace(base, trackers=TrackerConfig(group="mine"))
    assert make_plan(config, TuningConfig()).trial.trackers.group == "mine"
    base.out.mkdir()
    (base.out / "config.json").write_text("{}")
    with pytest.raises(TrainingError, match="study holds a run; choose another --out"):
        make_plan(base, TuningConfig())
