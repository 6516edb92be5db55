"""A content x style world in which the truth is known: perfect, idle and mean outputs, and who has none."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from brushwork.data.pictures import Pictures
from brushwork.data.sources.toy import toy_pictures
from brushwork.eval.errors import EvalError
from brushwork.eval.features.extract import MapExtractor
from brushwork.eval.metrics.content import feature_distance
from brushwork.eval.pairs.read import PairSet
from brushwork.eval.pairs.truth import Mean, PairedTruth, paired_truth, style_mean_of

ALL = toy_pictures(styles=3, subjects=12, size=16)
NAMES = ALL.style_names


class Colours:
    """A fake: the picture at two scales, with a constant channel that makes brightness a direction too."""

    name, maps_protocol = "colours", "colours at two scales"

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        x = images.float() / 255
        x = torch.cat([x, torch.full_like(x[:, :1], 0.5)], dim=1)
        return x, torch.nn.functional.avg_pool2d(x, 2)


def part(data: Pictures, subjects: range) -> Pictures:
    wanted = {f"{n:04}" for n in subjects}
    rows = [row for row, subject in enumerate(data.subjects) if subject in wanted]
    return replace(
        data, images=data.images[rows], styles=data.styles[rows],
        subjects=tuple(data.subjects[row] for row in rows),
    )  # fmt: skip


TRAIN, TEST = part(ALL, range(8)), part(ALL, range(8, 12))


def drawing(style: int, subject: str) -> Tensor:
    rows = [r for r, s in enumerate(ALL.subjects) if s == subject and int(ALL.styles[r]) == style]
    return ALL.images[rows[0]]


def world(output: str, *, targets: tuple[int, ...] = (1, 2)) -> PairSet:
    """The held-out subjects of style 0, restyled to the others: perfectly, not at all, or to the mean."""
    asked = [(target, f"{n:04}") for target in targets for n in range(8, 12)]
    contents = torch.stack([drawing(0, subject) for _, subject in asked])
    perfect = torch.stack([drawing(target, subject) for target, subject in asked])
    means = torch.stack([style_mean_of(TRAIN, NAMES[target]) for target, _ in asked])
    return PairSet(
        outputs={"perfect": perfect, "idle": contents, "mean": means}[output],
        contents=contents,
        styles=tuple(NAMES[target] for target, _ in asked),
        subjects=tuple(subject for _, subject in asked),
        sources=("",) * len(asked),
    )


def measured(pairs: PairSet) -> PairedTruth:
    return paired_truth(pairs, TEST, TRAIN, Colours())


def test_the_fake_is_a_map_extractor() -> None:
    assert isinstance(Colours(), MapExtractor)


def test_perfect_outputs_are_at_no_distance_and_nearer_than_both_baselines() -> None:
    found = measured(world("perfect"))
    assert torch.equal(found.output, torch.zeros(8))
    assert found.content.min() > 0.001
    assert found.style_mean.min() > 0.001
    whole = found.overall()
    assert (whole.output.value, whole.output.error, whole.nearer, whole.count) == (0, 0, 1, 8)
    assert (found.missing, found.pairs.tolist()) == (0, list(range(8)))
    assert found.protocol == "channel-normalised feature distance to the real drawing (colours at two scales)"


def test_idle_outputs_are_the_first_baseline_and_means_the_second() -> None:
    idle, mean = measured(world("idle")), measured(world("mean"))
    assert torch.equal(idle.output, idle.content)
    assert torch.equal(mean.output, mean.style_mean)
    assert torch.equal(idle.style_mean, mean.style_mean)
    assert idle.overall().nearer == mean.overall().nearer == 0


def test_distances_are_those_of_the_pair_to_the_drawing() -> None:
    pairs = world("idle")
    row = 5  # subject 9 in style 2
    truth = drawing(2, "0009")[None]
    network = Colours()
    expected = feature_distance(network.maps(pairs.contents[row][None]), network.maps(truth), normalised=True)
    torch.testing.assert_close(measured(pairs).output[row], expected[0])


def test_mean_of_the_drawings_is_pixel_wise_rounded_and_of_that_style_alone() -> None:
    images = torch.tensor([[10, 20], [11, 255], [13, 0], [200, 200]], dtype=torch.uint8)
    data = Pictures(
        images=images[:, None, None].expand(4, 3, 2, 2), styles=torch.tensor([1, 1, 1, 0]),
        subjects=("a", "b", "c", "a"), style_names=("x", "y"), fingerprint="",
    )  # fmt: skip
    # 34 / 3 = 11.33, 275 / 3 = 91.67; uint8 sums would have wrapped
    assert style_mean_of(data, "y").tolist() == [[[11, 92]] * 2] * 3


def test_styles_are_told_apart_and_means_have_errors() -> None:
    pairs = world("perfect")
    spoilt = pairs.outputs.clone()
    spoilt[4:] = pairs.contents[4:]  # style 2 untouched
    found = measured(replace(pairs, outputs=spoilt))
    first, second = (found.by_style()[NAMES[target]] for target in (1, 2))
    assert (first.output.value, first.nearer, first.count) == (0, 1, 4)
    assert (second.output, second.nearer, second.count) == (second.content, 0, 4)
    assert list(found.by_style()) == [NAMES[1], NAMES[2]]
    values = found.content[4:].double()
    assert second.content.value == pytest.approx(float(values.mean()))
    assert second.content.error == pytest.approx(float(values.std() / 2))
    assert found.overall().output.value == pytest.approx(second.output.value / 2)


def test_a_single_pair_has_no_error() -> None:
    assert math.isnan(Mean.of(torch.tensor([2.0])).error)
    single = PairedTruth(
        output=torch.ones(1), content=torch.ones(1), style_mean=torch.ones(1), pairs=torch.zeros(1).long(),
        styles=("x",), missing=0, protocol="",
    )  # fmt: skip
    written = json.loads(json.dumps(single.overall().to_json(), allow_nan=False))
    assert (written["output"], written["output_error"], written["count"]) == (1, None, 1)


def test_style_names_in_another_order_are_matched_by_name() -> None:
    turned = replace(TRAIN, style_names=NAMES[::-1], styles=2 - TRAIN.styles)
    pairs = world("mean")
    expected, found = measured(pairs), paired_truth(pairs, TEST, turned, Colours())
    assert torch.equal(found.style_mean, expected.style_mean)


# Mistakes
def test_pairs_without_a_drawing_are_counted_and_left_out() -> None:
    pairs = world("perfect")
    subjects = ("unknown", *pairs.subjects[1:4], "0001", *pairs.subjects[5:])
    found = measured(replace(pairs, subjects=subjects))
    assert (found.missing, found.pairs.tolist()) == (2, [1, 2, 3, 5, 6, 7])
    assert torch.equal(found.output, torch.zeros(6))
    assert found.styles == (NAMES[1],) * 3 + (NAMES[2],) * 3
    with pytest.raises(EvalError, match=r"None of the 8 pairs .*subject 'x' .* in style '01-outline'"):
        measured(replace(pairs, subjects=("x",) * 8))


def test_other_styles_sizes_and_doubles_are_named() -> None:
    pairs = world("perfect")
    with pytest.raises(EvalError, match="no style 'cubist': it has 00-filled, 01-outline"):
        measured(replace(pairs, styles=("cubist",) * 8))
    with pytest.raises(EvalError, match="pairs are of 8x8 pixels and the real drawings of 16x16"):
        measured(replace(pairs, outputs=pairs.outputs[:, :, :8, :8], contents=pairs.contents[:, :, :8, :8]))
    with pytest.raises(EvalError, match="Subject '0008' is drawn twice in style '00-filled'"):
        paired_truth(pairs, replace(TEST, subjects=("0008",) * len(TEST)), TRAIN, Colours())
    without = replace(TRAIN, styles=TRAIN.styles.clamp(max=1))
    with pytest.raises(EvalError, match="'02-gradient' has 0 training drawings"):
        paired_truth(pairs, TEST, without, Colours())


def test_unlabelled_drawings_are_no_truth() -> None:
    unlabelled = replace(TEST, styles=torch.full_like(TEST.styles, -1))
    with pytest.raises(EvalError, match="None of the 8 pairs"):
        paired_truth(world("perfect"), unlabelled, TRAIN, Colours())
