"""Collapsed styles: the threshold and the words, for the log of a run and for a report."""

from collections.abc import Sequence

COLLAPSED = 0.5
"""A style has collapsed if the diversity of its samples is below this share of the real images'."""
ADVICE = (
    "train longer if its diversity still rises in metrics.jsonl; else halve both learning rates "
    "(--optimizer.generator-lr, --optimizer.discriminator-lr), take the penalties more often "
    "(--loss.r1-interval 2), or start from a run that draws variety (--start-from RUN)"
)
"""Remedies for collapse."""
MOST_NAMES = 4
"""Styles that are named. The rest are counted."""


def collapse_warning(collapsed: Sequence[str], count: int) -> str:
    """'3 of 6 styles draw one picture: bold, linear, outline'. Empty for no collapsed style."""
    if not collapsed:
        return ""
    more = f" and {len(collapsed) - MOST_NAMES} more" if len(collapsed) > MOST_NAMES else ""
    names = ", ".join(collapsed[:MOST_NAMES])
    verb = "draws" if len(collapsed) == 1 else "draw"
    return f"{len(collapsed)} of {count} styles {verb} one picture: {names}{more}"
