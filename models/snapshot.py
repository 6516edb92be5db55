"""Snapshots: a safetensors file with the averaged generator's weights and a JSON header, without any code.

The snapshot `latest` also holds both networks as they train, for runs that start from it.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .discriminator import Discriminator, DiscriminatorConfig
from .errors import ModelError
from .generator import Generator, GeneratorConfig
from .options import resolve_device
from .stage import Stage

HEADER = "brushwork"
DIGEST = "sha256"
"""The digest of header and weights in the header; snapshots of version 0.1 have none."""
TRAINING_DIGEST = "training_sha256"
RENAMED = {"styled": "style_resolutions", "content_latent": "content_vae_channels"}
"""Fields of the generator's configuration in snapshots of version 0.2 and before."""
REMOVED = ("content_erased", "attention", "encoder_attention")
"""Fields of earlier versions, which a network of this one does not set."""
HUB_FILE = "generator.safetensors"
TRAINING = "training."
"""Prefix of tensors that only training uses."""


@dataclass(frozen=True, kw_only=True)
class TrainingNetworks:
    """Both networks as they train, without the average."""

    generator: Generator
    discriminator: Discriminator

    def tensors(self) -> dict[str, Tensor]:
        """Both networks' tensors by name."""
        named = (("generator", self.generator), ("discriminator", self.discriminator))
        return {
            f"{TRAINING}{name}.{key}": tensor
            for name, network in named
            for key, tensor in network.state_dict().items()
        }


def generator_bytes(
    generator: Generator, *, stage: Stage, notes: dict[str, Any], training: TrainingNetworks | None = None
) -> bytes:
    """Returns a snapshot as the content of a .safetensors file.

    `stage` becomes the trained stage of the loaded generator. The header holds `notes`, such as images seen.
    `training` is for runs that start from this one.
    """
    header = {
        "generator": asdict(generator.config),
        "styles": generator.style_names,
        "stage": [stage.resolution, stage.alpha],
        "notes": notes,
    }
    tensors, more = _on_cpu(generator.state_dict()), dict[str, Tensor]()
    if training is not None:
        more = _on_cpu(training.tensors())
        header["discriminator"] = asdict(training.discriminator.config)
        header[TRAINING_DIGEST] = _digest({}, more)
    header[DIGEST] = _digest(header, tensors)
    return save(tensors | more, metadata={HEADER: json.dumps(header)})


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _digest(header: dict[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the header, without its digest, and the weights."""
    signed = {name: value for name, value in header.items() if name != DIGEST}
    digest = hashlib.sha256(json.dumps(signed).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().data)
    return digest.hexdigest()


def find_snapshot(source: str | Path) -> Path:
    """Returns the snapshot file of `source`: a file, a run folder (its newest snapshot) or a Hub repository.

    Raises ModelError if there is none.
    """
    path = Path(source)
    if path.is_file():
        return path
    if path.is_dir():
        snapshots = sorted((path / "snapshots").glob("*.safetensors")) or sorted(path.glob("*.safetensors"))
        if not snapshots:
            raise ModelError(f"{path} holds no snapshots/*.safetensors: train it first, or name a file.")
        return snapshots[-1]
    if str(source).count("/") != 1 or str(source).startswith((".", "/")) or path.parent.is_dir():
        raise ModelError(f"{source} does not exist: name a run folder, a snapshot file or a Hub repository.")
    try:
        return Path(hf_hub_download(str(source), HUB_FILE))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"{source} is no folder here, and {HUB_FILE} could not be fetched from the Hub by that name "
            f"({type(error).__name__}): check the name, or download the file and give its path."
        ) from error


def snapshot_header(path: Path) -> dict[str, Any]:
    """Returns the header of a snapshot: generator, styles, stage, notes. Raises ModelError if it has none."""
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
        return dict(json.loads(metadata[HEADER]))
    except KeyError:
        raise ModelError(
            f"{path} holds weights, but not of a brushwork generator: give a run's snapshot."
        ) from None
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{path} is no readable snapshot ({error}): give a .safetensors file of brushwork."
        ) from error


def load_generator(source: str | Path, *, device: str = "cpu") -> Generator:
    """Loads the generator of a snapshot file, a run folder (its newest snapshot) or a Hub repository.

        generator = load_generator("runs/demo", device="cuda")

    It is in evaluation mode, without gradients, on `device`: auto, cpu, cuda, cuda:N or mps.

    Raises ModelError if nothing is there, the snapshot is damaged, or there is no such device.
    """
    place, path = resolve_device(device), find_snapshot(source)
    header = snapshot_header(path)
    try:
        with torch.device("meta"):  # takes no memory before the file's shapes are checked
            generator, styled = _build(path, header)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = type(error).__name__
        raise ModelError(f"{path} has a damaged header ({reason}): take another snapshot.") from error
    weights = _weights(path, generator.state_dict())
    if header.get(DIGEST) not in (None, _digest(header, weights)):
        raise _damaged(path)
    if styled:
        _inject_only_at(styled, weights)
    generator.load_state_dict(weights, assign=True)
    return generator.eval().requires_grad_(False).to(place)


def load_training_networks(source: str | Path) -> TrainingNetworks | None:
    """Loads both networks as they trained, on the CPU; None if the snapshot has only the averaged generator.

    `source` is that of `load_generator`, which should be called first. Raises ModelError if the snapshot is
    damaged.
    """
    path = find_snapshot(source)
    header = snapshot_header(path)
    if "discriminator" not in header:
        return None
    try:
        with torch.device("meta"):
            generator, _ = _build(path, header)
            discriminator = Discriminator(
                DiscriminatorConfig(**header["discriminator"]), resolution=generator.config.resolution,
                styles=len(generator.style_names), base=generator.config.base,
                inputs=generator.config.channels,
            )  # fmt: skip
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path) from error
    networks = TrainingNetworks(generator=generator, discriminator=discriminator)
    weights = _weights(path, networks.tensors(), training=True)
    if header.get(TRAINING_DIGEST) != _digest({}, weights):
        raise _damaged(path)
    for name, network in (("generator", generator), ("discriminator", discriminator)):
        prefix = f"{TRAINING}{name}."
        network.load_state_dict(
            {key.removeprefix(prefix): x for key, x in weights.items() if key.startswith(prefix)}, assign=True
        )
    return networks


def _damaged(path: Path) -> ModelError:
    return ModelError(f"{path} is damaged: its digest is wrong; take another snapshot.")


def _weights(path: Path, expected: Mapping[str, Tensor], *, training: bool = False) -> dict[str, Tensor]:
    """Returns the tensors of a file: those of `TrainingNetworks`, or else the averaged generator's.

    Raises ModelError unless their names and shapes are those of `expected`.
    """
    with safe_open(str(path), framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(TRAINING) == training]  # noqa: SIM118
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
        if shapes != {name: tuple(tensor.shape) for name, tensor in expected.items()}:
            raise ModelError(f"{path} does not fit its own header: the file is damaged; take another.")
        return {name: file.get_tensor(name) for name in shapes}


def _inject_only_at(styled: Sequence[int], weights: dict[str, Tensor]) -> None:
    """Sets the affine maps of w to 0 at all other resolutions, as the field `style_resolutions` of earlier
    versions did in every pass."""
    for name, tensor in weights.items():
        layer = re.fullmatch(r"synthesis\.blocks\.(\d+)\..*\baffine\.weight", name)
        if layer and int(layer[1]) not in styled:
            weights[name] = torch.zeros_like(tensor)


def _build(path: Path, header: dict[str, Any]) -> tuple[Generator, Sequence[int]]:
    """Builds the generator that a header describes. Returns its `style_resolutions`, too, if any."""
    stored: dict[str, Any] = header["generator"]
    config = {RENAMED.get(name, name): x for name, x in stored.items() if x or name not in REMOVED}
    styled = config.pop("style_resolutions", ())
    if unknown := config.keys() - {field.name for field in fields(GeneratorConfig)}:
        names = ", ".join(sorted(unknown))
        raise ModelError(f"{path} is of another version of brushwork: this one does not support {names}.")
    generator = Generator(GeneratorConfig(**config), tuple(header["styles"]))
    generator.trained_stage = Stage(*header["stage"])
    return generator, styled
