"""Measures what a user can point at: a generator, a folder of images, pairs of images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from einops import repeat
from PIL import Image
from torch import Tensor

from brushwork.data.errors import DataError
from brushwork.data.names import styles_of_folders
from brushwork.data.pictures import Pictures, describe, load_pictures
from brushwork.models.generator import Generator
from brushwork.models.restyling import content_codes, own_style_codes, restyle
from brushwork.models.sampling import generate_between, sample

from .disentanglement_suite import MOST_TEST, MOST_TRAIN, EncoderPaths, LabelledImages, with_disentanglement
from .errors import EvalError
from .features.cache import FeatureCache
from .features.extract import Extractor, MapExtractor, Source
from .features.extractors import build_extractor
from .features.inception import ResizeName
from .generator_suite import (
    GENERATOR_METRICS,
    feature_steps,
    lpips_steps,
    with_path_length,
    with_truncation,
)
from .metrics.frechet import gaussian_of, load_statistics, save_statistics
from .metrics.lpips import Lpips
from .metrics.registry import DEFAULT, METRICS
from .pairs.read import PairSet
from .pairs.suite import Drawings, PairNetworks, default_metrics, measure_outputs
from .processes import Processes
from .reference import Reference, load_reference
from .report.grids import BEST_AND_WORST, NEAREST, SAMPLES, best_worst_grid, nearest_grid, samples_grid
from .results import Measurement
from .sources import Samples, Stored, read_styled_folder
from .suite import extractors_for, measure, measure_against


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A measurement, the grids of its report by title, and the images that could not be read."""

    measures: Measurement
    grids: Mapping[str, Image.Image] = field(default_factory=dict)
    count: int = 0
    """Images or pairs that were read."""
    broken: tuple[str, ...] = ()
    """A sentence for each image or pair that could not be read."""


@dataclass(frozen=True, kw_only=True)
class Evaluator:
    """Everything that a measurement needs beside its images.

    `reference` is a packed data set, or published statistics (.npz) for the Frechet distance alone.
    """

    reference: Path | None
    features: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    control: bool = True
    weights: Mapping[str, Path] = field(default_factory=dict)
    """Files of weights by network; others come from the cache or a download."""
    resize: ResizeName = "clean"
    device: torch.device
    processes: Processes
    cache: FeatureCache
    statistics_out: Path | None = None
    """Where mean and covariance of the reference's training images are saved."""

    @property
    def style_names(self) -> tuple[str, ...]:
        """The styles of the reference; none without a data set."""
        return () if self.reference is None or self._published else describe(self.reference).styles

    # What can be measured
    def folder(self, folder: Path) -> Evaluation:
        """Measures images in FOLDER/<style>/*, or images without styles."""
        found = read_styled_folder(folder)
        source = Stored(images=found.images, styles=found.styles)
        if self._published:
            measures, grids = self._against_statistics(source, str(folder), {}), {}
        else:
            metrics = self.metrics or DEFAULT
            names = styles_of_folders(found.style_names, self.style_names)
            reference = self._load_reference(metrics).restricted_to(names)
            measures = measure(
                source, reference, metrics=metrics, cache=self.cache, processes=self.processes,
                progress=True, label=str(folder),
            )  # fmt: skip
            grids = self._grids(measures, source)
        measures = replace(measures, notes=(*measures.notes, *found.broken))
        return Evaluation(measures=measures, grids=grids, count=len(found.styles), broken=found.broken)

    def pairs(self, pairs: PairSet, label: str) -> Evaluation:
        """Measures outputs beside their contents."""
        drawings = None
        if self.reference is not None:
            test, train = (load_pictures(self.reference, split) for split in ("all", "train"))
            drawings = Drawings(test=test, train=train)
        metrics = self.metrics or default_metrics(pairs, drawings)
        maps = next((e for e in map(self._extractor, self.features) if isinstance(e, MapExtractor)), None)
        if maps is None:
            raise EvalError(
                f"Pairs need feature maps, and {', '.join(self.features)} has none: add --features "
                "efficientnet-lite0."
            )
        control = maps.control() if self.control else None
        networks = PairNetworks(
            maps=maps, control=control if isinstance(control, MapExtractor) else None,
            lpips=self._lpips() if "lpips" in metrics else None,
        )  # fmt: skip
        of_outputs = [metric for metric in metrics if metric in METRICS]
        reference = None if self.reference is None else self._load_reference(of_outputs)
        measures = measure_outputs(
            pairs, networks, metrics=metrics, reference=reference, drawings=drawings, cache=self.cache,
            progress=True, label=label,
        )  # fmt: skip
        measures = replace(measures, notes=(*measures.notes, *pairs.broken))
        return Evaluation(measures=measures, count=len(pairs), broken=pairs.broken)

    def generator(
        self, generator: Generator, *, label: str, digest: str, weights_seed: int, per_style: int, seed: int,
        psi: float,
    ) -> Evaluation:  # fmt: skip
        """Measures samples of a generator.

        Args:
            label: name of the generator in the report.
            digest: digest of its weights, by which features are cached.
            weights_seed: torch seed of its weights before training, for the control of disentanglement.
            per_style: samples of each style, from seeds `seed` on.
            seed: seed of the first sample of every style.
            psi: truncation.
        """
        names, metrics = generator.style_names, self.metrics or DEFAULT
        if "disentanglement" in metrics:
            _ = generator.encoders  # a generator without any is refused before the rest is measured

        def samples_at(psi: float) -> Samples:
            identity = f"{digest} psi {psi} on {self.device.type} by torch {torch.__version__}"
            return Samples(
                sampler=lambda styles, seeds: sample(generator, styles, seeds, psi=psi),
                count=len(names), per_style=per_style, seed=seed, identity=identity,
            )  # fmt: skip

        samples = samples_at(psi)
        if self._published:
            return Evaluation(measures=self._against_statistics(samples, label, {"psi": psi}))
        of_images = [metric for metric in metrics if metric not in GENERATOR_METRICS]
        reference = self._load_reference(of_images).restricted_to(names)
        measures = measure(
            samples, reference, metrics=of_images, cache=self.cache, processes=self.processes, progress=True,
            label=label, conditions={"psi": psi},
        )  # fmt: skip
        additions: dict[str, Callable[[Measurement], Measurement]] = {
            "ppl": lambda measures: self._with_path_length(measures, generator, reference, seed),
            "truncation": lambda measures: with_truncation(
                measures, samples_at, reference, cache=self.cache, processes=self.processes, progress=True
            ),
            "disentanglement": lambda measures: self._with_disentanglement(
                measures, generator, reference, weights_seed
            ),
        }
        for metric in (metric for metric in GENERATOR_METRICS if metric in metrics):
            try:
                measures = additions[metric](measures)
            except (DataError, EvalError) as error:
                measures = replace(measures, notes=(*measures.notes, f"{metric}: {error}"))
        if not (measures.figures or measures.curves):
            raise EvalError(f"Nothing of this can be measured. {' '.join(measures.notes)}")
        return Evaluation(measures=measures, grids=self._grids(measures, samples))

    # Metrics of a generator
    def _with_path_length(
        self, measures: Measurement, generator: Generator, reference: Reference, seed: int
    ) -> Measurement:
        """Adds the path length: by LPIPS if its weights were given, else by the first feature maps."""
        space = reference.spaces[0]
        network, control = space.extractor, space.control and space.control.extractor
        if "lpips" in self.weights:
            steps = lpips_steps(self._lpips(), control=self.control)
        elif isinstance(network, MapExtractor):
            steps = feature_steps(network, control if isinstance(control, MapExtractor) else None)
        else:
            raise EvalError(
                f"The path length needs feature maps, and {network.name} has none: put --features "
                "efficientnet-lite0 first, or give --lpips-weights PATH."
            )

        def draw(styles: Tensor, start: Tensor, end: Tensor, t: Tensor) -> Tensor:
            return generate_between(generator, styles, start, end, t)

        count, progress = len(generator.style_names), self.processes.main
        return with_path_length(measures, draw, steps, seed=seed, count=count, progress=progress)

    def _with_disentanglement(
        self, measures: Measurement, generator: Generator, reference: Reference, weights_seed: int
    ) -> Measurement:
        """Adds what the codes of a generator hold. The control is the generator before its training."""
        names = generator.style_names
        if measures.style_names != names:
            raise EvalError("This needs labels, and the real images have none.")
        assert self.reference is not None
        train = LabelledImages.of(load_pictures(self.reference, "train"), names, MOST_TRAIN)
        test = LabelledImages.of(load_pictures(self.reference, "test"), names, MOST_TEST)
        control = encoder_paths(untrained(generator, weights_seed)) if self.control else None
        return with_disentanglement(
            measures, encoder_paths(generator), control, train=train, test=test, reference=reference,
            progress=True,
        )  # fmt: skip

    # Parts
    @property
    def _published(self) -> bool:
        """Whether the reference is a file of statistics."""
        return self.reference is not None and self.reference.suffix == ".npz"

    def _extractor(self, name: str) -> Extractor:
        return build_extractor(name, self.device, weights=self.weights, resize=self.resize)

    def _lpips(self) -> Lpips:
        return Lpips.from_weights(self.weights.get("lpips"), device=self.device)

    def _load_reference(self, metrics: Sequence[str]) -> Reference:
        """Raises EvalError without a reference."""
        if self.reference is None:
            raise EvalError("There is nothing to compare with: give --reference DATASET.")
        extractors = extractors_for([self._extractor(name) for name in self.features], metrics)
        reference = load_reference(
            self.reference, extractors, control=self.control, cache=self.cache, processes=self.processes,
            progress=True,
        )  # fmt: skip
        if self.statistics_out is not None and self.processes.main:
            save_statistics(self.statistics_out, gaussian_of(reference.spaces[0].raw_train.features))
        return reference

    def _against_statistics(self, source: Source, label: str, conditions: Mapping[str, float]) -> Measurement:
        assert self.reference is not None
        return measure_against(
            source, load_statistics(self.reference), self._extractor(self.features[0]), cache=self.cache,
            processes=self.processes, progress=True, label=label, conditions=conditions,
        )  # fmt: skip

    def _grids(self, measures: Measurement, source: Source) -> dict[str, Image.Image]:
        """Returns the grids of the report, in the main process alone."""
        if not self.processes.main or measures.picks is None or self.reference is None:
            return {}
        train = images_of_styles(load_pictures(self.reference, "train"), measures.style_names)
        grids = {SAMPLES: samples_grid(source, measures.style_names)}
        if measures.picks.best:
            grids[BEST_AND_WORST] = best_worst_grid(source, measures.picks, measures.style_names)
        return grids | {NEAREST: nearest_grid(source, measures.picks, train)}


def images_of_styles(pictures: Pictures, names: Sequence[str]) -> Tensor:
    """Returns the images of the styles `names`, in the data set's order, as `Reference.restricted_to` does.

    Without names: all labelled images, or all images where the data set has no styles.
    """
    if not pictures.style_names:
        return pictures.images
    kept = [style for style, name in enumerate(pictures.style_names) if not names or name in names]
    return pictures.images[torch.isin(pictures.styles, torch.tensor(kept))]


# Disentanglement
def encoder_paths(generator: Generator) -> EncoderPaths:
    """Returns the encoders of a generator, and its synthesis with swapped codes, as functions of images.

    They work at the stage that the generator was trained to. Raises ModelError without encoders.
    """
    _ = generator.encoders

    def swap(contents: Tensor, style_images: Tensor) -> Tensor:
        codes = repeat(own_style_codes(generator, style_images), "n d -> n l d", l=generator.layers)
        seeds = torch.zeros(len(contents), dtype=torch.int64)
        return restyle(generator, contents, codes, seeds, mode="resized")

    return EncoderPaths(
        content=lambda images: content_codes(generator, images),
        style=lambda images: own_style_codes(generator, images),
        swap=swap,
    )


def untrained(generator: Generator, weights_seed: int) -> Generator:
    """Returns the generator before its training: with the weights that torch draws from `weights_seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(weights_seed)
        fresh = Generator(generator.config, generator.style_names)
    fresh.trained_stage = generator.trained_stage
    return fresh.eval().requires_grad_(False).to(generator.synthesis.start.device)
