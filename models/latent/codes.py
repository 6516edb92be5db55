"""Style codes that `brushwork invert` found for images, and their file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from einops import repeat
from jaxtyping import Float, Int64, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import ModelError
from ..generator import Generator
from ..layers import Normal
from ..sampling import device_of, require_trained, seeded_normal, to_uint8

HEADER = "brushwork_codes"


@dataclass(frozen=True, kw_only=True)
class Codes:
    """Style codes of n images and what else their synthesis needs. The file has the same fields."""

    names: tuple[str, ...]
    w: Float[Tensor, "n l d"]
    styles: Float[Tensor, "n s"]
    """Weights of the style in which each image was sought."""
    noise: tuple[Float[Tensor, "n 1 _h _w"], ...] = ()
    """Noise maps in the order of the layers; none: those of seed 0."""
    weights: str = ""
    """Digest of the generator's snapshot."""

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: Int64[Tensor, "k"]) -> "Codes":
        """The codes of some images."""
        return Codes(
            names=tuple(self.names[row] for row in rows.tolist()), w=self.w[rows], styles=self.styles[rows],
            noise=tuple(maps[rows] for maps in self.noise), weights=self.weights,
        )  # fmt: skip

    def in_style(self, generator: Generator, style: Float[Tensor, "s"]) -> Float[Tensor, "n l d"]:
        """The codes moved as far as the average code of `style` is from that of their own style. Raises
        ModelError for a style that was not trained."""
        mapping = generator.mapping
        target = style.to(mapping.average)[None]
        require_trained(generator, target, psi=0.0)
        step = mapping.average_of(target) - mapping.average_of(self.styles.to(target))
        return self.w.to(step) + step[:, None]


def concatenated(parts: Sequence[Codes]) -> Codes:
    """The codes of all parts, which are of one generator."""
    return Codes(
        names=tuple(name for part in parts for name in part.names),
        w=torch.cat([part.w for part in parts]), styles=torch.cat([part.styles for part in parts]),
        noise=tuple(torch.cat(maps) for maps in zip(*(part.noise for part in parts), strict=True)),
        weights=parts[0].weights,
    )  # fmt: skip


def noise_of(maps: Sequence[Float[Tensor, "n 1 _h _w"]], count: int, device: torch.device) -> Normal:
    """A source of noise for one forward pass that gives the maps in turn; without maps, those of seed 0."""
    if not maps:
        one = seeded_normal(torch.zeros(1, dtype=torch.int64), device)
        return lambda shape: one(shape).expand(count, *shape)
    turn = iter(maps)
    return lambda shape: next(turn).to(device)


@torch.no_grad()
def render_codes(
    generator: Generator, codes: Codes, w: Float[Tensor, "n l d"] | None = None, *, batch: int = 64
) -> UInt8[Tensor, "n c h w"]:
    """Generates the images of codes at the trained stage, or of other codes `w` with the same noise.

    Raises ModelError if the images are not finite.
    """
    device, parts = device_of(generator), []
    for rows in torch.arange(len(codes)).split(batch):
        own = (codes.w if w is None else w)[rows].to(device)
        normal = noise_of([maps[rows] for maps in codes.noise], len(rows), device)
        parts.append(to_uint8(generator.synthesis(own, generator.trained_stage, normal)).cpu())
    return torch.cat(parts)


# Files
def codes_bytes(codes: Codes, styles: Sequence[str]) -> bytes:
    """Codes as the content of a .safetensors file; `styles` are the names of the generator's styles."""
    tensors = {"w": codes.w, "styles": codes.styles}
    tensors |= {f"noise.{layer}": maps for layer, maps in enumerate(codes.noise)}
    header = {"names": codes.names, "styles": list(styles), "weights": codes.weights}
    stored = {name: tensor.detach().float().cpu().contiguous() for name, tensor in tensors.items()}
    return save(stored, metadata={HEADER: json.dumps(header)})


def load_codes(path: Path, generator: Generator) -> Codes:
    """Reads the codes of a file. Raises ModelError for a file that holds none, and for codes of a generator
    of another shape."""
    try:
        with safe_open(str(path), framework="pt") as file:
            header = json.loads((file.metadata() or {})[HEADER])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        reason = "it has no codes" if isinstance(error, KeyError) else str(error)
        raise ModelError(
            f"{path} cannot be read ({reason}): give codes.safetensors of brushwork invert."
        ) from error
    codes = Codes(
        names=tuple(map(str, header["names"])), w=tensors["w"], styles=tensors["styles"],
        noise=tuple(tensors[f"noise.{layer}"] for layer in range(len(tensors) - 2)),
        weights=str(header["weights"]),
    )  # fmt: skip
    wanted = (generator.layers, generator.config.w_dim)
    if tuple(codes.w.shape[1:]) != wanted or tuple(header["styles"]) != generator.style_names:
        raise ModelError(
            f"{path} holds codes of {tuple(codes.w.shape[1:])} for the styles {', '.join(header['styles'])}, "
            f"and the run has {wanted} for {', '.join(generator.style_names)}: take the run that made them."
        )
    return codes


def same_in_every_layer(w: Float[Tensor, "n d"], layers: int) -> Float[Tensor, "n l d"]:
    """A code of W as one of W+."""
    return repeat(w, "n d -> n l d", l=layers)
