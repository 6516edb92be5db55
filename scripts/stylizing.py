"""The work of `brushwork stylize`: contents times styles to pictures, each with its losses; resumable."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from safetensors import safe_open
from torch import Tensor

from brushwork.data.contents import Cutout, Original, list_originals
from brushwork.data.errors import DataError
from brushwork.data.files import write_csv, write_file
from brushwork.data.images import fit_image, image_grid, read_image
from brushwork.data.names import file_name, unique_names
from brushwork.data.progress import Progress
from brushwork.data.writing import save_picture
from brushwork.training.backbones import Perceiver
from brushwork.training.errors import TrainingError
from brushwork.training.interrupt import StopRequest, stop_on_signals
from brushwork.training.stylize import Scene, Stylizer
from brushwork.training.stylize_config import StylizeConfig
from brushwork.training.stylize_trace import Trace

SAVE_EVERY = 300.0
"""Seconds after which the state is written, beside at a signal."""
FITTED, FITTED_SIDE = "fitted", 256
"""Folder, and side in pixels, of the square copies that the manifest lists."""
TAKEN = (FITTED, "contents", "styles", "grid.png", "pairs.csv")
"""What else lies beside the folders of the styles, and of their square copies."""
CELL, GRID_ROWS = 256, 12


@dataclass(frozen=True, kw_only=True)
class Target:
    """One or several pictures whose style is followed together."""

    name: str
    pictures: tuple[Original, ...]

    def shown(self, weights: Sequence[float] = ()) -> np.ndarray:
        """The picture; of several a square of strips, each as wide as its weight, in which statistics are
        blended like the drawing's."""
        if len(self.pictures) == 1:
            return self.pictures[0].read().pixels
        squares = [fit_image(picture.read().pixels, FITTED_SIDE) for picture in self.pictures]
        ends = np.cumsum([0, *(weights or [1] * len(squares))])
        edges = (ends / ends[-1] * FITTED_SIDE).round().astype(int).tolist()
        strips = [square[:, a:b] for square, a, b in zip(squares, edges, edges[1:], strict=False)]
        return np.concatenate(strips, axis=1)


def targets_of(styles: Sequence[Path]) -> list[Target]:
    """A folder alone: each of its pictures by itself. Several pictures: their blend.

    Raises DataError for a folder among several, and where there is no picture."""
    if len(styles) == 1:
        return [Target(name=one.name, pictures=(one,)) for one in list_originals(styles)]
    folders = [path for path in styles if path.is_dir()]
    if folders:
        raise DataError(
            f"'{folders[0]}' is a folder among {len(styles)} styles: give one folder, whose pictures are "
            "followed one by one, or pictures, which are blended."
        )
    found = list_originals(styles)
    return [Target(name="+".join(one.name for one in found), pictures=tuple(found))]


@dataclass(frozen=True, kw_only=True)
class Stylizing:
    """All contents in all styles."""

    network: Perceiver
    config: StylizeConfig
    preset: str
    weights: tuple[float, ...]
    masks: tuple[Path, ...]
    start_from: Path | None
    every: int
    resume: bool
    device: str

    def run(self, originals: Sequence[Original], targets: Sequence[Target], out: Path) -> bool:
        """Draws what is not there yet; False if a signal stopped it. Raises DataError for a picture that
        cannot be read, TrainingError for settings that do not fit and a loss that is no number."""
        album = Album(out=out, targets=targets, originals=originals, weights=self.weights)
        jobs = [(original, target) for original in originals for target in targets]
        with (
            stop_on_signals() as stop,
            Progress(total=len(jobs), desc="stylize", unit="img", leave=False) as bar,
        ):
            for original, target in jobs:
                bar.set_postfix_str(f"{original.name} like {target.name}")
                if not self._draw(original, target, album, stop):
                    return False
                bar.update()
        album.finish()
        return True

    def _draw(self, original: Original, target: Target, album: "Album", stop: StopRequest) -> bool:
        path = album.path(original, target)
        cutout = original.read()
        scene = Scene(
            content=as_tensor(cutout.pixels),
            styles=[as_tensor(one.read().pixels) for one in target.pictures],
            weights=self.weights, masks=[read_mask(mask) for mask in self.masks],
            start=None if self.start_from is None else as_tensor(read_image(self.start_from)),
        )  # fmt: skip
        facts = {"preset": self.preset, "config": plain(self.config), "scene": fingerprint(scene)}
        if self.resume and same(path, facts):
            album.add(original, target, cutout, read_image(path))
            return True
        stylizer = Stylizer(scene, self.config, network=self.network, device=self.device)
        trace = self._resumed(stylizer, path, facts) if self.resume else Trace()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            done = self._optimise(stylizer, trace, path, facts, stop)
        except TrainingError as error:
            save_stylized(path, cutout, stylizer.drawn())
            trace.write(path.with_suffix(".json"), {**facts, "stopped": str(error)})
            raise TrainingError(f"{error} The last good picture is {path}.") from error
        if done:
            save_stylized(path, cutout, stylizer.drawn())
            trace.write(path.with_suffix(".json"), facts)
            state_file(path).unlink(missing_ok=True)
            album.add(original, target, cutout, read_image(path))
        return done

    def _optimise(
        self, stylizer: Stylizer, trace: Trace, path: Path, facts: dict[str, Any], stop: StopRequest
    ) -> bool:
        """Until all evaluations are made, or a signal came: then the state is on the disk, and False."""
        before, start = trace.seconds, time.perf_counter()
        saved = start
        with Progress(
            total=stylizer.total, initial=stylizer.number, desc=path.stem, unit="eval", leave=False,
) as bar:  # fmt: skip
            for step in stylizer:
                trace.add(step, before + time.perf_counter() - start)
                bar.update()
                bar.set_postfix_str(
                    f"{step.side} px, style {step.losses.style:.3g}, content {step.losses.content:.3g}",
                    refresh=False,
                )
                if self.every and step.number % self.every == 0:
                    steps = path.with_name(f"{path.stem}-steps")
                    save_picture(steps / f"{step.number:06d}.png", as_array(stylizer.drawn()))
                ask = stop.signal is not None
                if ask or time.perf_counter() - saved > SAVE_EVERY:
                    write_state(path, stylizer, trace, facts)
                    saved = time.perf_counter()
                if ask and step.number < step.of:
                    return False
        return True

    def _resumed(self, stylizer: Stylizer, path: Path, facts: dict[str, Any]) -> Trace:
        """Goes on from the state on the disk, if there is one."""
        file = state_file(path)
        if not file.is_file():
            return Trace()
        with safe_open(file, framework="pt") as opened:  # type: ignore[no-untyped-call]
            header = json.loads(opened.metadata()["brushwork"])
            if header["facts"] != json.loads(json.dumps(facts)):
                raise DataError(
                    f"'{file}' was left by other settings or pictures: give those again, or leave "
                    "--resume out."
                )
            stylizer.load_state_dict({name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118
        return Trace(rows=header["trace"])


# State
def state_file(path: Path) -> Path:
    return path.with_suffix(".state.safetensors")


def write_state(path: Path, stylizer: Stylizer, trace: Trace, facts: dict[str, Any]) -> None:
    """Whole or not at all."""
    header = json.dumps({"facts": facts, "trace": trace.rows})
    tensors = {name: x.cpu().contiguous() for name, x in stylizer.state_dict().items()}
    write_file(state_file(path), safetensors.torch.save(tensors, metadata={"brushwork": header}))


def same(path: Path, facts: dict[str, Any]) -> bool:
    """Whether the picture is there already, of the same settings and pictures."""
    notes = path.with_suffix(".json")
    if not path.is_file() or not notes.is_file():
        return False
    found = json.loads(notes.read_text(encoding="utf-8"))
    return "stopped" not in found and all(found.get(name) == value for name, value in facts.items())


def plain(config: StylizeConfig) -> dict[str, Any]:
    """As JSON has it."""
    return json.loads(json.dumps(asdict(config), default=str))


def fingerprint(scene: Scene) -> str:
    """Of all pixels and weights."""
    found = hashlib.sha256(repr(tuple(scene.weights)).encode())
    start = [] if scene.start is None else [scene.start]
    for pixels in (scene.content, *scene.styles, *scene.masks, *start):
        found.update(repr(tuple(pixels.shape)).encode())
        found.update(pixels.contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


# Pictures
def as_tensor(pixels: np.ndarray) -> Tensor:
    """uint8 (H, W, 3) to (3, H, W)"""
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def as_array(pixels: Tensor) -> np.ndarray:
    return pixels.permute(1, 2, 0).contiguous().numpy()


def read_mask(path: Path) -> Tensor:
    """Light is in, dark is out: uint8 (H, W)."""
    return torch.from_numpy(np.array(Image.fromarray(read_image(path)).convert("L")))


def save_stylized(path: Path, cutout: Cutout, drawn: Tensor) -> None:
    """With the content's opacity, resized where the size was changed."""
    pixels = as_array(drawn)
    alpha = cutout.alpha
    if alpha is not None and alpha.shape != pixels.shape[:2]:
        size = (pixels.shape[1], pixels.shape[0])
        alpha = np.array(Image.fromarray(alpha).resize(size, Image.Resampling.LANCZOS))
    save_picture(path, Cutout(pixels=pixels, alpha=alpha).recoloured(pixels))


class Album:
    """Results as out/<style>/<content>.png, grid.png, and pairs.csv for `brushwork measure`."""

    def __init__(
        self, *, out: Path, targets: Sequence[Target], originals: Sequence[Original],
        weights: Sequence[float] = (),
    ) -> None:  # fmt: skip
        self.out, self.targets, self.weights = out, list(targets), weights
        self.shown = [original.name for original in originals[:GRID_ROWS]]
        self.cells: dict[str, list[np.ndarray | None]] = {}
        self.rows: list[dict[str, str]] = []
        names = [target.name for target in targets]
        folders = unique_names((file_name(name.replace("/", "_")) for name in names), taken=TAKEN)
        self.folders = dict(zip(names, folders, strict=True))
        contents = [original.name for original in originals]
        # The plot of `cat` is `cat-losses`, which a content may be called, too.
        files = unique_names(contents, taken=[f"{name}-losses" for name in contents])
        self.files = dict(zip(contents, files, strict=True))

    def path(self, original: Original, target: Target) -> Path:
        return self.out / self.folders[target.name] / f"{self.files[original.name]}.png"

    def add(self, original: Original, target: Target, cutout: Cutout, pixels: np.ndarray) -> None:
        if original.name in self.shown:
            row = self.cells.setdefault(original.name, [cell(cutout.pixels), *[None] * len(self.targets)])
            row[1 + self.targets.index(target)] = cell(pixels)
        names = {
            "output": f"{FITTED}/{self.folders[target.name]}/{original.name}.png",
            "content": f"{FITTED}/contents/{original.name}.png",
            "reference": f"{FITTED}/styles/{self.folders[target.name]}.png",
        }
        reference = target.shown(self.weights)
        for name, picture in zip(names.values(), (pixels, cutout.pixels, reference), strict=True):
            save_picture(self.out / name, fit_image(picture, FITTED_SIDE))
        self.rows.append({**names, "style": target.name, "subject": original.subject})

    def finish(self) -> None:
        write_csv(self.out / "pairs.csv", self.rows)
        styles = [cell(target.shown(self.weights)) for target in self.targets]
        rows = [[None, *styles], *self.cells.values()]
        cells = [[None if one is None else fit_image(one, CELL, "pad") for one in row] for row in rows]
        labels = ["style", *self.cells]
        headings = ["content", *[target.name for target in self.targets]]
        save_picture(self.out / "grid.png", image_grid(cells, row_labels=labels, column_labels=headings))


def cell(pixels: np.ndarray) -> np.ndarray:
    image = Image.fromarray(pixels)
    image.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
    return np.array(image)
