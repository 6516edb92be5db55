"""The trainer: the loop around the two steps, its chores, and the one place that knows Accelerate."""

import math
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from accelerate import Accelerator
from tqdm import tqdm

from brushwork.data.loader import Batch, Loader, Pictures, StoredPictures
from brushwork.models.snapshot import save_generator
from brushwork.models.synthesis import Stage

from .checkpoint import State, checkpoints, load_checkpoint, save_checkpoint
from .config import TrainConfig
from .distributed import average_gradients, most_of, reduced, told_by_main
from .draws import Draws, Rows
from .ema import averaged_copy, update_average
from .errors import TrainingError
from .interrupt import stop_on_signals
from .metrics import InLoopMetrics
from .networks import build_networks, build_optimizers, frozen
from .pace import set_threads, settle
from .run_folder import Json, RunFolder
from .samples import save_sample_grid
from .schedules import stage_at
from .steps import DiscriminatorStats, GeneratorStats, discriminator_step, generator_step
from .ticks import Ticker, named_means, tick_line
from .trackers import log_picture, log_values, start_trackers

AGREE_EVERY = 8
"""Steps between the moments at which several processes ask each other whether to stop."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended."""

    reason: Literal["finished", "time", "signal"]
    nimg: int
    signal: int | None = None


class Trainer:
    """Trains the networks of `config` on `pictures`, in a run folder.

    Everything that changes is `nimg`, `seconds`, the networks, their average and the optimizers; all else is
    a function of them and of the configuration, so a run that is resumed goes on bit for bit.

    Raises:
        TrainingError: the configuration does not fit the data, the processes or the run folder.
    """

    def __init__(
        self,
        config: TrainConfig,
        pictures: Pictures | StoredPictures,
        *,
        metrics: InLoopMetrics | None = None,
    ) -> None:
        self.config, self.metrics = config, metrics
        self.folder = RunFolder(config.out)
        self.accelerator = Accelerator(
            cpu=config.device == "cpu", log_with=list(config.trackers.use) or None, project_dir=config.out
        )
        self.device = self.accelerator.device
        self.rows = config.rows_of(self.accelerator.num_processes)
        set_threads(config.threads, processes=self.accelerator.num_processes)
        if pictures.resolution < config.generator.resolution:
            raise TrainingError(
                f"{config.data} holds pictures of {pictures.resolution} px, too small for resolution "
                f"{config.generator.resolution}; pack them larger, or lower generator.resolution."
            )
        self.facts = self._settle(pictures)
        self.bf16 = self.facts["precision"] == "bf16"
        self.growing = config.growing.scaled(self.facts["pace"])
        self.total_nimg = math.ceil(config.total_kimg * 1000 * self.facts["pace"])
        self.loader = Loader(pictures, config.loader, seed=config.seed, device=self.device)
        self.nets = build_networks(config, pictures.style_names, self.device)
        self.average = averaged_copy(self.nets.generator)
        self.optimizers = build_optimizers(self.nets, config.optimizer)
        self.nimg, self.seconds = 0, 0.0
        self._resume()
        self.first = self.nimg  # its chores were done before the checkpoint was written
        self.ticker = Ticker(self.device)

    # The loop

    def run(self) -> Outcome:
        """Trains to the end, to the time limit or to a signal, and leaves a checkpoint and a snapshot."""
        with stop_on_signals() as self.stop, self._bar() as self.bar:
            self.started, self.seconds_before = time.perf_counter(), self.seconds
            start_trackers(self.accelerator, self.config)
            self.ticker.restart()
            while (reason := self._why_stop()) is None:
                if self.nimg > self.first:
                    self._maintain()
                self._step()
            outcome = self._finish(reason)
        self.accelerator.end_training()
        return outcome

    def _step(self) -> None:
        stage, label_weight = self.stage, self.config.loss.label_weight(self.nimg)
        if self._enters_resolution():
            self.optimizers = build_optimizers(self.nets, self.config.optimizer)
        discriminator = self._update_discriminator(stage, label_weight)
        generator = self._update_generator(stage, label_weight)
        self.nimg += self.config.batch
        update_average(self.average, self.nets.generator, self.config.ema.decay(self.nimg, self.config.batch))
        self.ticker.add(discriminator, generator, self.config.batch)
        self.seconds = self.seconds_before + time.perf_counter() - self.started

    def _update_discriminator(self, stage: Stage, label_weight: float) -> DiscriminatorStats:
        loss, optimizer = self.config.loss, self.optimizers.discriminator
        lazy = self.nimg // self.config.batch % loss.r1_every == 0
        gamma = loss.gamma(stage.resolution, self.config.batch) * loss.r1_every if lazy else 0.0
        optimizer.zero_grad(set_to_none=True)
        # The penalty differentiates twice, which low precision does not bear.
        with self._autocast(enabled=gamma == 0):
            stats = [
                discriminator_step(
                    self.nets, batch, stage, loss, self.config.augment, draws,
                    label_weight=label_weight, gamma=gamma, share=1 / self.config.accumulate,
                )
                for batch, draws in self._parts("discriminator", stage)
            ]  # fmt: skip
        average_gradients(self.accelerator, self.nets.discriminator)
        optimizer.step()
        return stats[-1]

    def _update_generator(self, stage: Stage, label_weight: float) -> GeneratorStats:
        optimizer, mapping = self.optimizers.generator, self.nets.generator.mapping
        optimizer.zero_grad(set_to_none=True)
        with frozen(self.nets.discriminator), self._autocast():
            stats = [
                generator_step(
                    self.nets, batch, stage, self.config.loss, self.config.augment, draws,
                    label_weight=label_weight, share=1 / self.config.accumulate,
                )
                for batch, draws in self._parts("generator", stage)
            ]  # fmt: skip
        average_gradients(self.accelerator, self.nets.generator)
        optimizer.step()
        w_sums = torch.stack([part.w_sums for part in stats]).sum(dim=0)
        mapping.update_average(reduced(self.accelerator, w_sums, "sum"))
        return stats[-1]

    def _autocast(self, *, enabled: bool = True) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16 and enabled)

    def _parts(self, purpose: str, stage: Stage) -> Iterator[tuple[Batch, Draws]]:
        """This process's share of the step's batch, part by part, with the random numbers of those rows."""
        config, processes = self.config, self.accelerator.num_processes
        for part in range(config.accumulate):
            start = (part * processes + self.accelerator.process_index) * self.rows
            batch = self.loader.batch_at(self.nimg + start, self.rows, resolution=stage.resolution)
            rows = Rows(start=start, count=self.rows, total=config.batch)
            yield batch, Draws(config.seed, self.nimg, purpose, rows=rows, device=self.device)

    # Where the run stands

    @property
    def stage(self) -> Stage:
        return self._stage_at(self.nimg)

    @property
    def _trained_stage(self) -> Stage:
        """The stage of the last step taken: at a boundary, the old resolution, finished."""
        return self._stage_at(max(0, self.nimg - self.config.batch))

    def _stage_at(self, nimg: int) -> Stage:
        return stage_at(nimg, self.growing, self.config.generator.resolution)

    def _enters_resolution(self) -> bool:
        """Whether the step about to be taken is the first at its resolution."""
        return self.stage.resolution != self._trained_stage.resolution

    def _why_stop(self) -> Literal["finished", "time", "signal"] | None:
        if self.nimg >= self.total_nimg:
            return "finished"
        limit = self.config.max_minutes
        wish = 2 if self.stop.signal else 1 if limit is not None and self.seconds >= limit * 60 else 0
        if self.accelerator.num_processes > 1 and self.nimg // self.config.batch % AGREE_EVERY:
            return None
        return (None, "time", "signal")[most_of(self.accelerator, wish)]

    def _due(self, kimg: float) -> bool:
        """Whether a chore that is to be done every `kimg` thousand images falls before this step."""
        every = kimg * 1000
        return every > 0 and self.nimg > 0 and self.nimg // every != (self.nimg - self.config.batch) // every

    # Chores

    def _maintain(self) -> None:
        every = self.config.every
        if self._due(every.tick_kimg):
            self._tick()
        if self._due(every.grid_kimg) or self._enters_resolution():
            self._grid()
        if self._due(every.snapshot_kimg):
            self._snapshot()
        if self._due(every.metrics_kimg):
            self._measure()
        if self._due(every.checkpoint_kimg):
            self._checkpoint()

    def _finish(self, reason: Literal["finished", "time", "signal"]) -> Outcome:
        if self.ticker.images:
            self._tick()
        self._checkpoint()
        if reason != "signal":
            self._grid()
            self._snapshot()
            if self.config.every.metrics_kimg:
                self._measure()
        # The signal may have reached another process only, or this one when the last step was already taken.
        number = int(self.stop.signal or signal.SIGTERM) if reason == "signal" else None
        return Outcome(reason=reason, nimg=self.nimg, signal=number)

    def _tick(self) -> None:
        seen = named_means(reduced(self.accelerator, self.ticker.means(), "mean"))
        if not all(math.isfinite(seen.get(name, math.nan)) for name in ("loss_d", "loss_g")):
            raise self._diverged("loss is no finite number")
        rate, limit = self.ticker.rate(), self.config.max_minutes
        values = {"nimg": self.nimg, "resolution": self.stage.resolution, "alpha": self.stage.alpha,
                  "seconds": self.seconds, "img_per_s": rate, **seen}  # fmt: skip
        left = min(
            (self.total_nimg - self.nimg) / rate, math.inf if limit is None else limit * 60 - self.seconds
        )
        self._say(tick_line(values, self.stage, left=left))
        self._log(values)
        self.bar.update(min(self.nimg, self.total_nimg) - self.bar.n)
        self.ticker.restart()

    def _diverged(self, what: str) -> TrainingError:
        return TrainingError(
            f"the {what} at {self.nimg / 1000:.1f} kimg; the last checkpoint is kept. "
            "Resume it with a lower learning rate in a new run, or raise loss.r1_gamma."
        )

    def _grid(self) -> None:
        if self.accelerator.is_main_process:
            picture = save_sample_grid(self.folder.samples, self.average, self.nimg, self._trained_stage)
            log_picture(self.accelerator, "samples", picture, self.nimg)

    def _snapshot(self) -> None:
        if self.accelerator.is_main_process:
            path = self.folder.snapshots / f"generator-{self.nimg:09d}.safetensors"
            notes = {"nimg": self.nimg, "seed": self.config.seed, "data": self.facts["fingerprint"]}
            save_generator(path, self.average, stage=self._trained_stage, notes=notes)

    def _measure(self) -> None:
        if self.metrics is not None and self.accelerator.is_main_process:
            figures = self.metrics(self.average, self._trained_stage)
            self._say(
                f"{self.nimg / 1000:8.1f} kimg | " + " | ".join(f"{k} {v:.3f}" for k, v in figures.items())
            )
            self._log({"nimg": self.nimg, **figures})
        self.accelerator.wait_for_everyone()

    def _log(self, values: Mapping[str, float | int]) -> None:
        if self.accelerator.is_main_process:
            self.folder.log(dict(values))
        log_values(self.accelerator, dict(values), self.nimg)

    def _say(self, line: str) -> None:
        if self.accelerator.is_main_process:
            tqdm.write(line)

    def _bar(self) -> tqdm:
        return tqdm(
            total=self.total_nimg, initial=self.nimg, unit="img", unit_scale=True, desc="train", leave=False,
            disable=None if self.accelerator.is_main_process else True, mininterval=1.0,
        )  # fmt: skip

    # State

    def state_dict(self) -> State:
        """Everything that changes."""
        return {
            "nimg": self.nimg,
            "seconds": self.seconds,
            "generator": self.nets.generator.state_dict(),
            "discriminator": self.nets.discriminator.state_dict(),
            "average": self.average.state_dict(),
            "generator_optimizer": self.optimizers.generator.state_dict(),
            "discriminator_optimizer": self.optimizers.discriminator.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Puts everything back."""
        self.nimg, self.seconds = state["nimg"], state["seconds"]
        self.nets.generator.load_state_dict(state["generator"])
        self.nets.discriminator.load_state_dict(state["discriminator"])
        self.average.load_state_dict(state["average"])
        self.optimizers.generator.load_state_dict(state["generator_optimizer"])
        self.optimizers.discriminator.load_state_dict(state["discriminator_optimizer"])

    def _checkpoint(self) -> None:
        """Writes the full state, unless the weights have diverged: then the checkpoints before are kept."""
        weights = (*self.nets.generator.parameters(), *self.nets.discriminator.parameters())
        if not torch.stack([weight.isfinite().all() for weight in weights]).all():
            raise self._diverged("weights are no finite numbers")
        if self.accelerator.is_main_process:
            save_checkpoint(self.folder.checkpoints, self.nimg, self.state_dict())

    def _resume(self) -> None:
        found = checkpoints(self.folder.checkpoints)
        if not found:
            return
        self.load_state_dict(load_checkpoint(found[-1], device=self.device))
        if self.accelerator.is_main_process:
            self.folder.rewind(self.nimg)
        self._say(f"going on from {found[-1]}")

    def _settle(self, pictures: Pictures | StoredPictures) -> Json:
        """What the configuration leaves to this machine and this data, the same in every process; stored with
        the run, so that it stays the same when the run goes on elsewhere."""
        stored = self.folder.read()
        facts = settle(self.config, pictures, self.device, rows=self.rows, stored=stored)
        return told_by_main(
            self.accelerator, lambda: self.folder.claim(self.config, facts, resume=self.config.resume)
        )
