"""Several processes that measure together: each takes its share, all get the whole.

Every process computes every figure from the same features, so nothing has to be told afterwards.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch.distributed as dist

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Processes:
    """Which process this is, of how many."""

    rank: int = 0
    count: int = 1

    @classmethod
    def joined(cls) -> "Processes":
        """This process among those of the running group; alone where there is none."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(rank=dist.get_rank(), count=dist.get_world_size())

    @property
    def main(self) -> bool:
        return self.rank == 0

    def gather(self, mine: dict[int, Value]) -> dict[int, Value]:
        """What all processes have, in every process; keys say whose is whose, so they must be distinct."""
        if self.count == 1:
            return mine
        everyone: list[dict[int, Value]] = [{} for _ in range(self.count)]
        dist.all_gather_object(everyone, mine)
        return {key: value for part in everyone for key, value in part.items()}


@contextmanager
def launched() -> Iterator[Processes]:
    """This process among those that `torchrun` or `accelerate launch` started, for the time of the block.

    Features are gathered on the CPU, so gloo will do whatever the devices.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield Processes.joined()
        return
    dist.init_process_group("gloo")
    try:
        yield Processes.joined()
        dist.barrier()  # who left early would abort with its group still open
    finally:
        dist.destroy_process_group()
