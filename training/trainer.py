"""The training loop: one step after another, with logging and saving in between."""

import math
import os
import signal
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from accelerate import Accelerator

from brushwork.data.loader import ImageDataset, StoredDataset
from brushwork.eval.processes import Watch
from brushwork.models.layers import group_size
from brushwork.models.options import resolve_device
from brushwork.models.pretrained.frozen import PUBLISHED, FrozenNetwork
from brushwork.models.stage import Stage

from .config import TrainConfig
from .distributed import all_reduce, all_reduce_max, broadcast_from_main
from .errors import TrainingError
from .interrupt import StopRequest, stop_on_signals
from .plan import Plan, Rates, RunSchedule, seconds_per_image
from .prepare.networks import prepare
from .prepare.transfer import Source
from .run.artifacts import Artifacts, start_trackers
from .run.background import Background
from .run.checkpoint import load_checkpoint
from .run.diversity import PATIENCE, DiversityProbe
from .run.metrics import InLoopMetrics
from .run.overfitting import OverfittingProbe
from .run.progress import StepMeter, figures_line, header, progress, status_line
from .run.run_folder import RunFolder, RunSetup, RunStart
from .schedules import due
from .speed import choose_precision, prepare_process
from .state import TrainingState
from .update import Updater

Reason = Literal["finished", "collapse", "patience", "time", "signal"]
AGREE_EVERY = 8
"""Several processes agree on stopping every so many steps."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended."""

    reason: Reason
    nimg: int
    resolution: int
    signal: int | None = None
    seconds: float = field(default=0.0, compare=False)
    """Training time over all sessions."""
    warning: str = ""
    """The styles that collapsed, in a sentence; empty if none did."""
    gave_up: str = ""
    """Why `patience` ended the run."""


def accelerator_for(config: TrainConfig) -> Accelerator:
    """The Accelerator of this process, on the device of `config`.

    Raises:
        ModelError: this machine has no such device.
        TrainingError: the device is one GPU, and there are several processes.
    """
    device = resolve_device(config.device)
    if device.index is not None:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise TrainingError(f"--device {config.device} is one GPU for several processes: take cuda.")
        os.environ["ACCELERATE_TORCH_DEVICE"] = str(device)
    # With cpu=False and no GPU, Accelerate would take each of several processes to be alone.
    cpu = device.type == "cpu"
    return Accelerator(cpu=cpu, log_with=list(config.trackers.use) or None, project_dir=config.out)


def measured_rates(config: TrainConfig, dataset: ImageDataset | StoredDataset) -> Rates:
    """Measures the seconds per image at each resolution by a few steps. All processes return the same."""
    config, accelerator = config.fitted_to(dataset), accelerator_for(config)
    config.rows_of(accelerator.num_processes)
    prepare_process(threads=config.threads, processes=accelerator.num_processes)
    accelerator.print(f"timing training steps at {config.generator.resolution} px ...", flush=True)
    precision = choose_precision(config.precision, accelerator.device)
    state = TrainingState.fresh(config, dataset.style_names, accelerator.device)
    scratch = Updater(
        config, dataset, state, classifier=None, accelerator=accelerator, bf16=precision == "bf16"
    )
    rates = seconds_per_image(scratch)
    return broadcast_from_main(accelerator, lambda: rates)


class Trainer:
    """Trains the networks of `config` on `images`, in a run folder.

    Everything that changes is in `state`, so a resumed run continues bit for bit. With a time limit, the
    schedule also depends on the clock.

    Raises:
        TrainingError: the configuration does not fit the data, the number of processes or the run folder.
    """

    def __init__(
        self, config: TrainConfig, dataset: ImageDataset | StoredDataset, metrics: InLoopMetrics | None = None
    ) -> None:
        self.config = config = config.fitted_to(dataset)
        self.metrics = metrics if config.interval.metrics_kimg else None
        self.folder, self.schedule = RunFolder(config.out), RunSchedule.of(config)
        self.accelerator, self.stop = accelerator_for(config), StopRequest()
        self.device = self.accelerator.device
        config.rows_of(self.accelerator.num_processes)  # raises now, not after the preparation
        if dataset.resolution < config.generator.resolution:
            raise TrainingError(
                f"{config.data} holds images of {dataset.resolution} px, too small for resolution "
                f"{config.generator.resolution}; pack them larger, or lower generator.resolution."
            )
        prepare_process(threads=config.threads, processes=self.accelerator.num_processes)
        with Watch():
            try:
                self._prepare(dataset)
            except BaseException:
                self.folder.let_go()
                raise

    def _prepare(self, dataset: ImageDataset | StoredDataset) -> None:
        config, began = self.config, time.perf_counter()
        claim: RunStart = broadcast_from_main(self.accelerator, lambda: self._claim(dataset))
        self.setup = claim.setup
        start_trackers(self.accelerator, config)
        source = Source.load(config.start_from) if config.start_from and not claim.checkpoint else None
        inherited = source.looked_through if source else ()
        if self.metrics is not None:
            self.metrics.require_independent(inherited)
            self.metrics.prepare(self.device)
        self.state = TrainingState.fresh(config, dataset.style_names, self.device, source=source)
        if source is not None and source.training is not None:
            self.state.position = self.schedule.position_of(source.average.trained_stage)
        self.state.average.trained_stage = self.stage
        file = self.folder.path / "classifier.safetensors"
        self.prepared = prepare(config, dataset, self.state.nets.generator, file, self.accelerator)
        if self.prepared.classifier is not None:
            self.state.init_from(self.prepared.classifier)
        tuned_by = [FrozenNetwork.published(name, "tuning") for name in config.tuned_by if name in PUBLISHED]
        self.state.looked_through = (*inherited, *tuned_by, *self.prepared.looked_through)
        updater_of = partial(
            Updater, config, self.prepared.dataset, classifier=self.prepared.classifier,
            accelerator=self.accelerator, bf16=self.setup.precision == "bf16",
        )  # fmt: skip
        self.updater = updater_of(self.state)
        self.background = Background()
        self.diversity = DiversityProbe(self.prepared.dataset)
        self.overfitting = OverfittingProbe.of(config, self.prepared.dataset, self.device)
        self.warning = self.gave_up = ""
        self.artifacts = Artifacts(
            config=config, folder=self.folder, accelerator=self.accelerator, state=self.state,
            dataset=self.prepared.dataset, diversity=self.diversity, metrics=self.metrics,
            fingerprint=self.setup.fingerprint, background=self.background,
        )  # fmt: skip
        if claim.aside is not None:
            self.artifacts.say(f"moved to {claim.aside}: the files of an earlier run without a checkpoint")
        if source is not None:
            self.artifacts.say(source.describe(self.state.nets))
        if claim.checkpoint is not None:
            self._resume(claim.checkpoint)
        self.first = self.state.nimg  # everything due there was saved before the checkpoint
        self.plan = Plan(
            config=config, schedule=self.schedule, state=self.state, accelerator=self.accelerator
        )
        if config.max_minutes is not None:
            scratch = TrainingState.fresh(config, dataset.style_names, self.device)
            self.plan.measure(updater_of(scratch))
        self.state.seconds += time.perf_counter() - began
        self.plan.settle()
        self.meter = StepMeter(self.device)

    # The loop

    def run(self) -> Outcome:
        """Trains until the end, the time limit or a signal, then saves a checkpoint and a snapshot."""
        try:
            shown = self.accelerator.is_main_process
            self.bar = progress(self.state.nimg, self.plan.images, shown=shown)
            with Watch(orphaned=self.stop.request), stop_on_signals(self.stop), self.background, self.bar:
                outcome = self._loop()
                self.accelerator.wait_for_everyone()  # leaving early would abort the process group
        finally:
            self.folder.let_go()
        self.accelerator.end_training()
        return outcome

    def _loop(self) -> Outcome:
        self.started, self.seconds_before = time.perf_counter(), self.state.seconds
        self.artifacts.say(header(self.plan, self.setup.precision, self.prepared.dataset))
        if self.prepared.figures and self.state.nimg == 0:
            self.artifacts.say(figures_line(0, self.prepared.figures))
            self.artifacts.log({"nimg": 0, **self.prepared.figures})
        if self.state.nimg == 0:
            self.artifacts.write_augmented()
        self.meter.restart()
        while (reason := self._why_stop()) is None:
            if self.state.nimg > self.first:
                self._maintain()
            if not self.gave_up:
                self._step()
        return self._finish(reason)

    def _step(self) -> None:
        state, stage = self.state, self.stage
        self._measure_overfitting()
        if self._enters_resolution():
            state.reset_optimizers(self.config.optimizer)
        stats = self.updater.step(stage)
        state.position += self.config.batch / state.scale
        self.meter.add(stats, self.config.batch, stage.resolution)
        state.seconds = self.seconds_before + time.perf_counter() - self.started

    # Schedule

    @property
    def stage(self) -> Stage:
        """The stage of the next step."""
        return self.schedule.stage_at(self.state.position)

    def _enters_resolution(self) -> bool:
        """Whether the next step is the first at its resolution."""
        return self.stage.resolution != self.state.average.trained_stage.resolution

    def _why_stop(self) -> Reason | None:
        if self.state.nimg >= self.schedule.images:
            return "finished"
        if self.gave_up:
            return "patience"
        if self.accelerator.num_processes > 1 and self.state.nimg // self.config.batch % AGREE_EVERY:
            return None
        reasons: dict[Reason, bool] = {
            "collapse": self.config.stop_on_collapse and self.state.collapsed_lines >= PATIENCE,
            "time": self.plan.seconds_left <= 0,
            "signal": bool(self.stop.signal),
        }
        last = max((number for number, holds in enumerate(reasons.values(), 1) if holds), default=0)
        return (None, *reasons)[all_reduce_max(self.accelerator, last)]

    # Logging and saving

    def _maintain(self) -> None:
        interval = self.config.interval

        def is_due(kimg: float) -> bool:
            return due(kimg, self.state.nimg, self.config.batch)

        if is_due(interval.status_kimg):
            self._log_status()
        self.artifacts.write(
            grid=is_due(interval.grid_kimg) or self._enters_resolution(),
            snapshot=is_due(interval.snapshot_kimg),
            measure=is_due(interval.metrics_kimg),
            checkpoint=is_due(interval.checkpoint_kimg),
        )
        if is_due(interval.metrics_kimg):
            self.gave_up = broadcast_from_main(self.accelerator, self.artifacts.why_give_up)

    def _finish(self, reason: Reason) -> Outcome:
        if self.meter.images:
            self._log_status()
        self.artifacts.write(checkpoint=True)
        if reason != "signal":
            self.artifacts.write(grid=True, snapshot=True, measure=True)
        # The signal may have reached another process only, or this one after its last step.
        number = int(self.stop.signal or signal.SIGTERM) if reason == "signal" else None
        return Outcome(
            reason=reason, nimg=self.state.nimg, resolution=self.state.average.trained_stage.resolution,
            signal=number, seconds=self.state.seconds, warning=self.warning, gave_up=self.gave_up,
        )  # fmt: skip

    def _log_status(self) -> None:
        means = self.meter.means(lambda values: all_reduce(self.accelerator, values, "mean"))
        if not math.isfinite(means["loss_g"] + means.get("loss_d", 0.0)):
            raise self.artifacts.diverged("loss is not finite")
        rate, weights = self.meter.rate(), self.config.restyle.weights_at(self.state.nimg)
        values = {"nimg": self.state.nimg, "resolution": self.stage.resolution, "alpha": self.stage.alpha,
                  "seconds": self.state.seconds, "img_per_s": rate, **means,
                  **{f"weighted_{name}": weights[name] * means[name] for name in weights if name in means},
                  **self._diversity()}  # fmt: skip
        if self.state.overfitting is not None:
            values["overfitting"] = self.state.overfitting
        if self.config.augment.ada:
            values["ada_p"] = self.state.augment_p
        if self.meter.is_at(self.stage.resolution):
            self.plan.correct(self.stage.resolution, rate)
        self.plan.settle()
        left = min((self.schedule.images - self.state.nimg) / rate, self.plan.seconds_left)
        self.artifacts.say(status_line(values, self.stage, left=left, warning=self.warning))
        self.artifacts.log(values)
        self.bar.total = self.state.nimg + max(0, round(left * rate))
        self.bar.update(self.state.nimg - self.bar.n)
        self.meter.restart()

    def _measure_overfitting(self) -> None:
        """Of the networks before a step, not after it, so that a run that was stopped between them does it,
        too."""
        config, state = self.config, self.state
        if not (config.restyle.sampling and due(config.augment.measured_kimg, state.nimg, config.batch)):
            return
        state.overfitting = broadcast_from_main(
            self.accelerator,
            lambda: self.overfitting(
                state.nets, state.average.trained_stage, nimg=state.nimg, p=state.augment_p
            ),
        )

    def _diversity(self) -> dict[str, float]:
        """Diversity of the samples of each style, for the log; taken by the main process alone."""
        if not (self.accelerator.is_main_process and self.config.restyle.sampling):
            return {}
        diversity = self.diversity(self.state.average, self.state.average.trained_stage)
        self.warning = diversity.warning
        self.state.collapsed_lines = self.state.collapsed_lines + 1 if self.warning else 0
        return diversity.values()

    # State

    def _claim(self, dataset: ImageDataset | StoredDataset) -> RunStart:
        config = self.config
        self.folder.own()
        rows = config.rows_of(self.accelerator.num_processes)
        setup = RunSetup(
            precision=choose_precision(config.precision, self.device), fingerprint=dataset.fingerprint,
            styles=tuple(dataset.style_names), group=group_size(rows, config.discriminator.minibatch_group),
        )  # fmt: skip
        return self.folder.claim(config, setup, resume=config.resume)

    def _resume(self, checkpoint: Path) -> None:
        try:
            self.state.load_state_dict(load_checkpoint(checkpoint))
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise TrainingError(
                f"{checkpoint} is not a checkpoint of this version of brushwork: choose another --out."
            ) from error
        if self.accelerator.is_main_process:
            self.folder.rewind(self.state.nimg)
        self.artifacts.say(f"going on from {checkpoint}")
