"""The work of `brushwork stylize`: every content image in every style, to a folder; resumable."""

import hashlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from brushwork.data.contents import Cutout, Original, list_originals
from brushwork.data.errors import DataError
from brushwork.data.files import write_csv, write_json
from brushwork.data.images import fit_image, image_grid, read_image
from brushwork.data.names import file_name, unique_names
from brushwork.data.progress import Progress
from brushwork.data.writing import save_picture
from brushwork.models.errors import ModelError

from ..errors import TrainingError
from ..interrupt import StopRequest, stop_on_signals
from ..speed import choose_precision
from .backbones import FeatureNetwork
from .config import StylizeConfig
from .records import (
    JOB,
    Damaged,
    JobSettings,
    TransferRecord,
    config_json,
    read_checked,
    read_state,
    record_file,
    state_file,
    trace_row,
    write_record,
    write_state,
)
from .transfer import Stylizer, TransferInputs, as_array, as_tensor

Content = TypeVar("Content")

SAVE_SECONDS = 300.0
"""Interval between saved states. A signal saves the state, too."""
FITTED, FITTED_SIDE = "fitted", 256
"""Folder and side in pixels of the square copies that the manifest lists."""
GRID, MANIFEST = "grid.png", "pairs.csv"
RESERVED = (FITTED, "contents", "styles", GRID, MANIFEST, JOB)
"""Names that no style's folder may have."""
CELL_SIDE, GRID_ROWS = 256, 12


# Styles
@dataclass(frozen=True, kw_only=True)
class Style:
    """One image, or several whose styles are blended."""

    name: str
    images: tuple[Original, ...]

    def preview(self, weights: Sequence[float] = ()) -> np.ndarray:
        """Return the image, uint8 (H, W, 3); of several a square of strips as wide as their weights, whose
        statistics are mixed like those of the blend."""
        if len(self.images) == 1:
            return self.images[0].read().pixels
        squares = [fit_image(image.read().pixels, FITTED_SIDE) for image in self.images]
        ends = np.cumsum([0, *(weights or [1] * len(squares))])
        edges = (ends / ends[-1] * FITTED_SIDE).round().astype(int).tolist()
        strips = [square[:, a:b] for square, a, b in zip(squares, edges, edges[1:], strict=False)]
        return np.concatenate(strips, axis=1)


def list_styles(paths: Sequence[Path]) -> list[Style]:
    """Return one style per image of a single folder, or the blend of several images.

    Raises:
        DataError: there is no path or no image, or a folder among several paths.
    """
    if not paths:
        raise DataError("There is no style to follow: name a picture, several, or a folder of them.")
    if len(paths) == 1:
        return [Style(name=image.name, images=(image,)) for image in list_originals(paths)]
    if folders := [path for path in paths if path.is_dir()]:
        raise DataError(
            f"'{folders[0]}' is a folder among {len(paths)} styles: give one folder, whose pictures are "
            "followed one by one, or pictures, which are blended."
        )
    images = list_originals(paths)
    return [Style(name="+".join(image.name for image in images), images=tuple(images))]


# Results
class ResultFolder:
    """Results as out/<style>/<content>.png, with grid.png and the manifest pairs.csv."""

    def __init__(
        self, out: Path, contents: Sequence[Original], styles: Sequence[Style], weights: Sequence[float] = ()
    ) -> None:
        self.out, self.styles, self.weights = out, styles, weights
        self.in_grid = [content.name for content in contents[:GRID_ROWS]]
        self.cells: dict[str, dict[str, np.ndarray]] = {}
        """Grid cells by content and style; the content itself is under the empty style name."""
        self.rows: list[dict[str, str]] = []
        names = [style.name for style in styles]
        folders = unique_names((file_name(name.replace("/", "_")) for name in names), taken=RESERVED)
        self.folders = dict(zip(names, folders, strict=True))
        names = [content.name for content in contents]
        # `cat` has a plot `cat-losses`, which may be the name of a content, too.
        files = unique_names(names, taken=[f"{name}-losses" for name in names])
        self.files = dict(zip(names, files, strict=True))

    def path(self, content: Original, style: Style) -> Path:
        return self.out / self.folders[style.name] / f"{self.files[content.name]}.png"

    def add(self, content: Original, style: Style, cutout: Cutout) -> None:
        """Add a finished result to the grid and the manifest. Raises DataError if it cannot be read."""
        pixels = read_image(self.path(content, style))
        if content.name in self.in_grid:
            row = self.cells.setdefault(content.name, {"": grid_cell(cutout.pixels)})
            row[style.name] = grid_cell(pixels)
        folder, preview = self.folders[style.name], style.preview(self.weights)
        copies = {
            "output": (f"{folder}/{content.name}.png", pixels),
            "content": (f"contents/{content.name}.png", cutout.pixels),
            "reference": (f"styles/{folder}.png", preview),
        }
        for name, image in copies.values():
            save_picture(self.out / FITTED / name, fit_image(image, FITTED_SIDE))
        names = {column: f"{FITTED}/{name}" for column, (name, _) in copies.items()}
        self.rows.append({**names, "style": style.name, "subject": content.subject})

    def finish(self) -> None:
        """Write the manifest and the grid of all styles with a result."""
        if not self.rows:
            return
        write_csv(self.out / MANIFEST, self.rows)
        finished = {row["style"] for row in self.rows}
        styles = [style for style in self.styles if style.name in finished]
        names = ["", *(style.name for style in styles)]
        head = [None, *(grid_cell(style.preview(self.weights)) for style in styles)]
        rows = [head, *([row.get(name) for name in names] for row in self.cells.values())]
        cells = [[None if x is None else fit_image(x, CELL_SIDE, "pad") for x in row] for row in rows]
        grid = image_grid(cells, row_labels=["style", *self.cells], column_labels=["content", *names[1:]])
        save_picture(self.out / GRID, grid)


def grid_cell(pixels: np.ndarray) -> np.ndarray:
    image = Image.fromarray(pixels)
    image.thumbnail((CELL_SIDE, CELL_SIDE), Image.Resampling.LANCZOS)
    return np.array(image)


def save_result(path: Path, cutout: Cutout, result: Tensor) -> None:
    """Save a result with the content's opacity, resized to the result."""
    pixels, alpha = as_array(result), cutout.alpha
    if alpha is not None and alpha.shape != pixels.shape[:2]:
        size = (pixels.shape[1], pixels.shape[0])
        alpha = np.array(Image.fromarray(alpha).resize(size, Image.Resampling.LANCZOS))
    save_picture(path, Cutout(pixels=pixels, alpha=alpha).recoloured(pixels))


# The job
@dataclass(kw_only=True)
class JobResult:
    """Outcome of a job."""

    count: int = 0
    """Images that are finished."""
    failures: list[tuple[str, Exception]] = field(default_factory=list)
    """What was left out, and why."""
    stopped: bool = False
    """Whether a signal stopped the job."""


@dataclass(frozen=True, kw_only=True)
class StylizeJob:
    """Settings for all images of one command."""

    network: FeatureNetwork
    config: StylizeConfig
    preset: str
    weights: tuple[float, ...]
    masks: tuple[Path, ...]
    interval: int
    resume: bool
    device: str

    def run(self, contents: Sequence[Original], styles: Sequence[Style], out: Path) -> JobResult:
        """Stylize every content in every style. Leave out what fails: images that cannot be read, settings
        that do not fit them, and losses that are not finite or do not fall."""
        results = ResultFolder(out, contents, styles, self.weights)
        outcome, job = JobResult(), replace(self, config=self._with_precision(out))
        total = len(contents) * len(styles)
        with stop_on_signals() as stop, Progress(total=total, desc="stylize", unit="img", leave=False) as bar:
            for content in contents:
                try:
                    cutout = content.read()
                except DataError as error:
                    outcome.failures.append((content.name, error))
                    continue
                for style in styles:
                    name = f"{content.name} like {style.name}"
                    bar.set_postfix_str(name)
                    try:
                        outcome.stopped = not job.stylize(content, cutout, style, results, stop)
                    except (DataError, ModelError, TrainingError) as error:
                        outcome.failures.append((name, error))
                    outcome.count = len(results.rows)
                    if outcome.stopped:
                        return outcome
                    bar.update()
        results.finish()
        return outcome

    def _with_precision(self, out: Path) -> StylizeConfig:
        """Return the configuration with one precision for all images: the one that an earlier command with
        the same configuration measured, so that both give the same images."""
        if self.config.precision != "auto":
            return self.config
        wanted = config_json(self.config)
        stored = unless_damaged(lambda: read_checked(out / JOB, JobSettings), "it is made anew")
        if stored is None or stored.config != wanted:
            precision = choose_precision("auto", torch.device(self.device))
            stored = JobSettings(config=wanted, precision=precision)
            write_json(out / JOB, asdict(stored))
        return replace(self.config, precision=stored.precision)

    def stylize(
        self, content: Original, cutout: Cutout, style: Style, results: ResultFolder, stop: StopRequest
    ) -> bool:
        """Stylize one image, or add the finished one. Return False if a signal stopped it."""
        path = results.path(content, style)
        inputs = TransferInputs(
            content=as_tensor(cutout.pixels),
            styles=[as_tensor(image.read().pixels) for image in style.images],
            weights=self.weights, masks=[read_mask(mask) for mask in self.masks],
        )  # fmt: skip
        config = config_json(self.config)
        record = TransferRecord(preset=self.preset, config=config, inputs=fingerprint(inputs))
        if not (self.resume and is_finished(path, record)):
            stylizer = Stylizer(inputs, self.config, network=self.network, device=self.device)
            if self.resume:
                resume(stylizer, path, record)
            try:
                done = self._optimise(stylizer, path, record, stop)
            except TrainingError as error:
                done, record.stopped = True, str(error)
            if not done:
                return False
            save_result(path, cutout, stylizer.result())
            write_record(path, record)
            if record.stopped:
                raise TrainingError(f"{record.stopped} The best picture that there was is {path}.")
            state_file(path).unlink(missing_ok=True)
        results.add(content, style, cutout)
        return True

    def _optimise(self, stylizer: Stylizer, path: Path, record: TransferRecord, stop: StopRequest) -> bool:
        """Run all evaluations. If a signal arrives, save the state and return False."""
        trace = record.trace
        start = time.perf_counter() - (trace[-1]["seconds"] if trace else 0.0)
        saved = time.perf_counter()
        total, number = stylizer.total, stylizer.number
        with Progress(total=total, initial=number, desc=path.stem, unit="eval", leave=False) as bar:
            for step in stylizer:
                trace.append(trace_row(step, time.perf_counter() - start))
                bar.update()
                losses = f"style {step.losses.style:.3g}, content {step.losses.content:.3g}"
                bar.set_postfix_str(f"{step.side} px, {losses}", refresh=False)
                if self.interval and step.number % self.interval == 0:
                    steps = path.with_name(f"{path.stem}-steps")
                    save_picture(steps / f"{step.number:06d}.png", as_array(stylizer.result()))
                stopping = stop.signal is not None
                if stopping or time.perf_counter() - saved > SAVE_SECONDS:
                    write_state(path, record, stylizer.state_dict())
                    saved = time.perf_counter()
                if stopping and step.number < total:
                    return False
        return True


def unless_damaged(read: Callable[[], Content], consequence: str) -> Content | None:
    """Return what `read` returns. For a damaged file print a line and return None."""
    try:
        return read()
    except Damaged as damaged:
        Progress.write(f"{damaged}: {consequence}", file=sys.stderr)
        return None


def is_finished(path: Path, record: TransferRecord) -> bool:
    """Whether the image exists undamaged, with a record of the same setup."""
    consequence = "its picture is drawn again"
    found = unless_damaged(lambda: read_checked(record_file(path), TransferRecord), consequence)
    if found is None or found.stopped is not None or found.setup != record.setup or not path.is_file():
        return False
    try:
        read_image(path)
    except DataError:
        Progress.write(f"'{path}' is damaged: it is drawn again", file=sys.stderr)
        return False
    return True


def resume(stylizer: Stylizer, path: Path, record: TransferRecord) -> None:
    """Load the saved state and its trace, if there is one.

    Raises:
        DataError: the state belongs to another setup.
    """
    saved = unless_damaged(lambda: read_state(path), "its picture is drawn from its beginning")
    if saved is None:
        return
    found, state = saved
    if found.setup != record.setup:
        raise DataError(
            f"'{state_file(path)}' was left by other settings or pictures: give those again, or leave "
            "--resume out."
        )
    stylizer.load_state_dict(state)
    record.trace = found.trace


def fingerprint(inputs: TransferInputs) -> str:
    """Hash all pixels and weights."""
    digest = hashlib.sha256(repr(tuple(inputs.weights)).encode())
    for pixels in (inputs.content, *inputs.styles, *inputs.masks):
        digest.update(repr(tuple(pixels.shape)).encode())
        digest.update(pixels.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def read_mask(path: Path) -> Tensor:
    """Read a mask as uint8 (H, W): white is inside."""
    return torch.from_numpy(np.array(Image.fromarray(read_image(path)).convert("L")))
