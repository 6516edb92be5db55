"""The whole measure on a world of three styles in which everything can be worked out."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from brushwork.eval.errors import EvalError
from brushwork.eval.frechet import frechet_from_features
from brushwork.eval.suite import Reference, build_reference, evaluate, evaluate_images

STYLES = ("azure", "brick", "cream")
COLOURS = torch.tensor([[60, 90, 200], [190, 80, 70], [210, 200, 150]])


# Fakes
def draw(style: int, seed: int, size: int = 4) -> Tensor:
    """uint8 (3, size, size): the style's colour, off by an amount that the seed decides."""
    generator = torch.Generator().manual_seed(7919 * seed + 13)
    noise = 25 * torch.randn(3, size, size, generator=generator) + 12 * torch.randn(
        3, 1, 1, generator=generator
    )
    return (COLOURS[style][:, None, None] + noise).round().clamp(0, 255).to(torch.uint8)


def perfect(styles: Tensor, seeds: Tensor) -> Tensor:
    """A generator that draws as the real pictures were drawn."""
    return torch.stack([draw(int(s.argmax()), int(seed)) for s, seed in zip(styles, seeds, strict=True)])


def permuted(styles: Tensor, seeds: Tensor) -> Tensor:
    """As perfect, but every style is drawn in place of the one before it."""
    return perfect(styles.roll(1, dims=1), seeds)


class Colours:
    """Mean and deviation of each channel and of the whole; and one value that never varies."""

    name, dim = "colours", 8

    def __init__(self, protocol: str = "colours") -> None:
        self.protocol, self.seen = protocol, 0

    def __call__(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        x = images.float()
        parts = [x.mean((2, 3)), x.std((2, 3)), x.mean((1, 2, 3))[:, None], torch.full((len(x), 1), 5.0)]
        return torch.cat(parts, dim=1)


class Blind(Colours):
    """A control that sees the contrast of a picture and nothing of its colour."""

    name = "blind"

    def __call__(self, images: Tensor) -> Tensor:
        x = images.float()
        return (x - x.mean((2, 3), keepdim=True)).flatten(1)[:, :8]


def pictures(first_seed: int, per_style: int) -> tuple[Tensor, Tensor]:
    styles = torch.arange(3).repeat_interleave(per_style)
    seeds = first_seed + torch.arange(len(styles))
    return torch.stack([draw(int(s), int(k)) for s, k in zip(styles, seeds, strict=True)]), styles


TRAIN, TEST = pictures(10_000, 80), pictures(20_000, 40)


def build(extractor: Colours | None = None, cache: Path | None = None) -> Reference:
    extractors = (extractor or Colours(), Blind("contrast"))
    return build_reference(*TRAIN, *TEST, STYLES, "fingerprint", extractors=extractors, cache_dir=cache)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return build()


# The measure
def test_a_perfect_sampler_reaches_the_ceiling(reference: Reference) -> None:
    measures = evaluate(perfect, reference, per_style=60)
    assert measures.real.style_accuracy > 0.9
    assert measures.samples.style_accuracy >= measures.real.style_accuracy - 0.05
    assert measures.samples.fd < 0.5
    assert max(measures.samples.style_fd) < 0.5


def test_permuted_styles_fail_by_style_alone(reference: Reference) -> None:
    """All pictures together are the same, so only what looks at styles may see it."""
    straight, wrong = evaluate(perfect, reference, per_style=60), evaluate(permuted, reference, per_style=60)
    assert wrong.samples.fd == pytest.approx(straight.samples.fd, rel=1e-9)
    assert wrong.samples.style_accuracy < 0.05
    assert min(wrong.samples.style_fd) > 5 * max(straight.samples.style_fd)
    for style in range(3):
        assert wrong.samples.confusion[style][(style + 1) % 3] > 0.9


def test_the_control_does_not_see_colour(reference: Reference) -> None:
    measures = evaluate(permuted, reference, per_style=60)
    assert measures.control_samples is not None
    assert measures.control_real is not None
    assert measures.control_real.style_accuracy < 0.5 < measures.real.style_accuracy
    assert evaluate(perfect, reference, per_style=2, control=False).control_samples is None


def test_a_worse_sampler_is_farther(reference: Reference) -> None:
    def blotted(styles: Tensor, seeds: Tensor) -> Tensor:
        return perfect(styles, seeds) // 2

    bad = evaluate(blotted, reference, per_style=60)
    assert bad.samples.fd > 5 * evaluate(perfect, reference, per_style=60).samples.fd


def test_the_worst_style_is_named(reference: Reference) -> None:
    def one_bad(styles: Tensor, seeds: Tensor) -> Tensor:
        return torch.where((styles.argmax(1) == 1)[:, None, None, None], 255, perfect(styles, seeds)).byte()

    measures = evaluate(one_bad, reference, per_style=20)
    assert measures.worst_style == "brick"
    assert measures.summary()["fd_worst_style"] == max(measures.samples.style_fd)


def test_distances_are_of_standardised_features(reference: Reference) -> None:
    """The figure by its definition: standardised by real training features, against train and test."""
    extractor = Colours()
    train, test = extractor(TRAIN[0]).double(), extractor(TEST[0]).double()
    std, mean = torch.std_mean(train, dim=0, correction=0)
    std[7] = 1  # the column that never varies
    samples = torch.cat(
        [extractor(perfect(torch.eye(3)[s].expand(9, 3), torch.arange(5, 14))) for s in range(3)]
    )
    expected = frechet_from_features((samples - mean) / std, (torch.cat([train, test]) - mean) / std)
    measures = evaluate(perfect, reference, per_style=9, seed=5)
    assert measures.samples.fd == pytest.approx(expected, rel=1e-3)


# Seeds, batches, other ways in
def test_every_style_gets_the_same_seeds(reference: Reference) -> None:
    asked: list[tuple[int, int]] = []

    def spy(styles: Tensor, seeds: Tensor) -> Tensor:
        assert styles.shape == (len(seeds), 3)
        assert styles.dtype == torch.float32
        assert seeds.dtype == torch.int64
        asked.extend(zip(styles.argmax(1).tolist(), seeds.tolist(), strict=True))
        return perfect(styles, seeds)

    evaluate(spy, reference, per_style=5, seed=100, batch=2)
    assert asked == [(style, seed) for style in range(3) for seed in range(100, 105)]


def test_batch_size_changes_nothing(reference: Reference) -> None:
    small, large = (evaluate(perfect, reference, per_style=10, batch=b) for b in (3, 64))
    assert small.to_json() == large.to_json()


def test_images_measure_as_their_sampler(reference: Reference) -> None:
    styles = torch.arange(3).repeat_interleave(20)
    images = perfect(torch.eye(3)[styles], torch.arange(20).repeat(3))
    shuffle = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    measures = evaluate_images(images[shuffle], styles[shuffle], reference)
    sampled = evaluate(perfect, reference, per_style=20)
    assert measures.samples.fd == pytest.approx(sampled.samples.fd, rel=1e-5)
    assert measures.samples.style_accuracy == pytest.approx(sampled.samples.style_accuracy)


def test_restricted_to_fewer_styles_in_another_order(reference: Reference) -> None:
    def narrow(styles: Tensor, seeds: Tensor) -> Tensor:  # columns: cream, azure
        return perfect(torch.stack([styles[:, 1], torch.zeros(len(styles)), styles[:, 0]], dim=1), seeds)

    measures = evaluate(narrow, reference.restricted_to(["cream", "azure"]), per_style=30)
    assert measures.style_names == ("cream", "azure")
    assert measures.samples.style_accuracy > 0.9
    assert measures.samples.fd < 0.5
    assert measures.protocol["real_train_images"] == 160


def test_unlabelled_pictures_are_left_out() -> None:
    styles = TRAIN[1].clone()
    styles[::4] = -1
    reference = build_reference(TRAIN[0], styles, *TEST, STYLES, "f", extractors=(Colours(), None))
    assert len(reference.evaluator.train.styles) == 180
    assert reference.control is None


# Cache and protocol
def test_a_second_reference_comes_from_the_cache(tmp_path: Path) -> None:
    first, second, third = Colours(), Colours(), Colours()
    figures = build(first, tmp_path).evaluator.held_out
    assert build(second, tmp_path).evaluator.held_out == figures
    assert (first.seen, second.seen) == (360, 0)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    assert build(third, tmp_path).evaluator.held_out == figures
    assert third.seen == 360


def test_protocols_differ_by_whatever_decides(reference: Reference) -> None:
    def protocol(reference: Reference, per_style: int = 4, seed: int = 0, psi: float = 1.0) -> str:
        conditions = {"psi": psi}
        measures = evaluate(perfect, reference, per_style=per_style, seed=seed, conditions=conditions)
        return json.dumps(measures.protocol)

    same = protocol(reference)
    assert protocol(reference) == same
    others = [
        protocol(reference, per_style=5),
        protocol(reference, seed=1),
        protocol(reference, psi=0.7),
        protocol(build(Colours("colours, otherwise"))),
        protocol(reference.restricted_to(STYLES[::-1])),
        protocol(replace(reference, fingerprint="another")),
    ]
    assert same not in others
    assert len(set(others)) == len(others)


def test_json_holds_everything(reference: Reference) -> None:
    measures = evaluate(perfect, reference, per_style=4, label="a fake")
    content = json.loads(json.dumps(measures.to_json(), allow_nan=False))
    assert content["label"] == "a fake"
    assert content["samples"]["fd"] == measures.samples.fd
    assert content["protocol"]["images_per_style"] == [4, 4, 4]
    assert set(content) >= {"protocol", "style_names", "samples", "real", "control_samples", "control_real"}
    assert set(measures.summary()) == {"fd", "style_accuracy", "fd_style_mean", "fd_worst_style"}


# Mistakes
def test_unknown_styles_are_named(reference: Reference) -> None:
    with pytest.raises(EvalError, match="no style 'dusk', 'ebony'"):
        reference.restricted_to(["azure", "dusk", "ebony"])


@pytest.mark.parametrize("per_style", [-1, 0, 1])
def test_too_few_samples(reference: Reference, per_style: int) -> None:
    with pytest.raises(EvalError, match=f"{per_style} samples a style"):
        evaluate(perfect, reference, per_style=per_style)


def test_samples_that_are_no_pictures(reference: Reference) -> None:
    def floats(styles: Tensor, seeds: Tensor) -> Tensor:
        return perfect(styles, seeds).float() / 0

    with pytest.raises(EvalError, match="float32"):
        evaluate(floats, reference, per_style=4)
    with pytest.raises(EvalError, match="3 images for 4 seeds"):
        evaluate(lambda styles, seeds: perfect(styles, seeds)[:3], reference, per_style=4)


def test_larger_pictures_than_the_real_ones(reference: Reference) -> None:
    def large(styles: Tensor, seeds: Tensor) -> Tensor:
        return perfect(styles, seeds).repeat(1, 1, 2, 2)

    with pytest.raises(EvalError, match=r"8x8 pixels.*4x4"):
        evaluate(large, reference, per_style=4)


def test_images_without_style_or_company(reference: Reference) -> None:
    images, styles = pictures(0, 2)
    with pytest.raises(EvalError, match="'cream' has 1 images"):
        evaluate_images(images[:5], styles[:5], reference)
    with pytest.raises(EvalError, match="1 images to measure have no style"):
        evaluate_images(images, torch.tensor([0, 0, 1, 1, 2, -1]), reference)
    with pytest.raises(EvalError, match="'azure' has 0 held-out"):
        build_reference(*TRAIN, TEST[0][40:], TEST[1][40:], STYLES, "f", extractors=(Colours(), None))


def test_a_reference_without_styles_is_a_mistake() -> None:
    images, styles = torch.zeros(4, 3, 4, 4, dtype=torch.uint8), torch.full((4,), -1)
    with pytest.raises(EvalError, match="no styles"):
        build_reference(images, styles, images, styles, (), "flat", extractors=(Colours(), None))
