"""Spaces to search: what is in them by default, what a user may write, and what is refused."""

from dataclasses import replace

import pytest

from brushwork.training.config import TrainConfig
from brushwork.training.errors import TrainingError
from brushwork.training.presets import PRESETS
from brushwork.training.restyle.config import TERMS, Term
from brushwork.training.tune.search_space import (
    Choice,
    Range,
    assigned,
    default_space,
    numeric_fields,
    parse_dimension,
    space_of,
    value_of,
)

EMOJI, RESTYLE = PRESETS["emoji-32"][1], PRESETS["emoji-32-restyle"][1]


def texts(config: TrainConfig, *search: str, defaults: bool = True) -> list[str]:
    return [str(dimension) for dimension in space_of(config, search, defaults=defaults)]


# Defaults
def test_the_default_space_lies_around_the_preset() -> None:
    assert texts(EMOJI) == [
        "optimizer.generator_lr=0.002:0.05",
        "optimizer.discriminator_lr=0.001:0.025",
        "loss.r1_gamma=0.2:20.0",
        "batch=8,16,32",
    ]


@pytest.mark.parametrize("name", PRESETS)
def test_every_default_is_valid_and_holds_what_the_preset_has(name: str) -> None:
    config = PRESETS[name][1]
    for dimension in space_of(config, (), defaults=True):
        own = value_of(config, dimension.name)
        assert own in dimension or own == "auto"


def test_weights_of_restyling_are_searched_where_they_count() -> None:
    used = [term for term in TERMS if RESTYLE.restyle.uses(term) and term != "kl"]
    names = [dimension.name for dimension in default_space(RESTYLE)]
    assert [name for name in names if name.startswith("restyle.")] == [
        f"restyle.{term}.weight" for term in used
    ]
    assert Range("restyle.reconstruct.weight", 1.0, 100.0, log=True) in default_space(RESTYLE)
    without = replace(RESTYLE, restyle=replace(RESTYLE.restyle, cycle=Term()))
    assert "restyle.cycle.weight" not in [dimension.name for dimension in default_space(without)]
    narrow = replace(RESTYLE.generator, content_details=False, content_vae_channels=8)
    latent = replace(RESTYLE, generator=narrow)
    assert "restyle.kl.weight" in [dimension.name for dimension in default_space(latent)]
    assert not [d for d in default_space(EMOJI) if d.name.startswith("restyle.")]


def test_without_a_penalty_its_weight_is_not_searched_and_batches_divide() -> None:
    config = replace(EMOJI, accumulate=4, batch=8, loss=replace(EMOJI.loss, r1_gamma=0.0))
    assert [str(dimension) for dimension in default_space(config)][2:] == ["batch=8,16"]


# What a user writes
def test_search_replaces_what_it_names_and_adds_what_is_new() -> None:
    found = texts(EMOJI, "batch=16", "augment.colour=0:1")
    assert found[3:] == ["batch=16", "augment.colour=0.0:1.0"]
    assert texts(EMOJI, "batch=16", defaults=False) == ["batch=16"]


def test_ranges_are_logarithmic_if_both_ends_are_positive_and_whole_if_the_field_is() -> None:
    assert parse_dimension("loss.r1-gamma=0.5:8") == Range("loss.r1_gamma", 0.5, 8.0, log=True)
    assert parse_dimension("loss.r1_gamma=0:8") == Range("loss.r1_gamma", 0.0, 8.0)
    assert parse_dimension("loss.r1_interval=4:16") == Range("loss.r1_interval", 4, 16, log=True, whole=True)
    assert parse_dimension("batch=8,16") == Choice("batch", (8, 16))
    assert 8 in Range("loss.r1_gamma", 0.5, 8.0)
    assert "auto" not in Range("loss.r1_gamma", 0.5, 8.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("optimizer.lr=1:2", "'optimizer.lr', which is no field with a number; did you mean optimizer"),
        ("generator_lr=1:2", "did you mean optimizer.generator_lr?"),
        ("zzz=1:2", "give one such as optimizer.generator_lr or batch"),
        ("loader.flip=0,1", "'loader.flip', which is no field with a number"),
        ("growing.fade_kimg=1:2", "'growing.fade_kimg', which is no field with a number"),
        ("total_kimg=1:2", "'total_kimg', which does not change how to learn; leave it out"),
        ("interval.status_kimg=1:2", "which does not change how to learn"),
        ("seed=1,2", "which does not change how to learn"),
        ("batch", "write FIELD=LOW:HIGH or FIELD=ONE,TWO,THREE"),
        ("batch=", "write FIELD=LOW:HIGH"),
        ("batch=8:4", "a range is LOW:HIGH, the lower end first"),
        ("batch=8:16:32", "a range is LOW:HIGH"),
        ("batch=8,8", "with a value given twice"),
        ("batch=8.5:9", "'8.5' in 'batch=8.5:9'; it must be a whole number"),
        ("loss.mixing=a:1", "'a' in 'loss.mixing=a:1'; it must be a number"),
        ("loss.mixing=0:inf", "it must be finite"),
        ("augment.colour=0:2", "colour is 2.0: it must be less than or equal to 1"),
        ("batch=0:8", "batch is 0: it must be greater than or equal to 1"),
    ],
)
def test_mistakes_are_named(text: str, words: str) -> None:
    with pytest.raises(TrainingError, match=words.replace("?", r"\?")):
        space_of(EMOJI, (text,), defaults=False)


def test_an_empty_space_is_refused() -> None:
    with pytest.raises(TrainingError, match="nothing to search"):
        space_of(EMOJI, (), defaults=False)


# Fields
def test_values_are_assigned_together_and_nothing_else_changes() -> None:
    values = {"batch": 8, "loss.ramp_start_kimg": 20.0, "loss.ramp_end_kimg": 30.0}
    changed = assigned(EMOJI, values)  # the start alone would lie behind the end, which is 0
    assert {name: value_of(changed, name) for name in values} == values
    own = {name: value_of(EMOJI, name) for name in values}
    assert assigned(changed, own) == EMOJI


def test_every_numeric_field_can_be_assigned() -> None:
    known = numeric_fields()
    assert known["batch"]
    assert not known["optimizer.generator_lr"]
    assert not {"seed", "total_kimg", "loader.flip", "interval.status_kimg"} & known.keys()
    for name, whole in known.items():
        assert type(value_of(EMOJI, name)) is int or not whole
        assert assigned(EMOJI, {name: value_of(EMOJI, name)}) == EMOJI
