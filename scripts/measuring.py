"""What `brushwork measure` can be pointed at, and how each is measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from brushwork.data.errors import DataError
from brushwork.data.pictures import Pictures, load_pictures
from brushwork.eval.errors import EvalError
from brushwork.eval.features.cache import FeatureCache
from brushwork.eval.features.extract import Extractor, MapExtractor, Source
from brushwork.eval.features.extractors import build_extractor
from brushwork.eval.features.resize import Precision, ResizeName
from brushwork.eval.generator_suite import (
    GENERATOR_METRICS,
    feature_steps,
    lpips_steps,
    with_path_length,
    with_truncation,
)
from brushwork.eval.metrics.frechet import gaussian_of, load_statistics, save_statistics
from brushwork.eval.metrics.lpips import Lpips
from brushwork.eval.metrics.registry import DEFAULT, METRICS
from brushwork.eval.pairs.read import PairSet
from brushwork.eval.pairs.suite import Drawings, PairNetworks, default_metrics, measure_outputs
from brushwork.eval.processes import Processes
from brushwork.eval.reference import Reference, load_reference
from brushwork.eval.report.grids import (
    BEST_AND_WORST,
    NEAREST,
    SAMPLES,
    best_worst_grid,
    nearest_grid,
    samples_grid,
)
from brushwork.eval.results import Measurement
from brushwork.eval.sources import Samples, Stored, read_styled_folder
from brushwork.eval.suite import extractors_for, measure, measure_against
from brushwork.models.generator import Generator
from brushwork.models.sampling import draw_between, sample
from brushwork.models.snapshot import find_snapshot, load_generator
from brushwork.scripts.disentangling import measure_doors


@dataclass(frozen=True, kw_only=True)
class Bench:
    """All that a measurement needs beside what is measured."""

    reference: Path | None
    features: tuple[str, ...] = ("efficientnet-lite0",)
    metrics: tuple[str, ...] = ()
    control: bool = True
    weights: Mapping[str, Path] = field(default_factory=dict)
    resize: ResizeName = "clean"
    precision: Precision = "fp32"
    device: str = "cpu"
    processes: Processes = field(default_factory=Processes)
    cache: FeatureCache = field(default_factory=lambda: FeatureCache(None))
    save_statistics: Path | None = None

    def extractor(self, name: str) -> Extractor:
        return build_extractor(
            name, self.device, weights=self.weights, precision=self.precision, resize=self.resize
        )

    def load_reference(self, metrics: Sequence[str]) -> Reference:
        """The data set's figures. Raises EvalError where none was given."""
        if self.reference is None:
            raise EvalError("There is nothing to compare with: give --reference DATASET.")
        extractors = extractors_for([self.extractor(name) for name in self.features], metrics)
        found = load_reference(
            self.reference, extractors, control=self.control, cache=self.cache, processes=self.processes,
            progress=True,
        )  # fmt: skip
        if self.save_statistics is not None and self.processes.main:
            save_statistics(self.save_statistics, gaussian_of(found.spaces[0].raw_train.features))
        return found

    def lpips(self) -> Lpips:
        return Lpips.from_weights(self.weights.get("lpips"), device=self.device)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Figures, the pictures to show beside them by title, and why others could not be read."""

    measures: Measurement
    pictures: Mapping[str, Image.Image]
    count: int = 0
    """Pictures or pairs that were read."""
    broken: tuple[str, ...] = ()


# A run
def measure_run(bench: Bench, source: str, *, per_style: int, seed: int, psi: float) -> Measured:
    """Samples of a run, a snapshot or a Hub repository."""
    snapshot = find_snapshot(source)
    generator = load_generator(snapshot, device=bench.device)
    names, metrics = generator.style_names, bench.metrics or DEFAULT
    if "disentanglement" in metrics:
        _ = generator.encoders  # one without any should say so before all else is measured
    weights = sha256(snapshot.read_bytes()).hexdigest()

    def source_at(psi: float) -> Samples:
        def sampler(styles: Tensor, seeds: Tensor) -> Tensor:
            return sample(generator, styles, seeds, psi=psi)

        identity = f"{weights} psi {psi} on {torch.device(bench.device).type} by torch {torch.__version__}"
        return Samples(sampler=sampler, count=len(names), per_style=per_style, seed=seed, identity=identity)

    samples = source_at(psi)
    if _is_statistics(bench.reference):
        return _against_statistics(bench, samples, source, {"psi": psi})
    of_pictures = [metric for metric in metrics if metric not in GENERATOR_METRICS]
    reference = bench.load_reference(of_pictures).restricted_to(names)
    measures = measure(
        samples, reference, metrics=of_pictures, cache=bench.cache, processes=bench.processes, progress=True,
        label=source, conditions={"psi": psi},
    )  # fmt: skip
    data = bench.reference
    assert data is not None
    more: dict[str, Callable[[Measurement], Measurement]] = {
        "ppl": lambda found: _with_path_length(bench, found, generator, reference, seed),
        "truncation": lambda found: with_truncation(
            found, source_at, reference, cache=bench.cache, processes=bench.processes, progress=True
        ),
        "disentanglement": lambda found: measure_doors(
            found, snapshot, generator, data, reference, control=bench.control
        ),
    }
    for metric in GENERATOR_METRICS:
        if metric in metrics:
            measures = _noting(measures, metric, more[metric])
    if not (measures.figures or measures.curves):
        raise EvalError(f"Nothing of this can be measured. {' '.join(measures.notes)}")
    return Measured(measures=measures, pictures=_pictures(bench, measures, samples))


def _noting(measures: Measurement, metric: str, add: Callable[[Measurement], Measurement]) -> Measurement:
    """With one metric more, or a note why it cannot be taken."""
    try:
        return add(measures)
    except (DataError, EvalError) as error:
        return replace(measures, notes=(*measures.notes, f"{metric}: {error}"))


def _with_path_length(
    bench: Bench, measures: Measurement, generator: Generator, reference: Reference, seed: int
) -> Measurement:
    """With LPIPS where its trunk was given, else with the evaluator's maps."""

    def draw(styles: Tensor, start: Tensor, end: Tensor, t: Tensor) -> Tensor:
        return draw_between(generator, styles, start, end, t)

    count, shown = len(generator.style_names), bench.processes.main
    if "lpips" in bench.weights:
        steps = lpips_steps(bench.lpips(), control=bench.control)
        return with_path_length(measures, draw, steps, seed=seed, count=count, progress=shown)
    space = reference.spaces[0]
    network, control = space.extractor, space.control and space.control.extractor
    if not isinstance(network, MapExtractor):
        raise EvalError(
            f"The path length needs feature maps, and {network.name} has none: put --features "
            "efficientnet-lite0 first, or give --lpips-weights PATH."
        )
    steps = feature_steps(network, control if isinstance(control, MapExtractor) else None)
    return with_path_length(measures, draw, steps, seed=seed, count=count, progress=shown)


# Pictures at hand
def measure_folder(bench: Bench, folder: Path) -> Measured:
    """Pictures that somebody generated already, as FOLDER/<style>/* or without styles."""
    found = read_styled_folder(folder)
    source = Stored(images=found.images, styles=found.styles)
    if _is_statistics(bench.reference):
        against = _against_statistics(bench, source, str(folder), {})
        return replace(against, count=len(found.styles), broken=found.broken)
    metrics = bench.metrics or DEFAULT
    reference = bench.load_reference(metrics).restricted_to(found.style_names)
    measures = measure(
        source, reference, metrics=metrics, cache=bench.cache, processes=bench.processes, progress=True,
        label=str(folder),
    )  # fmt: skip
    return Measured(
        measures=with_broken(measures, found.broken), pictures=_pictures(bench, measures, source),
        count=len(found.styles), broken=found.broken,
    )  # fmt: skip


def with_broken(measures: Measurement, broken: Sequence[str]) -> Measurement:
    """With a note of what could not be read."""
    return replace(measures, notes=(*measures.notes, *broken))


def measure_pairs(bench: Bench, pairs: PairSet, label: str) -> Measured:
    """Outputs beside their contents."""
    drawings = None
    if bench.reference is not None:
        test, train = (load_pictures(bench.reference, split) for split in ("all", "train"))
        drawings = Drawings(test=test, train=train)
    metrics = bench.metrics or default_metrics(pairs, drawings)
    extractor = next((e for e in map(bench.extractor, bench.features) if isinstance(e, MapExtractor)), None)
    if extractor is None:
        raise EvalError(
            f"Pairs need feature maps, and {', '.join(bench.features)} has none: add --features "
            "efficientnet-lite0."
        )
    control = extractor.control() if bench.control else None
    networks = PairNetworks(
        maps=extractor,
        control=control if isinstance(control, MapExtractor) else None,
        lpips=bench.lpips() if "lpips" in metrics else None,
    )
    of_outputs = [metric for metric in metrics if metric in METRICS]
    reference = None if bench.reference is None else bench.load_reference(of_outputs)
    measures = measure_outputs(
        pairs, networks, metrics=metrics, reference=reference, drawings=drawings, cache=bench.cache,
        progress=True, label=label,
    )  # fmt: skip
    measures = with_broken(measures, pairs.broken)
    return Measured(measures=measures, pictures={}, count=len(pairs), broken=pairs.broken)


# Statistics
def _is_statistics(reference: Path | None) -> bool:
    return reference is not None and reference.suffix == ".npz"


def _against_statistics(
    bench: Bench, source: Source, label: str, conditions: Mapping[str, float]
) -> Measured:
    assert bench.reference is not None
    measures = measure_against(
        source, load_statistics(bench.reference), bench.extractor(bench.features[0]), cache=bench.cache,
        processes=bench.processes, progress=True, label=label, conditions=conditions,
    )  # fmt: skip
    return Measured(measures=measures, pictures={})


# Pictures of the report
def _pictures(bench: Bench, measures: Measurement, source: Source) -> dict[str, Image.Image]:
    """Grids for the report; drawn by the main process alone."""
    if not bench.processes.main or measures.picks is None or bench.reference is None:
        return {}
    train = load_pictures(bench.reference, "train")
    grids = {SAMPLES: samples_grid(source, measures.style_names)}
    if measures.picks.best:
        grids[BEST_AND_WORST] = best_worst_grid(source, measures.picks, measures.style_names)
    return grids | {NEAREST: nearest_grid(source, measures.picks, compared(train, measures.style_names))}


def compared(train: Pictures, names: Sequence[str]) -> Tensor:
    """The training pictures that were compared with, in their order: those of these styles, or of any where
    there are none; all of a data set without styles."""
    if not train.style_names:
        return train.images
    known = [style for style, name in enumerate(train.style_names) if not names or name in names]
    return train.images[torch.isin(train.styles, torch.tensor(known))]
