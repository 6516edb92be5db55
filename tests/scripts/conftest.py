"""The fixtures of training and evaluation, for the benchmarks and experiments that stand on both."""

from ..eval.conftest import world
from ..training.conftest import (
    _threads,
    batch,
    both,
    classifier,
    make_config,
    nets,
)

__all__ = ["_threads", "batch", "both", "classifier", "make_config", "nets", "world"]
