"""Reproduces the table of docs/evaluation.md: which metric sees which fault, on real pictures."""

from pathlib import Path
from typing import Annotated

import tyro

from brushwork.data.pictures import load_pictures
from brushwork.eval.extractors import build_extractor
from brushwork.eval.feature_cache import FeatureCache, user_cache
from brushwork.eval.reference import load_reference
from brushwork.eval.sensitivity import METRICS, measure_faults, table
from brushwork.eval.sources import Stored
from brushwork.eval.suite import extractors_for
from brushwork.models.options import options

COLUMNS = (
    ("fd", "kid", "precision", "recall", "density", "coverage", "diversity"),
    ("accuracy", "csls", "nearer_to_own", "gram", "mean_std", "copies", "nearest_ratio"),
)


@options
class SensitivityArguments:
    """Harms held-out real pictures in known ways and says which metric sees it, in Markdown.

    Example, some minutes on a CPU:
        python scripts/sensitivity.py datasets/emoji-32
    """

    dataset: Annotated[Path, tyro.conf.Positional]
    """A packed data set with a test split."""
    features: str = "efficientnet-lite0"
    """The evaluator."""


def main(args: SensitivityArguments) -> None:
    """Measures and prints."""
    test, train = (
        Stored(images=split.images, styles=split.styles)
        for split in (load_pictures(args.dataset, name) for name in ("test", "train"))
    )
    reference = load_reference(
        args.dataset, extractors_for([build_extractor(args.features)], METRICS), progress=True
    )
    found = measure_faults(test, train, reference, cache=FeatureCache(user_cache()))
    print("\n\n".join(table(found, columns) for columns in COLUMNS))


if __name__ == "__main__":
    from brushwork.scripts.cli import run

    run(SensitivityArguments, main)
