"""The work of `brushwork stylize`: contents times styles to pictures, each with its losses; resumable."""

import hashlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch

from brushwork.data.contents import Cutout, Original
from brushwork.data.errors import DataError
from brushwork.data.images import read_image
from brushwork.data.progress import Progress
from brushwork.data.writing import save_picture
from brushwork.models.errors import ModelError
from brushwork.scripts.inputs import LeftOut, readable
from brushwork.scripts.stylized_album import Album, Target, as_array, as_tensor, read_mask, save_stylized
from brushwork.training.calibration import choose_precision
from brushwork.training.errors import TrainingError
from brushwork.training.interrupt import StopRequest, stop_on_signals
from brushwork.training.style_transfer.backbones import Perceiver
from brushwork.training.style_transfer.config import StylizeConfig
from brushwork.training.style_transfer.files import (
    Damaged,
    Facts,
    Halted,
    Job,
    plain,
    read_job,
    read_notes,
    read_state,
    state_file,
    write_job,
    write_state,
)
from brushwork.training.style_transfer.trace import Trace
from brushwork.training.style_transfer.transfer import Scene, Stylizer

Read = TypeVar("Read")

SAVE_EVERY = 300.0
"""Seconds after which the state is written, beside at a signal."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What came of a command."""

    count: int
    left_out: LeftOut
    stopped: bool
    """Whether a signal did."""


@dataclass(frozen=True, kw_only=True)
class Stylizing:
    """All contents in all styles."""

    network: Perceiver
    config: StylizeConfig
    preset: str
    weights: tuple[float, ...]
    masks: tuple[Path, ...]
    start_from: Path | None
    interval: int
    resume: bool
    device: str

    def run(self, originals: Sequence[Original], targets: Sequence[Target], out: Path) -> Drawn:
        """Draws what is not there yet. What cannot be drawn is left out: for a picture that cannot be read,
        settings that do not fit it, and a loss that is no number or does not fall."""
        album = Album(out=out, targets=targets, originals=originals, weights=self.weights)
        left_out, job = LeftOut(), replace(self, config=self._settled(out))
        total = len(originals) * len(targets)
        with stop_on_signals() as stop, Progress(total=total, desc="stylize", unit="img", leave=False) as bar:
            for original, cutout in readable(originals, left_out):
                for target in targets:
                    bar.set_postfix_str(f"{original.name} like {target.name}")
                    try:
                        done = job.draw(original, cutout, target, album, stop)
                    except (DataError, ModelError, TrainingError) as error:
                        left_out.add(f"{original.name} like {target.name}", error)
                        done = True
                    if not done:
                        return Drawn(count=len(album.rows), left_out=left_out, stopped=True)
                    bar.update()
        album.finish()
        return Drawn(count=len(album.rows), left_out=left_out, stopped=False)

    def _settled(self, out: Path) -> StylizeConfig:
        """The settings with the precision that is taken for all pictures: what an earlier command with the
        same settings found to be faster, so that it and this one draw the same."""
        if self.config.precision != "auto":
            return self.config
        asked, stored = plain(self.config), unless_damaged(lambda: read_job(out), "it is made anew")
        if stored is not None and stored.config == asked:
            return replace(self.config, precision=stored.precision)
        precision = choose_precision("auto", torch.device(self.device))
        write_job(out, Job(config=asked, precision=precision))
        return replace(self.config, precision=precision)

    def draw(
        self, original: Original, cutout: Cutout, target: Target, album: Album, stop: StopRequest
    ) -> bool:
        """One picture; False if a signal stopped it."""
        path = album.path(original, target)
        scene = Scene(
            content=as_tensor(cutout.pixels),
            styles=[as_tensor(one.read().pixels) for one in target.pictures],
            weights=self.weights, masks=[read_mask(mask) for mask in self.masks],
            start=None if self.start_from is None else as_tensor(read_image(self.start_from)),
        )  # fmt: skip
        facts = Facts(preset=self.preset, config=plain(self.config), scene=fingerprint(scene))
        if self.resume and finished(path, facts):
            album.add(original, target, cutout)
            return True
        stylizer = Stylizer(scene, self.config, network=self.network, device=self.device)
        trace = resumed(stylizer, path, facts) if self.resume else Trace()
        try:
            done = self._optimise(stylizer, trace, path, facts, stop)
        except TrainingError as error:
            save_stylized(path, cutout, stylizer.drawn())
            trace.write(path, facts, stopped=str(error))
            raise TrainingError(f"{error} The best picture that there was is {path}.") from error
        if done:
            save_stylized(path, cutout, stylizer.drawn())
            trace.write(path, facts)
            state_file(path).unlink(missing_ok=True)
            album.add(original, target, cutout)
        return done

    def _optimise(
        self, stylizer: Stylizer, trace: Trace, path: Path, facts: Facts, stop: StopRequest
    ) -> bool:
        """Until all evaluations are made, or a signal came: then the state is on the disk, and False."""
        before, start = trace.seconds, time.perf_counter()
        saved = start
        with Progress(
            total=stylizer.total, initial=stylizer.number, desc=path.stem, unit="eval", leave=False
        ) as bar:
            for step in stylizer:
                trace.add(step, before + time.perf_counter() - start)
                bar.update()
                bar.set_postfix_str(
                    f"{step.side} px, style {step.losses.style:.3g}, content {step.losses.content:.3g}",
                    refresh=False,
                )
                if self.interval and step.number % self.interval == 0:
                    steps = path.with_name(f"{path.stem}-steps")
                    save_picture(steps / f"{step.number:06d}.png", as_array(stylizer.drawn()))
                ask = stop.signal is not None
                if ask or time.perf_counter() - saved > SAVE_EVERY:
                    tensors = stylizer.state_dict()
                    write_state(path, Halted(facts=facts, trace=trace.rows, tensors=tensors))
                    saved = time.perf_counter()
                if ask and step.number < step.of:
                    return False
        return True


# What is there
def unless_damaged(read: Callable[[], Read], otherwise: str) -> Read | None:
    """What is read; None, and a word on it, where that is damaged."""
    try:
        return read()
    except Damaged as damaged:
        Progress.write(f"{damaged}: {otherwise}", file=sys.stderr)
        return None


def finished(path: Path, facts: Facts) -> bool:
    """Whether the picture is there already, whole, of the same settings and pictures."""
    again = "its picture is drawn again"
    notes = unless_damaged(lambda: read_notes(path), again)
    if notes is None or notes.stopped is not None or not path.is_file():
        return False
    if Facts(preset=notes.preset, config=notes.config, scene=notes.scene) != facts:
        return False
    try:
        read_image(path)
    except DataError:
        Progress.write(f"'{path}' is damaged: it is drawn again", file=sys.stderr)
        return False
    return True


def resumed(stylizer: Stylizer, path: Path, facts: Facts) -> Trace:
    """Goes on from the state on the disk, if there is one that is whole. Raises DataError for one of another
    command."""
    halted = unless_damaged(lambda: read_state(path), "its picture is drawn from its beginning")
    if halted is None:
        return Trace()
    if halted.facts != facts:
        raise DataError(
            f"'{state_file(path)}' was left by other settings or pictures: give those again, or leave "
            "--resume out."
        )
    stylizer.load_state_dict(halted.tensors)
    return Trace(rows=halted.trace)


def fingerprint(scene: Scene) -> str:
    """Of all pixels and weights."""
    found = hashlib.sha256(repr(tuple(scene.weights)).encode())
    start = [] if scene.start is None else [scene.start]
    for pixels in (scene.content, *scene.styles, *scene.masks, *start):
        found.update(repr(tuple(pixels.shape)).encode())
        found.update(pixels.contiguous().numpy().tobytes())
    return found.hexdigest()[:16]
