"""One optimizer step of each network: the batch part by part, its precision, gradients over processes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from accelerate import Accelerator

from brushwork.data.loader import Batch, Loader, Pictures, StoredPictures
from brushwork.models.stage import Stage

from .compiling import eager_where_needed
from .config import TrainConfig
from .distributed import average_gradients, reduced
from .ema import update_average
from .restyle.restyling import Judges
from .rng import Draws, Rows
from .state import TrainingState, frozen
from .steps import DiscriminatorStats, GeneratorStats
from .turns import Turn, discriminator_turn, generator_turn, simultaneous_turn, turn_at

Stats = TypeVar("Stats", DiscriminatorStats, GeneratorStats)


def mean_of_parts(parts: Sequence[Stats]) -> Stats:
    """What a step saw, from what its parts saw: the mean of every field."""

    def mean(values: Sequence[Any]) -> Any:
        if isinstance(values[0], Mapping):
            return {name: mean([value[name] for value in values]) for name in values[0]}
        return None if values[0] is None else torch.stack(list(values)).mean(dim=0)

    if len(parts) == 1:
        return parts[0]
    return replace(
        parts[0],
        **{each.name: mean([getattr(part, each.name) for part in parts]) for each in fields(parts[0])},
    )


@dataclass(frozen=True, kw_only=True)
class Updates:
    """Moves the networks of `state` by one step, each process on its share of the batch."""

    config: TrainConfig
    state: TrainingState
    judges: Judges
    loader: Loader
    accelerator: Accelerator
    bf16: bool

    @classmethod
    def of(
        cls, config: TrainConfig, pictures: Pictures | StoredPictures, state: TrainingState, judges: Judges,
        accelerator: Accelerator, *, bf16: bool,
    ) -> "Updates":  # fmt: skip
        """What moves `state` in a run of this configuration."""
        loader = Loader(
            pictures, config.loader, seed=config.seed, device=accelerator.device,
            run=config.style_run(accelerator.num_processes),
        )  # fmt: skip
        return cls(
            config=config, state=state, judges=judges, accelerator=accelerator, loader=loader, bf16=bf16
        )

    def step(self, stage: Stage, turn: Turn) -> tuple[DiscriminatorStats | None, GeneratorStats]:
        """Both networks, or the generator alone where it has no adversary; then the clock and the average."""
        if turn.simultaneous:
            seen = self._simultaneous(stage, turn)
        else:
            discriminator = self._discriminator(stage, turn) if turn.has_adversary else None
            seen = discriminator, self._generator(stage, turn)
        self.state.nimg += self.config.batch
        self.state.average.trained_stage = stage
        self._average()
        return seen

    def _average(self) -> None:
        decay = self.config.ema.decay(self.state.nimg, self.config.batch)
        update_average(self.state.average, self.state.nets.generator, decay)

    def _simultaneous(self, stage: Stage, turn: Turn) -> tuple[DiscriminatorStats, GeneratorStats]:
        gamma = self._gamma(stage)
        for optimizer in (self.state.optimizers.discriminator, self.state.optimizers.generator):
            optimizer.zero_grad(set_to_none=True)
        with eager_where_needed(stage, gamma), self._autocast():
            stats = [
                simultaneous_turn(self.config, self.state.nets, self.judges, batch, draws, stage, turn, gamma)
                for batch, draws in self._parts("simultaneous", stage)
            ]
        average_gradients(self.accelerator, self.state.nets.discriminator)
        self.state.optimizers.discriminator.step()
        self._move_generator([part for _, part in stats])
        return mean_of_parts([part for part, _ in stats]), mean_of_parts([part for _, part in stats])

    def _discriminator(self, stage: Stage, turn: Turn) -> DiscriminatorStats:
        """Learns to tell real from generated or restyled pictures; every so often with the penalty."""
        gamma, optimizer = self._gamma(stage), self.state.optimizers.discriminator
        optimizer.zero_grad(set_to_none=True)
        with eager_where_needed(stage, gamma), self._autocast():
            stats = [
                discriminator_turn(self.config, self.state.nets, batch, draws, stage, turn, gamma)
                for batch, draws in self._parts("discriminator", stage)
            ]
        average_gradients(self.accelerator, self.state.nets.discriminator)
        optimizer.step()
        return mean_of_parts(stats)

    def _generator(self, stage: Stage, turn: Turn) -> GeneratorStats:
        """Learns what the turn trains, and keeps the running averages of w."""
        self.state.optimizers.generator.zero_grad(set_to_none=True)
        frozen_critic = frozen(self.state.nets.discriminator)
        with eager_where_needed(stage, 0.0), frozen_critic, self._autocast():
            stats = [
                generator_turn(self.config, self.state.nets, self.judges, batch, draws, stage, turn)
                for batch, draws in self._parts("generator", stage)
            ]
        self._move_generator(stats)
        return mean_of_parts(stats)

    def _move_generator(self, stats: list[GeneratorStats]) -> None:
        generator = self.state.nets.generator
        average_gradients(self.accelerator, generator)
        self.state.optimizers.generator.step()
        w_sums = [part.w_sums for part in stats if part.w_sums is not None]
        if w_sums:
            total = reduced(self.accelerator, torch.stack(w_sums).sum(dim=0), "sum")
            generator.mapping.update_average(total)

    def _gamma(self, stage: Stage) -> float:
        """The penalty's weight in this step; 0 in most."""
        loss = self.config.loss
        lazy = self.state.nimg // self.config.batch % loss.r1_every == 0
        return loss.gamma(stage.resolution, self.config.batch) * loss.r1_every if lazy else 0.0

    def rehearse(self, stage: Stage) -> None:
        """Steps of every regime that move nothing: what has to be compiled for them is compiled now."""
        config, nets = self.config, self.state.nets
        for regime in config.restyle.shares():
            turn = turn_at(config, 0, regime)
            batch, draws = next(self._parts("rehearsal", stage))
            with eager_where_needed(stage, 0.0), self._autocast():
                if turn.simultaneous:
                    simultaneous_turn(config, nets, self.judges, batch, draws, stage, turn, 0.0)
                    continue
                if turn.has_adversary:
                    discriminator_turn(config, nets, batch, draws, stage, turn, 0.0)
                with frozen(nets.discriminator):
                    generator_turn(config, nets, self.judges, batch, draws, stage, turn)
        for network in (nets.generator, nets.discriminator):
            network.zero_grad(set_to_none=True)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=self.bf16)

    def _parts(self, purpose: str, stage: Stage) -> Iterator[tuple[Batch, Draws]]:
        """This process's share of the step's batch, part by part, with the random numbers of those rows."""
        config, processes = self.config, self.accelerator.num_processes
        count, nimg = config.rows_of(processes), self.state.nimg
        for part in range(config.accumulate):
            start = (part * processes + self.accelerator.process_index) * count
            batch = self.loader.batch_at(nimg + start, count, resolution=stage.resolution)
            rows = Rows(start=start, count=count)
            yield batch, Draws(config.seed, nimg, purpose, rows=rows, device=self.accelerator.device)
