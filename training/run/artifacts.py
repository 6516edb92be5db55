"""The files of a run: log, sample grids, snapshots, metrics and checkpoints; and experiment trackers."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from accelerate import Accelerator
from tqdm import tqdm

from brushwork.data.files import write_file
from brushwork.data.loader import ImageDataset, StoredDataset
from brushwork.data.writing import save_image
from brushwork.eval.report.gallery import write_gallery
from brushwork.eval.report.plots import training_curves
from brushwork.models.generator import Generator
from brushwork.models.pretrained.frozen import FrozenNetwork, as_notes
from brushwork.models.snapshot import TrainingNetworks, generator_bytes
from brushwork.models.stage import Stage

from ..config import TrainConfig
from ..distributed import broadcast_from_main
from ..errors import Diverged, TrainingError
from ..state import TrainingState, averaged_copy
from .background import Background
from .checkpoint import cpu_copy, save_checkpoint
from .diversity import DiversityProbe
from .metrics import EVALUATOR, InLoopMetrics, is_best, measurements, why_give_up
from .progress import figures_line, seen
from .run_folder import Json, RunFolder, flat, to_json
from .samples import augmented_grid, restyled_grid, sample_grid, save_grid, shown_contents

LATEST = "latest"
"""Name of the snapshot that goes with every checkpoint, so that a stopped run can be sampled."""

Figures = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Artifacts:
    """Writes the files of a run.

    The training loop copies the state and continues; `background` writes the files in the order of the calls,
    so a checkpoint proves that everything before it was written.
    """

    config: TrainConfig
    folder: RunFolder
    accelerator: Accelerator
    state: TrainingState
    dataset: ImageDataset | StoredDataset
    diversity: DiversityProbe
    metrics: InLoopMetrics | None
    fingerprint: str
    background: Background

    def say(self, line: str) -> None:
        """Prints a line in the main process."""
        if self.accelerator.is_main_process:
            tqdm.write(line)

    def log(self, values: Mapping[str, float | int]) -> None:
        """Logs values to metrics.jsonl and the trackers."""
        self.background.add(partial(self._log, dict(values)))

    def write(
        self, *, grid: bool = False, snapshot: bool = False, measure: bool = False, checkpoint: bool = False
    ) -> None:
        """Writes these files of the present state.

        Raises:
            Diverged: a checkpoint is wanted but the weights are not finite; earlier checkpoints are kept.
        """
        if not (grid or snapshot or measure or checkpoint):
            return
        self.background.wait()  # so that at most one copy takes memory
        average, nimg = averaged_copy(self.state.average), self.state.nimg
        stage, main = average.trained_stage, self.accelerator.is_main_process
        if checkpoint and not self.state.is_finite():
            raise self.diverged("weights are not finite")
        if main:
            self.background.add(self.folder.require)
        if grid and main:
            self._grids(average, stage, nimg)
        if (snapshot or checkpoint) and main:
            if snapshot:
                self.background.add(lambda: self._snapshot(f"generator-{nimg:09d}", average, stage, nimg))
            training = self._training_networks()
            self.background.add(lambda: self._snapshot(LATEST, average, stage, nimg, training))
        if measure and self.metrics is not None and not self._has_metrics(nimg):
            figures = self.metrics(average, stage)
            if figures and main:
                self.background.add(lambda: self._figures(figures, average, stage, nimg))
        if checkpoint and main:
            state = cpu_copy(self.state.state_dict())
            self.background.add(lambda: save_checkpoint(self.folder.checkpoints, nimg, state))

    def write_augmented(self) -> None:
        """Writes samples/augmented.png, which shows what the discriminator sees; nothing if it sees images
        unchanged."""
        grid = augmented_grid(shown_contents(self.dataset), self.config.augment, self.config.seed)
        if grid is not None and self.accelerator.is_main_process:
            self.background.add(lambda: save_image(self.folder.samples / "augmented.png", grid))

    def why_give_up(self) -> str:
        """Why the run should end after `patience` measurements, by the log of the main process; empty to go
        on."""
        if not self.config.patience:
            return ""
        self.background.wait()
        return why_give_up(self.folder.history(), self.config.metrics.best_by, self.config.patience)

    # Each kind of file

    def _grids(self, average: Generator, stage: Stage, nimg: int) -> None:
        shares, grids = self.config.restyle.shares(), dict[str, np.ndarray]()
        if "sampling" in shares:
            grids["samples"] = sample_grid(average, title=self.diversity(average, stage).warning)
        if "restyling" in shares or "autoencoding" in shares:
            contents, styles = shown_contents(self.dataset), "restyling" in shares
            grids["restyled"] = restyled_grid(average, contents, styles=styles)

        def write() -> None:
            for name, grid in grids.items():
                save_grid(self.folder.samples, grid, nimg, stage, name)
                log_image(self.accelerator, name, grid, nimg)
            write_gallery(self.folder.path)

        self.background.add(write)

    def _training_networks(self) -> TrainingNetworks | None:
        """A copy of both networks; None if the objectives train no discriminator."""
        if not (self.config.restyle.sampling or self.config.restyle.restyling):
            return None
        nets = self.state.nets
        return TrainingNetworks(
            generator=averaged_copy(nets.generator), discriminator=averaged_copy(nets.discriminator)
        )

    def _snapshot(
        self, name: str, average: Generator, stage: Stage, nimg: int,
        training: TrainingNetworks | None = None, chosen_by: tuple[FrozenNetwork, ...] = (),
    ) -> None:  # fmt: skip
        seen = as_notes([*self.state.looked_through, *chosen_by])
        notes = {"nimg": nimg, "seed": self.config.seed, "data": self.fingerprint, "looked_through": seen}
        content = generator_bytes(average, stage=stage, notes=notes, training=training)
        write_file(self.folder.snapshots / f"{name}.safetensors", content, durable=True)

    def _has_metrics(self, nimg: int) -> bool:
        """Whether the log has metrics of this step, from before the run was killed."""
        return broadcast_from_main(
            self.accelerator,
            lambda: any(line["nimg"] == nimg for line in measurements(self.folder.history())),
        )

    def _figures(self, figures: Figures, average: Generator, stage: Stage, nimg: int) -> None:
        self.say(figures_line(nimg, figures))
        line = {"nimg": nimg, **figures}
        history = [*self.folder.history(), line]
        if is_best(history, self.config.metrics.best_by):
            chosen_by = (FrozenNetwork.published(EVALUATOR, "selection"),)
            self._snapshot("best", average, stage, nimg, chosen_by=chosen_by)
        self._log(line)
        if (curves := training_curves(measurements(history))) is not None:
            write_file(self.folder.path / "curves.png", curves)
            write_gallery(self.folder.path)

    def diverged(self, what: str) -> Diverged:
        """The error of a run whose numbers are no longer finite, with the options of a new run."""
        rates, start_from = self.config.optimizer, ""
        if (self.folder.snapshots / f"{LATEST}.safetensors").exists():
            start_from = f"--start-from {self.folder.path} "
        return Diverged(
            f"the {what} at {seen(self.state.nimg)}: the run diverged. Start a new run with lower "
            f"learning rates: --out ANOTHER {start_from}--optimizer.generator-lr {rates.generator_lr / 4:g} "
            f"--optimizer.discriminator-lr {rates.discriminator_lr / 4:g}."
        )

    def _log(self, values: Json) -> None:
        if self.accelerator.is_main_process:
            self.folder.require()
            self.folder.log(values)
        self.accelerator.log(values, step=int(values["nimg"]))


# Trackers
def log_image(accelerator: Accelerator, name: str, image: np.ndarray, nimg: int) -> None:
    """Sends an image, uint8 (H, W, 3), to the trackers that take images."""
    for tracker in accelerator.trackers:
        if hasattr(tracker, "log_images"):
            # TensorBoard defaults to channels first; the other trackers only take channels last.
            order = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
            tracker.log_images({name: image[None]}, step=nimg, **order)


def start_trackers(accelerator: Accelerator, config: TrainConfig) -> None:
    """Starts the configured trackers and logs the flat configuration.

    Raises:
        TrainingError: wandb cannot go online.
    """
    if not config.trackers.use:
        return
    values = {name: value if isinstance(value, (int, float, str)) else str(value)
              for name, value in flat(to_json(config))}  # fmt: skip
    wandb = {"name": config.out.name, "dir": str(config.out), "mode": config.trackers.wandb_mode,
             "group": config.trackers.group}  # fmt: skip
    wandb_errors: tuple[type[Exception], ...] = ()
    if "wandb" in config.trackers.use:
        from wandb.errors import Error  # of the extra `trackers`

        wandb_errors = (Error,)
    try:
        accelerator.init_trackers(config.trackers.project, config=values, init_kwargs={"wandb": wandb})
    except wandb_errors as error:
        raise TrainingError(
            f"wandb cannot start ({str(error).splitlines()[0]}): log in with `wandb login`, or leave "
            "--trackers.wandb-mode at offline."
        ) from error
