"""Frozen networks that a generator's training looked through, so that none of them judges it unnoticed.

A snapshot records them. An evaluator that gave gradients to a run says little about it, and one by which a
run was tuned or a snapshot chosen says too much.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Role = Literal["loss", "tuning", "selection"]
"""loss: it gave gradients, in a loss term or the discriminator; tuning: settings were chosen by it;
selection: the snapshot was."""

PUBLISHED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "efficientnet-lite0": ("57934424", ("ImageNet",)),
    "hed-vgg16": ("3fae2778", ("ImageNet", "BSDS500")),
    "inception": ("6726825d", ("ImageNet",)),
    "dinov2-l": ("", ("LVD-142M", "ImageNet")),
    "dinov2-b": ("", ("LVD-142M", "ImageNet")),
    "clip": ("", ("WIT-400M",)),
    "csd": ("", ("WIT-400M", "LAION-Styles")),
}
"""First digits of the SHA-256 of the weights ("" where they are not fixed), and what they were trained on, by
the name of the evaluator."""


@dataclass(frozen=True, kw_only=True)
class FrozenNetwork:
    """A network, its weights, the data that it was trained on, and how training looked through it."""

    name: str
    weights: str
    trained_on: tuple[str, ...]
    role: Role

    @classmethod
    def published(cls, name: str, role: Role) -> "FrozenNetwork":
        """One of the evaluators."""
        weights, trained_on = PUBLISHED[name]
        return cls(name=name, weights=weights, trained_on=trained_on, role=role)


def as_notes(networks: Iterable[FrozenNetwork]) -> list[dict[str, Any]]:
    """The networks as plain values, for the header of a snapshot, each once."""
    return [asdict(network) for network in dict.fromkeys(networks)]


def from_notes(notes: Sequence[Mapping[str, Any]]) -> tuple[FrozenNetwork, ...]:
    """What `as_notes` gave, of a snapshot or a checkpoint. Entries of a later version are left out."""
    return tuple(
        FrozenNetwork(
            name=str(entry["name"]), weights=str(entry["weights"]), role=entry["role"],
            trained_on=tuple(map(str, entry["trained_on"])),
        )
        for entry in notes if entry.get("role") in get_args(Role)
    )  # fmt: skip
