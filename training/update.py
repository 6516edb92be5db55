"""One optimizer step of each network: the batch part by part, its precision, gradients over processes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from accelerate import Accelerator

from brushwork.data.loader import Batch, ImageDataset, Loader, StoredDataset
from brushwork.models.encoders import StyleClassifier
from brushwork.models.stage import Stage

from .ada import next_p
from .adversarial import DiscriminatorStats, Scoring
from .config import TrainConfig
from .distributed import all_reduce, average_gradients
from .restyle.config import Regime
from .restyle.objectives import Autoencoding, Contrast, RestylingObjective
from .rng import BatchRNG
from .state import TrainingState, frozen, update_average
from .step import (
    AdversarialObjective,
    GeneratorStats,
    Objective,
    Sampling,
    StepContext,
    discriminator_step,
    encoder_step,
    generator_step,
    simultaneous_step,
)

ADVERSARIAL: dict[Regime, AdversarialObjective] = {"sampling": Sampling(), "restyling": RestylingObjective()}
"""Objectives that train both networks."""
ENCODERS: dict[Regime, Objective] = {"autoencoding": Autoencoding(), "contrast": Contrast()}
"""Objectives that train the generator alone."""

Result = TypeVar("Result")
Stats = TypeVar("Stats", DiscriminatorStats, GeneratorStats)


@dataclass(frozen=True, kw_only=True)
class StepStats:
    """Statistics of one step of both networks, means over this process's share of the batch."""

    discriminator: DiscriminatorStats | None
    """None in regimes without a discriminator."""
    generator: GeneratorStats


class Updater:
    """Trains the networks of `state`, each process on its share of the batch.

    Training, the calibration of speed and the benchmarks all step through `step`.
    """

    def __init__(
        self, config: TrainConfig, dataset: ImageDataset | StoredDataset, state: TrainingState, *,
        classifier: StyleClassifier | None, accelerator: Accelerator, bf16: bool,
    ) -> None:  # fmt: skip
        self.config, self.state, self.classifier = config, state, classifier
        self.accelerator, self.bf16 = accelerator, bf16
        self.loader = Loader(
            dataset, config.loader, seed=config.seed, device=accelerator.device,
            run=config.style_run(accelerator.num_processes),
        )  # fmt: skip

    def step(self, stage: Stage, regime: Regime | None = None) -> StepStats:
        """Updates both networks, or the generator alone in regimes without a discriminator, then the clock
        and the average. `regime` is the one that the shares draw at this point, unless it is given."""
        regime = regime or self.config.restyle.regime_at(self.state.nimg, self.config.seed)
        stats = self._update(stage, regime)
        self.state.nimg += self.config.batch
        self.state.average.trained_stage = stage
        self._average()
        return stats

    def _update(self, stage: Stage, regime: Regime) -> StepStats:
        gamma = self._gamma(stage)
        if regime in ENCODERS:
            parts = self._parts("generator", stage, 0.0, encoder_step, ENCODERS[regime])
            self._apply_generator(parts)
            return StepStats(discriminator=None, generator=mean_of_parts(parts))
        objective = ADVERSARIAL[regime]
        if self.config.loss.update_order == "simultaneous":
            both = self._parts("simultaneous", stage, gamma, simultaneous_step, objective)
            discriminator, generator = zip(*both, strict=True)
            self._apply_discriminator()
        else:
            discriminator = self._parts("discriminator", stage, gamma, discriminator_step, objective)
            self._apply_discriminator()
            with frozen(self.state.nets.discriminator):
                generator = self._parts("generator", stage, 0.0, generator_step, objective)
        self._apply_generator(generator)
        self._follow_overfitting()
        return StepStats(discriminator=mean_of_parts(discriminator), generator=mean_of_parts(generator))

    def _parts(
        self, purpose: str, stage: Stage, gamma: float, step: Callable[..., Result], objective: object
    ) -> list[Result]:
        """Gradients of every part of this process's share of the batch, collected afresh."""
        nets = self.state.nets
        for network in (nets.generator, nets.discriminator):
            network.zero_grad(set_to_none=True)
        with torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=self.bf16):
            return [
                step(objective, nets, batch, self._context(stage, gamma, rng))
                for batch, rng in self._batches(purpose, stage)
            ]

    def _batches(self, purpose: str, stage: Stage) -> Iterator[tuple[Batch, BatchRNG]]:
        """This process's share of the batch, part by part, with the random numbers of those rows."""
        config, processes = self.config, self.accelerator.num_processes
        count, nimg = config.rows_of(processes), self.state.nimg
        for part in range(config.accumulate):
            start = (part * processes + self.accelerator.process_index) * count
            batch = self.loader.batch_at(nimg + start, count, resolution=stage.resolution)
            rows = range(start, start + count)
            yield batch, BatchRNG(config.seed, nimg, purpose, rows=rows, device=self.accelerator.device)

    def _context(self, stage: Stage, gamma: float, rng: BatchRNG) -> StepContext:
        config, nimg = self.config, self.state.nimg
        scoring = Scoring(
            stage=stage, loss=config.loss, augment=config.augment, augment_p=self.state.augment_p, rng=rng,
            gamma=gamma,
        )  # fmt: skip
        return StepContext(
            scoring=scoring, grad_scale=1 / config.accumulate, restyle=config.restyle,
            term_weights=config.restyle.weights_at(nimg), classifier=self.classifier,
        )  # fmt: skip

    def _gamma(self, stage: Stage) -> float:
        """Weight of the gradient penalties in this step; 0 in most steps (lazy regularisation)."""
        loss = self.config.loss
        lazy = self.state.nimg // self.config.batch % loss.r1_interval == 0
        return loss.gamma(stage.resolution, self.config.batch) * loss.r1_interval if lazy else 0.0

    def _apply_discriminator(self) -> None:
        average_gradients(self.accelerator, self.state.nets.discriminator)
        self.state.optimizers.discriminator.step()

    def _apply_generator(self, parts: Sequence[GeneratorStats]) -> None:
        """The optimizer's step, and the running averages of w."""
        generator = self.state.nets.generator
        average_gradients(self.accelerator, generator)
        self.state.optimizers.generator.step()
        w_sums = [part.w_sums for part in parts if part.w_sums is not None]
        if w_sums:
            total = all_reduce(self.accelerator, torch.stack(w_sums).sum(dim=0), "sum")
            generator.mapping.update_average(total)

    def _follow_overfitting(self) -> None:
        """Moves the probability of adaptive augmentation by what was measured last."""
        config, state = self.config.augment, self.state
        if config.ada and state.overfitting is not None:
            state.augment_p = next_p(
                state.augment_p, state.overfitting, target=config.ada_target, images=self.config.batch,
                kimg=config.ada_kimg,
            )  # fmt: skip

    def _average(self) -> None:
        decay = self.config.ema.decay(self.state.nimg, self.config.batch)
        update_average(self.state.average, self.state.nets.generator, decay)


def mean_of_parts(parts: Sequence[Stats]) -> Stats:
    """The mean of every field over the parts of a batch."""

    def mean(values: Sequence[Any]) -> Any:
        if isinstance(values[0], Mapping):
            return {name: mean([value[name] for value in values]) for name in values[0]}
        return None if values[0] is None else torch.stack(list(values)).mean(dim=0)

    if len(parts) == 1:
        return parts[0]
    means = {each.name: mean([getattr(part, each.name) for part in parts]) for each in fields(parts[0])}
    return replace(parts[0], **means)
