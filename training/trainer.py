"""The trainer: the loop around the two steps, its chores, and the one place that knows Accelerate."""

import math
import signal
import time
from dataclasses import dataclass
from typing import Literal

from accelerate import Accelerator

from brushwork.data.loader import Loader, Pictures, StoredPictures
from brushwork.models.synthesis import Stage

from .background import Background
from .checkpoint import checkpoints, load_checkpoint
from .chores import Chores, Due
from .compiling import compile_ahead
from .config import TrainConfig
from .distributed import most_of, reduced, told_by_main
from .diversity import PATIENCE, DiversityProbe, collapsed_ticks
from .ema import update_average
from .errors import TrainingError, diverged
from .interrupt import stop_on_signals
from .judging import prepare
from .metrics import InLoopMetrics
from .networks import set_rates
from .pace import settle
from .run_folder import Json, RunFolder
from .schedules import due, phases, rate_factor, stage_at
from .speed import prepare_process
from .state import TrainingState
from .ticks import Ticker, named_means, progress, tick_line, weighted
from .trackers import start_trackers
from .turns import turn_at
from .updates import Updates

Reason = Literal["finished", "collapse", "time", "signal"]
AGREE_EVERY = 8
"""Steps between the moments at which several processes ask each other whether to stop."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended."""

    reason: Reason
    nimg: int
    signal: int | None = None
    warning: str = ""
    """Which styles draw one picture, where any does."""


def accelerator_for(config: TrainConfig) -> Accelerator:
    """This process's place among those that train, on the device that is asked for."""
    return Accelerator(
        cpu=config.device == "cpu", log_with=list(config.trackers.use) or None, project_dir=config.out
    )


class Trainer:
    """Trains the networks of `config` on `pictures`, in a run folder.

    Everything that changes is in `state`; all else is a function of it and of the configuration, so a run
    that is resumed goes on bit for bit.

    Raises:
        TrainingError: the configuration does not fit the data, the processes or the run folder.
    """

    def __init__(
        self, config: TrainConfig, pictures: Pictures | StoredPictures, metrics: InLoopMetrics | None = None
    ) -> None:
        self.config, self.metrics = config, metrics if config.every.metrics_kimg else None
        self.folder = RunFolder(config.out)
        self.accelerator = accelerator_for(config)
        self.device = self.accelerator.device
        config.rows_of(self.accelerator.num_processes)  # complains now, not after the preparation
        prepare_process(config.speed, threads=config.threads, processes=self.accelerator.num_processes)
        if pictures.resolution < config.generator.resolution:
            raise TrainingError(
                f"{config.data} holds pictures of {pictures.resolution} px, too small for resolution "
                f"{config.generator.resolution}; pack them larger, or lower generator.resolution."
            )
        if self.metrics is not None:
            self.metrics.prepare(self.device)
        self.state = TrainingState.fresh(config, pictures.style_names, self.device)
        classifier = self.folder.path / "classifier.safetensors"
        self.prepared = prepare(config, pictures, self.state.nets.generator, classifier, self.accelerator)
        self.state.seconds = self.prepared.seconds
        if self.prepared.judges.classifier is not None:
            self.state.take_trunk(self.prepared.judges.classifier)
        self.facts = self._settle()
        self.growing = config.growing.scaled(self.facts["pace"])
        self.course_nimg = math.ceil(config.total_kimg * 1000 * self.facts["pace"])
        # A course that was shortened to fit a time goes on at its end until that is up: the machine may be
        # faster than it was when it was measured. But rates that have fallen to 0 teach nothing more.
        self.end_nimg = self.course_nimg if config.optimizer.cooldown else math.ceil(config.total_kimg * 1000)
        self.updates = Updates(
            config=config, state=self.state, judges=self.prepared.judges, accelerator=self.accelerator,
            loader=Loader(
                self.prepared.pictures, config.loader, seed=config.seed, device=self.device,
                run=config.style_run(self.accelerator.num_processes),
            ),
            bf16=self.facts["precision"] == "bf16",
        )  # fmt: skip
        self.background = Background(enabled=config.speed.background)
        self.diversity = DiversityProbe(self.prepared.pictures)
        self.warning, self.collapsed_ticks = "", 0
        self.chores = Chores(
            config=config, folder=self.folder, accelerator=self.accelerator, state=self.state,
            pictures=self.prepared.pictures, diversity=self.diversity, metrics=self.metrics,
            fingerprint=self.facts["fingerprint"], background=self.background,
        )  # fmt: skip
        self._resume()
        self.first = self.state.nimg  # its chores were done before the checkpoint was written
        self.ticker = Ticker(self.device)

    # The loop

    def run(self) -> Outcome:
        """Trains to the end, to the time limit or to a signal, and leaves a checkpoint and a snapshot."""
        with (
            stop_on_signals() as self.stop,
            self.background,
            progress(self.state.nimg, self.course_nimg, shown=self.accelerator.is_main_process) as self.bar,
        ):
            self.started, self.seconds_before = time.perf_counter(), self.state.seconds
            start_trackers(self.accelerator, self.config)
            if self.prepared.figures and self.state.nimg == 0:
                self.chores.say(
                    " | ".join(f"{name} {value:.3f}" for name, value in self.prepared.figures.items())
                )
                self.chores.log({"nimg": 0, **self.prepared.figures})
            self._compile()
            self.ticker.restart()
            while (reason := self._why_stop()) is None:
                if self.state.nimg > self.first:
                    self._maintain()
                self._step()
            outcome = self._finish(reason)
        self.accelerator.wait_for_everyone()  # who left early would abort with its group still open
        self.accelerator.end_training()
        return outcome

    def _step(self) -> None:
        stage, turn = self.stage, turn_at(self.config, self.state.nimg)
        if self._enters_resolution():
            self.state.reset_optimizers(self.config.optimizer)
        own = self.config.optimizer
        set_rates(self.state.optimizers, own, rate_factor(self.state.nimg, self.course_nimg, own.cooldown))
        discriminator, generator = self.updates.step(stage, turn)
        self.state.nimg += self.config.batch
        self.state.average.trained_stage = stage
        update_average(
            self.state.average,
            self.state.nets.generator,
            self.config.ema.decay(self.state.nimg, self.config.batch),
        )
        self.ticker.add(discriminator, generator, self.config.batch)
        self.state.seconds = self.seconds_before + time.perf_counter() - self.started

    def _compile(self) -> None:
        """Before the first step, for every resolution still to come."""
        if self.config.speed.compile == "off":
            return
        sides = [p.resolution for p in phases(self.growing, self.config.generator.resolution)]
        took = compile_ahead(self.updates.rehearse, [r for r in sides if r >= self.stage.resolution])
        self.chores.say("compiled: " + ", ".join(f"{r} px in {seconds:.0f} s" for r, seconds in took.items()))

    # Where the run stands

    @property
    def stage(self) -> Stage:
        return self._stage_at(self.state.nimg)

    @property
    def _trained_stage(self) -> Stage:
        """The stage of the last step taken: at a boundary, the old resolution, finished."""
        return self._stage_at(max(0, self.state.nimg - self.config.batch))

    def _stage_at(self, nimg: int) -> Stage:
        return stage_at(nimg, self.growing, self.config.generator.resolution)

    def _enters_resolution(self) -> bool:
        """Whether the step about to be taken is the first at its resolution."""
        return self.stage.resolution != self._trained_stage.resolution

    def _why_stop(self) -> Reason | None:
        if self.state.nimg >= self.end_nimg:
            return "finished"
        if self.accelerator.num_processes > 1 and self.state.nimg // self.config.batch % AGREE_EVERY:
            return None
        limit = self.config.max_minutes
        wishes: dict[Reason, bool] = {
            "collapse": self.config.stop_on_collapse and self.collapsed_ticks >= PATIENCE,
            "time": limit is not None and self.state.seconds >= limit * 60,
            "signal": bool(self.stop.signal),
        }
        wish = max((place for place, wished in enumerate(wishes.values(), 1) if wished), default=0)
        return (None, *wishes)[most_of(self.accelerator, wish)]

    def _due(self, kimg: float) -> bool:
        return due(kimg, self.state.nimg, self.config.batch)

    # Chores

    def _maintain(self) -> None:
        every = self.config.every
        if self._due(every.tick_kimg):
            self._tick()
        self.chores.keep(
            self._trained_stage,
            Due(
                grid=self._due(every.grid_kimg) or self._enters_resolution(),
                snapshot=self._due(every.snapshot_kimg),
                measure=self._due(every.metrics_kimg),
                checkpoint=self._due(every.checkpoint_kimg),
            ),
        )

    def _finish(self, reason: Reason) -> Outcome:
        if self.ticker.images:
            self._tick()
        self.chores.keep(self._trained_stage, Due(checkpoint=True))
        if reason != "signal":
            self.chores.keep(self._trained_stage, Due(grid=True, snapshot=True, measure=True))
        # The signal may have reached another process only, or this one when the last step was already taken.
        number = int(self.stop.signal or signal.SIGTERM) if reason == "signal" else None
        return Outcome(reason=reason, nimg=self.state.nimg, signal=number, warning=self.warning)

    def _tick(self) -> None:
        seen = named_means(reduced(self.accelerator, self.ticker.means(), "mean"))
        if not all(math.isfinite(seen.get(name, math.nan)) for name in self.ticker.losses):
            raise diverged("loss is no finite number", self.state.nimg)
        rate, limit = self.ticker.rate(), self.config.max_minutes
        values = {"nimg": self.state.nimg, "resolution": self.stage.resolution, "alpha": self.stage.alpha,
                  "seconds": self.state.seconds, "img_per_s": rate, **seen,
                  **weighted(seen, self.config.restyle.weights_at(self.state.nimg)),
                  **self._look_for_collapse()}  # fmt: skip
        left = (self.end_nimg - self.state.nimg) / rate
        if limit is not None:  # a shortened course was made to fill the time; its later images take longer
            rest = limit * 60 - self.state.seconds
            left = rest if self.facts["pace"] < 1 else min(left, rest)
        self.chores.say(tick_line(values, self.stage, left=left, warning=self.warning))
        self.chores.log(values)
        self.bar.total = self.state.nimg + max(0, round(left * rate))
        self.bar.update(self.state.nimg - self.bar.n)
        self.ticker.restart()

    def _look_for_collapse(self) -> dict[str, float]:
        """How much the pictures of each style differ, for the log. Runs that draw from no latent code, and
        all processes but the main one, say nothing."""
        if not (self.accelerator.is_main_process and self.config.restyle.sampling):
            return {}
        found = self.diversity(self.state.average, self._trained_stage)
        self.warning = found.warning
        self.collapsed_ticks = self.collapsed_ticks + 1 if self.warning else 0
        return found.values()

    # State

    def _resume(self) -> None:
        found = checkpoints(self.folder.checkpoints)
        if not found:
            return
        self.state.load_state_dict(load_checkpoint(found[-1]))
        self.state.average.trained_stage = self._trained_stage
        if self.accelerator.is_main_process:
            self.folder.rewind(self.state.nimg)
            self.collapsed_ticks = collapsed_ticks(self.folder.history())
        self.chores.say(f"going on from {found[-1]}")

    def _settle(self) -> Json:
        """The facts of the run (see `pace.settle`), the same in every process and stored with the run."""
        rows, stored = self.config.rows_of(self.accelerator.num_processes), self.folder.read()
        facts = settle(self.config, self.prepared, self.device, rows=rows, stored=stored)
        return told_by_main(
            self.accelerator, lambda: self.folder.claim(self.config, facts, resume=self.config.resume)
        )
