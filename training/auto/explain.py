"""The choice in words: ten lines with the reasons, and warnings with figures."""

import math
import textwrap
from collections.abc import Iterator, Mapping
from itertools import islice

from .choose import ADA_BELOW, ADA_REPEATS, Choice, enough_kimg, rounded
from .facts import run_at_hand

EXPECTED: Mapping[float, str] = {
    15: "soft shapes in the colours of each style",
    60: "outlines and colours of each style; few subjects can be named",
    300: "varied images in each style; some subjects can be named",
    math.inf: "more than was measured",
}
"""What a run of at most so many thousand images looks like, as seen at 32 px."""
FEW, REPEATED = 30, 0.05
"""Training images of a style, and share of near-duplicates, that call for a warning."""


def explain(choice: Choice) -> str:
    """Returns the lines for the terminal: a reason for each choice, and warnings."""
    reasons = _reasons(choice)
    indent = max(map(len, reasons)) + 2
    lines = [
        textwrap.fill(text, 110, initial_indent=f"{subject:{indent}}", subsequent_indent=" " * indent)
        for subject, text in reasons.items()
    ]
    return "\n".join([*lines, *(textwrap.fill(f"Warning: {text}", 110) for text in _warnings(choice))])


def _figure(value: float) -> str:
    """The value to two digits, with commas: 1,700."""
    return f"{rounded(value):,g}"


# Reasons
def _reasons(choice: Choice) -> dict[str, str]:
    """What was chosen and why, by subject."""
    chosen, config, machine = choice.chosen, choice.config, choice.machine
    rate, repeats = 1 / chosen.rates[chosen.resolution], chosen.images / choice.collection.images
    kimg, widths = _figure(chosen.images / 1000), config.generator.widths.values()
    parts = f" in {config.accumulate} parts, to fit into the memory" if config.accumulate > 1 else ""
    reasons = {
        "data": choice.collection.describe(),
        "machine": f"{machine.name}: {_figure(rate)} images a second at {chosen.resolution} px",
        "time": f"in {chosen.minutes:g} min about {kimg} kimg, each image {_figure(repeats)} times",
        "resolution": _about_resolution(choice),
        "networks": f"{min(widths)} to {max(widths)} channels, batches of {config.batch}{parts}",
        "augmentation": _about_augmentation(choice),
        "start": _about_start(choice),
        "measured": _about_measuring(choice),
        "expect": _expectation(choice),
    }
    if config.loader.balanced:
        reasons["styles"] = "shown equally often, since their sizes differ much"
    return reasons


def _about_resolution(choice: Choice) -> str:
    chosen, last = choice.chosen, choice.last
    if last.resolution > chosen.resolution:
        return (
            f"{chosen.resolution} px: at {last.resolution} px the time is enough for "
            f"{_figure(last.images / 1000)} kimg, and {enough_kimg(last.resolution):,g} are needed (about "
            f"{_figure(last.minutes_needed)} min)"
        )
    whole = choice.collection.resolution
    return f"{chosen.resolution} px{'' if chosen.resolution == whole else f' of {whole}'}"


def _about_augmentation(choice: Choice) -> str:
    config = choice.config
    if config.augment.ada:
        return f"adaptive: {', '.join(config.augment.ada)}. Mirrored images: --augment.ada flip ..."
    mirrored = "" if config.loader.flip else ". Mirrored images: --loader.flip"
    few = choice.collection.images < ADA_BELOW
    why = f"each image is shown fewer than {ADA_REPEATS} times" if few else f"there are {ADA_BELOW:,} images"
    return f"none, since {why}{mirrored}"


def _about_start(choice: Choice) -> str:
    if choice.source is not None:
        frozen = choice.config.optimizer.frozen_blocks
        return f"from {choice.source.path}" + (
            f", {frozen} blocks of its discriminator frozen" if frozen else ""
        )
    if found := run_at_hand(choice.config.out.parent, choice.collection):
        return f"from scratch. A faster start: --start-from {found}"
    return "from scratch. A run on other images of this shape is a faster start: --start-from RUN"


def _about_measuring(choice: Choice) -> str:
    config = choice.config
    if not config.interval.metrics_kimg:
        return "nothing (--interval.metrics-kimg, with pip install 'brushwork[metrics]')"
    ends = "" if not config.patience else (
        f". {config.patience} without a better {config.metrics.best_by}, or with many copies, end the run"
    )  # fmt: skip
    names = " and ".join(config.metrics.names)
    return f"{names} every {config.interval.metrics_kimg:,g} kimg{ends}. The best snapshot is kept"


def _expectation(choice: Choice) -> str:
    looks = next(text for most, text in EXPECTED.items() if choice.chosen.images <= 1000 * most)
    is_known = choice.chosen.resolution <= 32 and not choice.machine.gpu
    return looks if is_known else f"{looks} (an estimate, from runs of 32 px on a processor)"


# Warnings
def _warnings(choice: Choice) -> Iterator[str]:
    chosen, collection, source = choice.chosen, choice.collection, choice.source
    if not chosen.is_long_enough:
        yield (
            f"{chosen.minutes:g} min are enough for {_figure(chosen.images / 1000)} kimg at "
            f"{chosen.resolution} px; at least {enough_kimg(chosen.resolution):,g} are needed, about "
            f"{_figure(chosen.minutes_needed)} min (--max-minutes)."
        )
    few = {name: count for name, count in collection.counts.items() if count < FEW}
    if few:
        named = ", ".join(f"'{name}' {count}" for name, count in islice(few.items(), 5))
        more = f" and {len(few) - 5} more" if len(few) > 5 else ""
        yield (
            f"Styles with fewer than {FEW} training images: {named}{more}. A long run copies them: add "
            "images, or watch the near-copies."
        )
    repeated, leaks = collection.near_duplicates, collection.leaks
    if repeated > REPEATED * collection.images:
        yield (
            f"{repeated} images nearly repeat another one, {leaks} of them across the splits, which hides "
            f"near-copies: remove those that {collection.path / 'report.json'} lists."
        )
    if source is not None and source.training is None:
        yield f"{source.path} has no discriminator: its run folder, or the snapshot latest, starts better."
