"""The verdict at the head of a report: a card for each question, with its figures by every evaluator."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..results import Measurement, MetricResult, Score
from .tables import by_features, minus, number

State = Literal["", "near", "off", "far"]
ORDER: tuple[State, ...] = ("", "near", "off", "far")

QUESTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Distance": ("How far from the real pictures?", ("kid", "fd_infinity", "fd", "cmmd")),
    "Style": ("Is the style recognised?", ("accuracy", "csls")),
    "Variety": ("As varied as real pictures?", ("recall", "coverage", "diversity")),
    "Copies": ("Repeated training pictures?", ("copies", "nearest_ratio")),
    "Content": ("Is the content kept?", ("content_normalised", "lpips", "ssim")),
    "Truth": ("Like the real drawing?", ("truth", "nearer_truth")),
    "Style image": ("Like the style image?", ("reference_gram", "reference_mean_std")),
}
"""A question and its figures by the title of the card."""

JUDGED = ("fd", "accuracy", "recall", "coverage", "diversity", "copies")
"""Figures that decide the colour of a card."""
WORDS: Mapping[State, str] = {"near": "near held-out pictures", "off": "some way off", "far": "far off"}


@dataclass(frozen=True)
class Line:
    """A figure: its title, and a value beside that of held-out images for each evaluator ("" for none)."""

    title: str
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Card:
    """A question with its figures, and how near the least good one comes to held-out images."""

    title: str
    question: str
    state: State
    lines: tuple[Line, ...]

    @property
    def words(self) -> str:
        return WORDS.get(self.state, "")


def evaluators(measures: Measurement) -> tuple[str, ...]:
    """The feature spaces of the figures on the cards."""
    known = {name for _, names in QUESTIONS.values() for name in names}
    return tuple(features for features, own in by_features(measures).items() if known & own.keys())


def cards(measures: Measurement) -> list[Card]:
    """The cards of the questions that were measured."""
    groups = [by_features(measures)[features] for features in evaluators(measures)]
    found = []
    for title, (question, names) in QUESTIONS.items():
        lines = [_line([figures.get(name) for figures in groups]) for name in names]
        judged = [name for name in JUDGED if name in names]
        states: list[State] = [state(name, own[name]) for own in groups for name in judged if name in own]
        shown = tuple(line for line in lines if line is not None)
        if shown:
            worst = max(states, key=ORDER.index) if states else ""
            found.append(Card(title, question, worst, shown))
    return found


def _line(figures: list[MetricResult | None]) -> Line | None:
    known = [figure for figure in figures if figure is not None]
    if not known:
        return None
    cells = tuple(
        ("", "") if figure is None
        else (_text(figure.measured), _text(figure.real))
        for figure in figures
    )  # fmt: skip
    return Line(known[0].about.title, cells)


def _text(score: Score | None) -> str:
    return "" if score is None else minus(number(score.value, 3))


def state(name: str, figure: MetricResult) -> State:
    """How near a figure comes to that of held-out images: within two thirds of the way, a third, or less.

    Of copies, the share beyond that of held-out images counts: 2 % and 10 % are the bounds.
    """
    if figure.real is None:
        return ""
    measured, real = figure.measured.value, figure.real.value
    if name == "copies":
        excess = measured - real
        return "near" if excess <= 0.02 else "off" if excess <= 0.1 else "far"
    if min(measured, real) <= 0:
        not_worse = measured <= real if figure.about.better == "less" else measured >= real
        return "near" if not_worse else "far"
    share = measured / real if figure.about.better == "more" else real / measured
    return "near" if share >= 2 / 3 else "off" if share >= 1 / 3 else "far"
