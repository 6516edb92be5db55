"""A folder with a generator that other programs can use."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import ModelError
from ..generator import Generator
from .graphs import Graph, graphs_of, noise_shapes, onnx_bytes

SCRIPT, CONFIG = "generate.py", "config.json"
PORTABLE = 16
"""Least length of latent codes whose random numbers other programs can repeat."""
CHECKED = 3
"""Images with which a graph is compared."""
ALLOWED = 2 / 127.5
"""Largest difference of an output of images, which are in [-1, 1]: two levels of 255."""


def config_of(generator: Generator) -> dict[str, Any]:
    """What programs need beside the graphs: the fields of `GeneratorConfig`, the names of the styles, and the
    sizes of images and of each noise map."""
    return {
        **asdict(generator.config), "styles": list(generator.style_names), "layers": generator.layers,
        "size": list(generator.trained_size), "noise": [list(shape[1:]) for shape in noise_shapes(generator)],
    }  # fmt: skip


def published_files(generator: Generator) -> dict[str, bytes]:
    """The files of a published generator by name, each graph checked against PyTorch.

    Raises ModelError for latent codes of less than 16 numbers, and for a graph that draws something else.
    """
    if generator.config.z_dim < PORTABLE:
        raise ModelError(
            f"latent codes of {generator.config.z_dim} numbers cannot be repeated outside PyTorch: train "
            f"with --generator.z-dim {PORTABLE} or more."
        )
    files = {
        CONFIG: json.dumps(config_of(generator), indent=1, ensure_ascii=False).encode(),
        SCRIPT: (Path(__file__).parent / "portable.py").read_bytes(),
    }
    for name, graph in graphs_of(generator).items():
        content = onnx_bytes(graph)
        require_same(name, graph, content)
        files[f"{name}.onnx"] = content
    return files


def require_same(name: str, graph: Graph, content: bytes) -> float:
    """Returns the largest difference between a graph in onnxruntime and its module, on random inputs. Raises
    ModelError if it is above two levels of 255."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content)
    random = torch.Generator().manual_seed(0)
    inputs = {
        key: torch.randn(CHECKED, *example.shape[1:], generator=random).clamp(-1, 1)
        for key, example in graph.inputs.items()
    }
    with torch.no_grad():
        expected = graph.module(*inputs.values()).numpy()
    (found,) = session.run(None, {key: tensor.numpy() for key, tensor in inputs.items()})
    difference = float(np.abs(found - expected).max())
    if not difference <= ALLOWED:
        raise ModelError(f"the graph {name} differs from PyTorch by {difference:.2g}: nothing was published.")
    return difference
