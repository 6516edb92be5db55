"""When does a style draw one picture? The rule and the words, for the log of a run and for a report alike."""

from collections.abc import Sequence

COLLAPSED = 0.5
"""Samples of a style that differ less than this, as a share of what its real pictures do, show one
picture."""
ADVICE = (
    "train longer if its diversity still rises in metrics.jsonl; else halve both learning rates "
    "(--optimizer.generator-lr, --optimizer.discriminator-lr), take the penalties more often "
    "(--loss.r1-interval 2), or start from a run that draws variety (--start-from RUN)"
)
"""What to do about it."""
NAMED = 4
"""Styles that are named; the rest are counted."""


def one_picture(collapsed: Sequence[str], count: int) -> str:
    """'3 of 6 styles draw one picture: bold, linear, outline'; nothing where none does."""
    if not collapsed:
        return ""
    more = f" and {len(collapsed) - NAMED} more" if len(collapsed) > NAMED else ""
    names = ", ".join(collapsed[:NAMED])
    verb = "draws" if len(collapsed) == 1 else "draw"
    return f"{len(collapsed)} of {count} styles {verb} one picture: {names}{more}"
