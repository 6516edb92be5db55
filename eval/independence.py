"""Whether an evaluator is independent of a run: what its training looked through must not judge it."""

from collections.abc import Sequence

from brushwork.models.pretrained.frozen import PUBLISHED, FrozenNetwork

from .errors import EvalError


def independent(features: Sequence[str], seen: Sequence[FrozenNetwork], *, chosen: bool) -> tuple[str, ...]:
    """Returns the evaluators that gave the run no gradients.

    Raises EvalError if none is left, and for a dependent one that the user has `chosen`.
    """
    trained_by = {name for network in seen if network.role == "loss" for name in _names(network)}
    left = tuple(name for name in features if name not in trained_by)
    dependent = [name for name in features if name in trained_by]
    if dependent and (chosen or not left):
        others = [name for name in PUBLISHED if name not in trained_by]
        raise EvalError(
            f"{dependent[0]} gave this run its gradients, so it cannot judge it: take --features "
            f"{others[0] if others else 'of another network'}"
            f"{' (brushwork fetch hed-vgg16)' if others[:1] == ['hed-vgg16'] else ''}."
        )
    return left


def _names(network: FrozenNetwork) -> set[str]:
    """The evaluators that are this network: of its name, or with the same weights under another."""
    same = {
        name
        for name, (weights, _) in PUBLISHED.items()
        if weights and weights == network.weights[: len(weights)]
    }
    return {network.name, *same}


def cautions_on(features: Sequence[str], seen: Sequence[FrozenNetwork]) -> list[str]:
    """Sentences on evaluators by which the run was tuned or the snapshot chosen, and on those that were
    trained on the same images as a network of its losses."""
    sentences = []
    for name in features:
        others = [other for other in features if not any(other in _names(network) for network in seen)]
        beside = f"; {others[0]} is independent" if others else ""
        for network in seen:
            if name in _names(network) and network.role != "loss":
                what = "The snapshot was chosen" if network.role == "selection" else "The settings were tuned"
                sentences.append(f"{what} by {name}, whose figures it flatters{beside}.")
            elif network.role == "loss" and set(network.trained_on) & set(PUBLISHED.get(name, ("", ()))[1]):
                data = ", ".join(sorted(set(network.trained_on) & set(PUBLISHED[name][1])))
                sentences.append(f"{name} was trained on {data}, as was {network.name} of the run's losses.")
    return sentences
