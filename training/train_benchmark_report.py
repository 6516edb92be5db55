"""What the benchmark `train` found: tables and a picture."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from matplotlib.figure import Figure

from brushwork.eval.benchmark import Finding, Table

from .stopwatch import REST
from .train_benchmark import Pace


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How fast each resolution is."""

    paces: tuple[Pace, ...]

    def table(self) -> Table:
        first = self.paces[0]
        limit = "; ".join(
            f"{name} {max(getattr(pace, name) for pace in self.paces) / 1e9:.0f}"
            for name in ("convolution", "product")
        )
        return Table(
            title=f"Training steps of {first.batch} pictures, {first.precision}",
            header=("", "img/s", "ms a step (IQR)", "GFLOP a picture", "GFLOP/s", "of the peak", "peak MB"),
            rows=tuple(self._row(pace) for pace in self.paces),
            notes=(f"The machine's own peak, in GFLOP/s: {limit}. Shares are of the convolution's, timed in "
                   "turn with the steps; penalties and regimes count as often as they come.",),
        )  # fmt: skip

    @staticmethod
    def _row(pace: Pace) -> tuple[str, ...]:
        return (
            f"{pace.resolution} px", f"{pace.rate:.1f}", f"{1000 * pace.seconds:.0f} ({pace.spread:.0%})",
            f"{pace.gflops:.3g}", f"{pace.gflops * pace.rate:.0f}", f"{pace.utilisation:.0%}",
            f"{pace.peak:.0f}",
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {
            f"{pace.resolution}": {**asdict(pace), "img_per_s": pace.rate, "utilisation": pace.utilisation}
            for pace in self.paces
        }


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """Where the time of sampling steps goes."""

    paces: tuple[Pace, ...]

    def table(self) -> Table:
        shares = [pace.breakdown() for pace in self.paces]
        names = sorted(
            {name for one in shares for name in one},
            key=lambda name: (name == REST, -shares[-1].get(name, 0)),
        )
        return Table(
            title="Of a sampling step's time",
            header=("", *(f"{pace.resolution} px" for pace in self.paces)),
            rows=tuple((name, *(f"{one.get(name, 0):.1%}" for one in shares)) for name in names),
            notes=("rest: losses, augmentation, random numbers, bookkeeping. Backward passes of "
                   "the discriminator hold those of the loss.",),
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {f"{pace.resolution}": pace.breakdown() for pace in self.paces}


@dataclass(frozen=True, kw_only=True)
class BesideStyleGAN2:
    """Sampling steps beside StyleGAN2's (`training.stylegan2`): the same resolutions, widths and batch."""

    paces: tuple[Pace, ...]

    def table(self) -> Table:
        return Table(
            title="Beside StyleGAN2 as its code runs on a processor",
            header=("", "img/s", "StyleGAN2 img/s", "times", "with path length", "times"),
            rows=tuple(self._row(pace) for pace in self.paces),
            notes=("StyleGAN2: written anew for this comparison, in float32; without and with path length "
                   "regularisation in every fourth step, as published. All steps were timed in turn.",),
        )  # fmt: skip

    @staticmethod
    def _row(pace: Pace) -> tuple[str, ...]:
        theirs = [pace.peer_seconds(path=path) for path in (False, True)]
        ours = pace.sampling_seconds
        beside = [(f"{pace.batch / one:.1f}", f"{one / ours:.2f}") for one in theirs]
        return f"{pace.resolution} px", f"{pace.batch / ours:.1f}", *beside[0], *beside[1]

    def to_json(self) -> dict[str, Any]:
        return {
            f"{pace.resolution}": {
                "times": pace.peer_seconds(path=False) / pace.sampling_seconds,
                "times_with_path_length": pace.peer_seconds(path=True) / pace.sampling_seconds,
            }
            for pace in self.paces
        }


def findings(paces: tuple[Pace, ...]) -> dict[str, Finding]:
    """All that was found, by the name that it has in the file."""
    found: dict[str, Finding] = {"rates": Rates(paces=paces), "breakdown": Breakdown(paces=paces)}
    return found | {"peer": BesideStyleGAN2(paces=paces)} if paces[0].peer else found


def picture(paces: Sequence[Pace]) -> Figure:
    """A bar for each resolution, milliseconds for each picture, cut into the parts of a sampling step."""
    figure = Figure(figsize=(9, 1.2 + 0.6 * len(paces)), layout="constrained")
    axes = figure.add_subplot(xlabel="milliseconds a picture")
    shares = [pace.breakdown() or {"all": 1.0} for pace in paces]
    names = sorted({name for one in shares for name in one}, key=lambda name: -shares[-1].get(name, 0))
    left = [0.0] * len(paces)
    for place, name in enumerate(names):
        widths = [
            1000 * pace.seconds / pace.batch * one.get(name, 0)
            for pace, one in zip(paces, shares, strict=True)
        ]
        axes.barh(
            [f"{pace.resolution} px" for pace in paces], widths, left=left, label=name,
            color=f"C{place % 10}", hatch="//" if place >= 10 else None,
        )  # fmt: skip
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for place, (pace, end) in enumerate(zip(paces, left, strict=True)):
        axes.text(end, place, f"  {pace.rate:.0f} img/s, {pace.utilisation:.0%} of the peak", va="center")
    axes.set_xlim(0, 1.6 * max(left))
    axes.invert_yaxis()
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    return figure
