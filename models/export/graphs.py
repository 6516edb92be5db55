"""A generator as ONNX graphs: `mapping`, `synthesis`, and with encoders `style_encoder` and `restyle`.

    mapping        z (n, z), styles (n, s), psi (n)                    -> codes (n, l, d)
    synthesis      codes (n, l, d), noise (n, p)                       -> images (n, c, h, w)
    style_encoder  images (n, c, h, w), styles (n, s)                  -> codes (n, l, d)
    restyle        images (n, c, h, w), codes (n, l, d), noise (n, q)  -> images (n, c, h, w)

Everything is float32, images are about [-1, 1] (colours times transparency where there is any). `noise` is
that of all layers, one after the other; zeros leave it out.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..generator import Generator
from ..layers import Normal
from ..sampling import device_of
from ..synthesis import Content

Shape = tuple[int, ...]

OPSET = 18
EXAMPLES = 2
"""Images in the tensors with which graphs are traced. Any number can be given later."""


# Graphs
class MappingGraph(nn.Module):
    """Codes of latent codes in soft styles, truncated towards the average of the style."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.mapping, self.layers = generator.mapping, generator.layers

    def forward(
        self, z: Float[Tensor, "n z"], styles: Float[Tensor, "n s"], psi: Float[Tensor, "n"]
    ) -> Float[Tensor, "n l d"]:
        w = torch.lerp(self.mapping.average_of(styles), self.mapping(z, styles), psi[:, None])
        return w[:, None].expand(-1, self.layers, -1)


class SynthesisGraph(nn.Module):
    """Images of codes at the trained stage."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.synthesis, self.stage = generator.synthesis, generator.trained_stage
        self.shapes = noise_shapes(generator)

    def forward(self, codes: Float[Tensor, "n l d"], noise: Float[Tensor, "n p"]) -> Float[Tensor, "n c h w"]:
        return self.synthesis(codes, self.stage, parts_of(noise, self.shapes))


class StyleEncoderGraph(nn.Module):
    """Codes of the styles of images, which have labels or none."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.encoder, self.stage = generator.encoders.style, generator.trained_stage
        self.layers = generator.layers

    def forward(
        self, images: Float[Tensor, "n c h w"], styles: Float[Tensor, "n s"]
    ) -> Float[Tensor, "n l d"]:
        w = self.encoder(images, styles, self.stage)
        return w[:, None].expand(-1, self.layers, -1)


class RestyleGraph(nn.Module):
    """The content of images with other codes."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.encoder, self.synthesis = generator.encoders.content, generator.synthesis
        self.stage, self.shapes = generator.trained_stage, noise_shapes(generator, restyled=True)

    def forward(
        self, images: Float[Tensor, "n c h w"], codes: Float[Tensor, "n l d"], noise: Float[Tensor, "n q"]
    ) -> Float[Tensor, "n c h w"]:
        content = self.encoder(images, self.stage)
        return self.synthesis(codes, self.stage, parts_of(noise, self.shapes), content)


# Noise
def noise_shapes(generator: Generator, *, restyled: bool = False) -> list[Shape]:
    """The shapes of the noise maps of one image, (1, h, w) each, in the order of the layers."""
    shapes: list[Shape] = []

    def recorded(shape: Shape) -> Tensor:
        shapes.append(shape)
        return torch.zeros(1, *shape, device=device_of(generator))

    height, width = generator.trained_size
    with torch.no_grad():
        codes = torch.zeros(1, generator.layers, generator.config.w_dim, device=device_of(generator))
        content: Content | None = None
        if restyled:
            image = torch.zeros(1, generator.config.channels, height, width, device=codes.device)
            content = generator.encoders.content(image, generator.trained_stage)
        generator.synthesis(codes, generator.trained_stage, recorded, content)
    return shapes


def parts_of(noise: Float[Tensor, "n p"], shapes: Sequence[Shape]) -> Normal:
    """A source of noise that gives the parts of a row for each image in turn."""
    parts = iter(noise.split([math.prod(shape) for shape in shapes], dim=1))
    return lambda shape: next(parts).unflatten(1, shape)


# Files
@dataclass(frozen=True, kw_only=True)
class Graph:
    """What is exported: a module, the names of its inputs with examples, and the name of its output."""

    module: nn.Module
    inputs: Mapping[str, Tensor]
    output: str


def graphs_of(generator: Generator) -> dict[str, Graph]:
    """The graphs of a generator by name, with zeros as examples of their inputs."""
    config, n = generator.config, EXAMPLES
    device = device_of(generator)
    styles = torch.zeros(n, len(generator.style_names), device=device)
    codes = torch.zeros(n, generator.layers, config.w_dim, device=device)

    def noise(*, restyled: bool) -> Tensor:
        shapes = noise_shapes(generator, restyled=restyled)
        return torch.zeros(n, sum(math.prod(shape) for shape in shapes), device=device)

    z, psi = torch.zeros(n, config.z_dim, device=device), torch.ones(n, device=device)
    graphs = {
        "mapping": Graph(
            module=MappingGraph(generator), inputs={"z": z, "styles": styles, "psi": psi}, output="codes"
        ),
        "synthesis": Graph(
            module=SynthesisGraph(generator), inputs={"codes": codes, "noise": noise(restyled=False)},
            output="images",
        ),
    }  # fmt: skip
    if not config.encoders:
        return graphs
    images = torch.zeros(n, config.channels, *generator.trained_size, device=device)
    return graphs | {
        "style_encoder": Graph(
            module=StyleEncoderGraph(generator), inputs={"images": images, "styles": styles}, output="codes"
        ),
        "restyle": Graph(
            module=RestyleGraph(generator), output="restyled",
            inputs={"images": images, "codes": codes, "noise": noise(restyled=True)},
        ),
    }  # fmt: skip


def onnx_bytes(graph: Graph) -> bytes:
    """A graph as the content of an .onnx file, for any number of images."""
    batch, names = torch.export.Dim("n", min=1), list(graph.inputs)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter's own code
        program = torch.onnx.export(
            graph.module.eval(), tuple(graph.inputs.values()), dynamo=True, input_names=names,
            output_names=[graph.output], dynamic_shapes=tuple({0: batch} for _ in names),
            opset_version=OPSET, verbose=False,
        )  # fmt: skip
    assert program is not None
    return bytes(program.model_proto.SerializeToString())
