"""The work of `brushwork invert`: the codes of images, batch by batch, and a generator tuned around them."""

import copy
import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from brushwork.data.progress import Progress
from brushwork.eval.metrics.perceptual import PerceptualDistance
from brushwork.models.generator import Generator
from brushwork.models.latent.codes import Codes, same_in_every_layer
from brushwork.models.restyling import require_channels, to_float
from brushwork.models.sampling import device_of

from ..errors import TrainingError
from ..interrupt import StopRequest
from ..run.checkpoint import checkpoints, cpu_copy, load_checkpoint, save_checkpoint
from .config import InversionConfig
from .projection import Projection
from .start import candidates, nearest_codes
from .tuning import Tuning

SECONDS = 60.0
"""Between two checkpoints."""


@dataclass(frozen=True, kw_only=True)
class Inversion:
    """What was found."""

    start: Codes
    """The codes from which the projection started."""
    codes: Codes
    tuned: Generator | None
    """The generator tuned around the codes, if that was asked for."""
    losses: Float[Tensor, "s n"]
    """Distance of each image at each step of the projection."""
    tuning_losses: Float[Tensor, "t n"]
    """The same, with the squared difference of pixels, at each step of the tuning."""


class Stopped(Exception):
    """A signal ended the work, after a checkpoint."""


@dataclass(kw_only=True)
class InversionJob:
    """Inverts images of the generator's size and channels."""

    generator: Generator
    distance: PerceptualDistance
    config: InversionConfig
    names: tuple[str, ...]
    images: UInt8[Tensor, "n c h w"]
    styles: Float[Tensor, "k s"]
    """The styles in which the images are sought."""
    weights: str
    """Digest of the generator's snapshot."""
    folder: Path
    """Where checkpoints are."""
    stop: StopRequest
    _state: dict[str, Any] = field(default_factory=dict)
    """What a checkpoint holds: key, losses of finished parts, and the part that is being worked on."""
    _saved: float = field(default_factory=time.monotonic)

    def run(self, *, resume: bool) -> Inversion:
        """Finds the codes, then tunes the generator. With `resume`, the work goes on from its checkpoint, bit
        for bit.

        Raises:
            Stopped: a signal arrived.
            TrainingError: the checkpoint is of other images or settings, or a loss is not finite.
        """
        self._state = self._checkpoint() if resume else {"key": self.key, "parts": [], "current": None}
        targets = to_float(require_channels(self.generator, self.images).to(device_of(self.generator)))
        known = candidates(self.generator, self.distance, self.styles)
        parts, starts = self._state["parts"], []
        for number, rows in enumerate(torch.arange(len(targets)).split(self.config.batch)):
            w, styles = nearest_codes(self.generator, self.distance, known, targets[rows], self.config.space)
            starts.append((w, styles))
            if number < len(parts):
                continue
            projection = Projection(
                self.generator, self.distance, self.config, targets=targets[rows], start=w,
                spread=known.spread, rows=rows.tolist(),
            )  # fmt: skip
            losses = self._advance(projection, f"invert {rows[0] + 1}-{rows[-1] + 1} of {len(targets)}")
            noise = [maps.detach() for maps in projection.noise]
            parts.append(cpu_copy({"w": projection.codes, "noise": noise, "losses": losses}))
        w, styles = (torch.cat(some).cpu() for some in zip(*starts, strict=True))
        found = Codes(
            names=self.names, w=torch.cat([part["w"] for part in parts]), styles=styles, weights=self.weights,
            noise=tuple(torch.cat(maps) for maps in zip(*(part["noise"] for part in parts), strict=True)),
        )  # fmt: skip
        start = Codes(names=self.names, w=same_in_every_layer(w, self.generator.layers), styles=styles)
        tuned, tuning_losses = self._tune(found, targets, known.spread)
        return Inversion(
            start=start, codes=found, tuned=tuned, tuning_losses=tuning_losses,
            losses=torch.cat([part["losses"] for part in parts], dim=1),
        )  # fmt: skip

    @property
    def key(self) -> str:
        """Hash of all that determines the result."""
        about = (self.config, self.weights, self.names, self.styles.tolist(), self.distance.protocol)
        digest = hashlib.sha256(repr(about).encode())
        digest.update(self.images.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _tune(
        self, codes: Codes, targets: Tensor, spread: float
    ) -> tuple[Generator | None, Float[Tensor, "t n"]]:
        steps = self.config.tune_steps
        if not steps:
            return None, torch.zeros(0, len(codes))
        tuning = Tuning(
            self.generator, copy.deepcopy(self.generator), self.distance, codes=codes, targets=targets,
            spread=spread, batch=self.config.batch, steps=steps,
        )  # fmt: skip
        losses = self._advance(tuning, "tune")
        return tuning.tuned.requires_grad_(False), losses

    def _advance(self, work: Projection | Tuning, title: str) -> Float[Tensor, "s n"]:
        """Takes all steps of one part of the work. Returns the losses of its images."""
        current, losses = self._state["current"], list[Tensor]()
        if current is not None:
            work.load(current["work"])
            losses = list(current["losses"].unbind())
        with Progress(total=work.steps, initial=work.step, desc=title, unit="step", leave=False) as bar:
            while work.step < work.steps:
                losses.append(work.advance().cpu())
                if not losses[-1].isfinite().all():
                    raise TrainingError(
                        f"{title}: the distance is not finite at step {work.step}: --style another."
                    )
                bar.set_postfix_str(f"distance {losses[-1].mean():.3g}", refresh=False)
                bar.update()
                self._state["current"] = {"work": work.state(), "losses": torch.stack(losses)}
                self._save_if_due()
        self._state["current"] = None
        return torch.stack(losses)

    # Resume
    def _save_if_due(self) -> None:
        stopped = self.stop.signal is not None
        if stopped or time.monotonic() - self._saved > SECONDS:
            save_checkpoint(self.folder, 0, cpu_copy(self._state), keep=1)
            self._saved = time.monotonic()
        if stopped:
            raise Stopped

    def _checkpoint(self) -> dict[str, Any]:
        found = checkpoints(self.folder)
        if not found:
            return {"key": self.key, "parts": [], "current": None}
        state = load_checkpoint(found[-1])
        if state.get("key") != self.key:
            raise TrainingError(
                f"{found[-1]} is of other images or settings: repeat the command that was stopped, or leave "
                "--resume out."
            )
        return state
