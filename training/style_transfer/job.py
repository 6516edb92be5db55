"""The work of `brushwork stylize`: every content image in every style, to a folder."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from brushwork.data.contents import Cutout, Original, list_originals
from brushwork.data.errors import DataError
from brushwork.data.files import write_csv
from brushwork.data.images import fit_image, image_grid, png_note, read_image
from brushwork.data.names import file_name, unique_names
from brushwork.data.progress import Progress
from brushwork.data.writing import save_image
from brushwork.models.errors import ModelError
from brushwork.models.pretrained.vgg import Vgg

from ..errors import TrainingError
from ..interrupt import StopRequest, stop_on_signals
from .config import StylizeConfig
from .transfer import Stylizer, TransferInputs, as_array, as_tensor

FITTED, SIDE = "fitted", 256
"""Folder of the square copies that the manifest lists, and their side in pixels."""
GRID, MANIFEST, GRID_ROWS = "grid.png", "pairs.csv", 12
RESERVED = (FITTED, "contents", "styles", GRID, MANIFEST)
"""Names that no style's folder may have."""


# Styles
@dataclass(frozen=True, kw_only=True)
class Style:
    """One image, or several whose styles are blended."""

    name: str
    images: tuple[Original, ...]
    weights: tuple[float, ...]
    """Weights of the images; none: equal weights."""

    def preview(self) -> np.ndarray:
        """Return a square, uint8 (SIDE, SIDE, 3): a strip of each image, as wide as its weight, whose
        statistics are mixed like those of the blend."""
        squares = [fit_image(image.read().pixels, (SIDE, SIDE)) for image in self.images]
        ends = np.cumsum([0, *(self.weights or [1] * len(squares))])
        edges = (ends / ends[-1] * SIDE).round().astype(int).tolist()
        strips = [square[:, a:b] for square, a, b in zip(squares, edges, edges[1:], strict=False)]
        return np.concatenate(strips, axis=1)


def list_styles(paths: Sequence[Path], weights: tuple[float, ...] = ()) -> list[Style]:
    """Return one style per image of a single folder, or the blend of several images.

    Raises:
        DataError: there is no path or no image, or a folder among several paths.
    """
    if not paths:
        raise DataError("There is no style to follow: name an image, several, or a folder of them.")
    folders = [path for path in paths if path.is_dir()]
    if folders and len(paths) > 1:
        raise DataError(
            f"'{folders[0]}' is a folder among {len(paths)} styles: give one folder, whose images are "
            "followed one by one, or images, which are blended."
        )
    images = list_originals(paths)
    blends = [(image,) for image in images] if folders else [tuple(images)]
    return [
        Style(name="+".join(image.name for image in blend), images=blend, weights=weights) for blend in blends
    ]


# Results
class ResultFolder:
    """Results as out/<style>/<content>.png, with grid.png and the manifest pairs.csv."""

    def __init__(self, out: Path, contents: Sequence[Original], styles: Sequence[Style]) -> None:
        self.out, self.styles = out, styles
        self.in_grid = [content.name for content in contents[:GRID_ROWS]]
        self.cells: dict[str, dict[str, np.ndarray]] = {}
        """Grid cells by content and style; the content itself is under the empty style name."""
        self.rows: list[dict[str, str]] = []
        names = [style.name for style in styles]
        folders = unique_names((file_name(name.replace("/", "_")) for name in names), taken=RESERVED)
        self.folders = dict(zip(names, folders, strict=True))

    def path(self, content: Original, style: Style) -> Path:
        return self.out / self.folders[style.name] / f"{content.name}.png"

    def add(self, content: Original, style: Style, cutout: Cutout) -> None:
        """Add a finished result to the grid and the manifest. Raises DataError if it cannot be read."""
        pixels, folder = read_image(self.path(content, style)), self.folders[style.name]
        if content.name in self.in_grid:
            row = self.cells.setdefault(content.name, {"": fit_image(cutout.pixels, (SIDE, SIDE), "pad")})
            row[style.name] = fit_image(pixels, (SIDE, SIDE), "pad")
        copies = {
            "output": (f"{FITTED}/{folder}/{content.name}.png", pixels),
            "content": (f"{FITTED}/contents/{content.name}.png", cutout.pixels),
            "reference": (f"{FITTED}/styles/{folder}.png", style.preview()),
        }
        for name, image in copies.values():
            save_image(self.out / name, fit_image(image, (SIDE, SIDE)))
        names = {column: name for column, (name, _) in copies.items()}
        self.rows.append({**names, "style": style.name, "subject": content.subject})

    def finish(self) -> None:
        """Write the manifest and the grid of all styles with a result."""
        if not self.rows:
            return
        write_csv(self.out / MANIFEST, self.rows)
        finished = {row["style"] for row in self.rows}
        styles = [style for style in self.styles if style.name in finished]
        names = ["", *(style.name for style in styles)]
        rows = [[None, *(style.preview() for style in styles)]]
        rows += [[row.get(name) for name in names] for row in self.cells.values()]
        grid = image_grid(rows, row_labels=["style", *self.cells], column_labels=["content", *names[1:]])
        save_image(self.out / GRID, grid)


def save_result(path: Path, cutout: Cutout, result: Tensor, note: str = "") -> None:
    """Save a result with the content's opacity, resized to the result, and a note; see `note_of`."""
    pixels, alpha = as_array(result), cutout.alpha
    if alpha is not None and alpha.shape != pixels.shape[:2]:
        size = (pixels.shape[1], pixels.shape[0])
        alpha = np.array(Image.fromarray(alpha).resize(size, Image.Resampling.LANCZOS))
    save_image(path, Cutout(pixels=pixels, alpha=alpha).recoloured(pixels), note)


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

    network: Vgg
    config: StylizeConfig
    masks: tuple[Path, ...]
    resume: bool
    device: str

    def run(self, contents: Sequence[Original], styles: Sequence[Style], out: Path) -> JobResult:
        """Stylize every content in every style. Leave out what fails: images that cannot be read, settings
        that do not fit them, and losses that are not finite."""
        results, outcome = ResultFolder(out, contents, styles), JobResult()
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
                        outcome.stopped = not self.stylize(content, cutout, style, results, stop)
                    except (DataError, ModelError, TrainingError) as error:
                        outcome.failures.append((name, error))
                    outcome.count = len(results.rows)
                    if outcome.stopped:
                        return outcome
                    bar.update()
        results.finish()
        return outcome

    def stylize(
        self, content: Original, cutout: Cutout, style: Style, results: ResultFolder, stop: StopRequest
    ) -> bool:
        """Stylize one image, or add the finished one. Return False if a signal stopped it."""
        path = results.path(content, style)
        inputs = TransferInputs(
            content=as_tensor(cutout.pixels),
            styles=[as_tensor(image.read().pixels) for image in style.images],
            weights=style.weights, masks=[read_mask(mask) for mask in self.masks],
        )  # fmt: skip
        note = note_of(self.config, inputs)
        if not (self.resume and png_note(path) == note):
            stylizer = Stylizer(inputs, self.config, network=self.network, device=self.device)
            try:
                if not _optimise(stylizer, path.stem, stop):
                    return False
            except TrainingError as error:
                save_result(path, cutout, stylizer.result())
                raise TrainingError(f"{error} The best image that there was is {path}.") from error
            save_result(path, cutout, stylizer.result(), note)
        results.add(content, style, cutout)
        return True


def _optimise(stylizer: Stylizer, name: str, stop: StopRequest) -> bool:
    """Run all evaluations. Return False if a signal stops them before the last."""
    with Progress(total=stylizer.total, desc=name, unit="eval", leave=False) as bar:
        for step in stylizer:
            bar.update()
            losses = f"style {step.losses.style:.3g}, content {step.losses.content:.3g}"
            bar.set_postfix_str(f"{step.side} px, {losses}", refresh=False)
            if stop.signal is not None and step.number < stylizer.total:
                return False
    return True


def note_of(config: StylizeConfig, inputs: TransferInputs) -> str:
    """Hash what determines a result: the settings but for the precision, all pixels and weights."""
    settings = (replace(config, precision="auto"), tuple(inputs.weights))
    digest = hashlib.sha256(repr(settings).encode())
    for pixels in (inputs.content, *inputs.styles, *inputs.masks):
        digest.update(repr(tuple(pixels.shape)).encode())
        digest.update(pixels.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def read_mask(path: Path) -> Tensor:
    """Read a mask as uint8 (H, W): white is inside."""
    return torch.from_numpy(np.array(Image.fromarray(read_image(path)).convert("L")))
