"""Measures what a user can point at: a generator, a folder of images, pairs of images."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Interval
from PIL import Image
from torch import Tensor

from brushwork.data.dataset import ImageDataset
from brushwork.models.generator import Generator
from brushwork.models.options import Psi, Seed, Share, options
from brushwork.models.pretrained.frozen import FrozenNetwork
from brushwork.models.sampling import generate_between, sample

from .errors import EvalError
from .features.extract import Extraction, Extractor, MapExtractor, Source, user_cache
from .features.extractors import build_extractor, default_extractors
from .features.inception import ResizeName
from .features.vision_transformers import NETWORKS as VISION_TRANSFORMERS
from .generator_suite import GENERATOR_METRICS, with_path_length, with_truncation
from .independence import cautions_on, independent
from .metrics.frechet import load_statistics
from .metrics.lpips import Lpips
from .metrics.registry import DEFAULT, METRICS
from .pairs.read import PairSet
from .pairs.suite import PAIR_METRICS, PairNetworks, default_metrics, measure_outputs
from .pairs.truth import Drawings
from .processes import Processes
from .reference import Reference, load_images, load_reference
from .report.page import NEAREST, REAL, SAMPLES, nearest_grid, real_grid, samples_grid
from .results import Measurement
from .sources import Samples, read_styled_folder
from .suite import extractors_for, map_extractor, measure, measure_against

ROW = 6
"""Images of a style in each of the two grids at the head of a report."""
WEIGHTS = ("hed-vgg16", "inception", "lpips", *VISION_TRANSFORMERS)
"""Networks whose weights no package holds."""


@options
class EvaluatorConfig:
    """What is measured, of how many samples, and by which networks."""

    reference: Path | None = None
    """Packed data set to compare with, or published statistics (.npz with mu and sigma)."""
    metrics: tuple[str, ...] = ()
    """Any source: fd fd_infinity kid accuracy prdc similarity diversity copies cmmd gram. Runs: ppl
    truncation. Pairs: content ssim lpips truth reference. By default those that are quick and need no
    download."""
    features: tuple[str, ...] = ()
    """Feature extractors: efficientnet-lite0, hed-vgg16, inception, dinov2-l (FD-DINOv2), dinov2-b, clip
    (CMMD), csd. By default the first, and the second once `brushwork fetch hed-vgg16` was run."""
    control: bool = True
    """Measure with the features of random weights, too."""
    weights: tuple[str, ...] = ()
    """Files of weights as NAME=PATH, of any of these features and lpips. By default from the cache, or
    downloaded (hed-vgg16: by `brushwork fetch hed-vgg16`; csd: never)."""
    per_style: Annotated[int, Interval(ge=2, le=10**6)] = 200
    """Samples of each style. The figures in the docs have 200."""
    psi: Psi = 1.0
    """Truncation: 1 is none, towards 0 nearer to the style's average, above 1 farther from it. The figures in
    the docs have 1."""
    noise: Share = 1.0
    """Strength of the noise maps of samples, as in `brushwork sample`. The figures in the docs have 1."""
    seed: Seed = 0
    """Seed of the first sample of every style. Sample i has seed + i."""
    resize: ResizeName = "clean"
    """Filter and normalisation before Inception. FIDs with different ones must not be compared."""

    def __post_init__(self) -> None:
        for text in self.weights:
            name, _, path = text.partition("=")
            if name not in WEIGHTS or not path:
                raise EvalError(
                    f"--weights has {text!r}: write NAME=PATH, with NAME of {', '.join(WEIGHTS)}."
                )
            if not Path(path).is_file():
                raise EvalError(f"--weights has {text!r}, and there is no such file: mend the path.")

    @property
    def weight_files(self) -> dict[str, Path]:
        """The files of weights by network."""
        return {name: Path(path) for name, _, path in (text.partition("=") for text in self.weights)}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A measurement, the grids of its report by title, and the images that could not be read."""

    measures: Measurement
    grids: Mapping[str, Image.Image] = field(default_factory=dict)
    count: int = 0
    """Images or pairs that were read."""
    broken: tuple[str, ...] = ()
    """A sentence for each image or pair that could not be read."""


class Evaluator:
    """Measures generators, folders and pairs by one configuration, on one device."""

    def __init__(self, config: EvaluatorConfig, device: torch.device, processes: Processes) -> None:
        self.config, self.device, self.metrics = config, device, config.metrics or DEFAULT
        self.seen: tuple[FrozenNetwork, ...] = ()
        self.how = Extraction(cache=user_cache(), processes=processes, progress=True)

    # What can be measured
    def folder(self, folder: Path) -> Evaluation:
        """Measures images in FOLDER/<style>/*, or images without styles."""
        require_metrics(self.metrics, METRICS, "a folder of images")
        found = read_styled_folder(folder)
        if self._published:
            measures, grids = self._against_statistics(found), {}
        else:
            reference = self._load_reference(self.metrics)
            reference = reference.restricted_to(found.style_names)
            measures = measure(found, reference, metrics=self.metrics, how=self.how)
            grids = self._grids(measures, found)
        cautions = (found.compressed,) if found.compressed else ()
        measures = replace(measures.noted(*found.broken), label=str(folder), cautions=cautions)
        return Evaluation(measures=measures, grids=grids, count=len(found.styles), broken=found.broken)

    def pairs(self, pairs: PairSet, label: str) -> Evaluation:
        """Measures outputs beside their contents."""
        config, drawings = self.config, None
        if config.reference is not None:
            test, train = (load_images(config.reference, split) for split in ("all", "train"))
            drawings = Drawings(test=test, train=train)
        metrics = config.metrics or default_metrics(pairs, drawings)
        maps, control = self._map_networks(self._extractors, "A comparison of pairs")
        lpips = None
        if "lpips" in metrics:
            lpips = Lpips.from_weights(config.weight_files.get("lpips"), device=self.device)
        networks = PairNetworks(maps=maps, control=control, lpips=lpips)
        of_outputs = [metric for metric in metrics if metric in METRICS]
        reference = None if config.reference is None else self._load_reference(of_outputs)
        measures = measure_outputs(
            pairs, networks, metrics=metrics, reference=reference, drawings=drawings,
            how=replace(self.how, processes=Processes()), label=label,
        )  # fmt: skip
        return Evaluation(measures=measures.noted(*pairs.broken), count=len(pairs), broken=pairs.broken)

    def generator(
        self, generator: Generator, *, label: str, digest: str,
        looked_through: Sequence[FrozenNetwork] = (),
    ) -> Evaluation:  # fmt: skip
        """Measures samples of a generator called `label`. `digest`, of its weights, is a key of the cache.

        Raises EvalError if its training `looked_through` the evaluators.
        """
        require_metrics(self.metrics, (*METRICS, *GENERATOR_METRICS), "a run")
        self.seen = tuple(looked_through)
        vars(self).pop("_extractors", None)  # those of an earlier call, which saw another run
        config, names = self.config, generator.style_names
        if config.noise != 1:
            generator = deepcopy(generator).scale_noise(config.noise)
        less = {} if config.noise == 1 else {"noise": config.noise}

        def samples_at(psi: float) -> Samples:
            return Samples(
                sampler=lambda styles, seeds: sample(generator, styles, seeds, psi=psi), count=len(names),
                per_style=config.per_style, seed=config.seed, conditions={"psi": psi, **less},
                identity=f"{digest} psi {psi}{less or ''} on {self.device.type} by torch {torch.__version__}",
            )  # fmt: skip

        def judged(measures: Measurement) -> Measurement:
            evaluators = [extractor.name for extractor in self._extractors]
            return replace(
                measures, label=label, cautions=tuple(cautions_on(evaluators, self.seen)),
                environment={**measures.environment, "looked through": _listed(self.seen)},
            )  # fmt: skip

        samples = samples_at(config.psi)
        if self._published:
            return Evaluation(measures=judged(self._against_statistics(samples)))
        of_images = [metric for metric in self.metrics if metric not in GENERATOR_METRICS]
        reference = self._load_reference(of_images).restricted_to(names)
        measures = judged(measure(samples, reference, metrics=of_images, how=self.how))
        for metric in (metric for metric in GENERATOR_METRICS if metric in self.metrics):
            try:
                if metric == "ppl":
                    extractors = [space.extractor for space in reference.spaces]
                    measures = with_path_length(
                        measures, partial(generate_between, generator),
                        self._map_networks(extractors, "The path length"), count=len(names),
                        seed=config.seed, progress=self.how.processes.main,
                    )  # fmt: skip
                else:
                    measures = with_truncation(measures, samples_at, reference, how=self.how)
            except EvalError as error:
                measures = measures.noted(f"{metric}: {error}")
        if not (measures.figures or measures.curves):
            raise EvalError(f"Nothing of this can be measured. {' '.join(measures.notes)}")
        return Evaluation(measures=measures, grids=self._grids(measures, samples))

    # Parts
    @property
    def _published(self) -> bool:
        """Whether the reference is a file of statistics."""
        return self.config.reference is not None and self.config.reference.suffix == ".npz"

    @cached_property
    def _extractors(self) -> list[Extractor]:
        config, weights = self.config, self.config.weight_files
        names = config.features or default_extractors(weights)
        return [
            build_extractor(name, self.device, weights=weights, resize=config.resize)
            for name in independent(names, self.seen, chosen=bool(config.features))
        ]

    def _map_networks(
        self, extractors: Sequence[Extractor], what: str
    ) -> tuple[MapExtractor, MapExtractor | None]:
        """Returns the first network with feature maps, and its control if there shall be one."""
        network = map_extractor(extractors, what)
        control = network.control() if self.config.control and isinstance(network, Extractor) else None
        return network, control if isinstance(control, MapExtractor) else None

    def _load_reference(self, metrics: Sequence[str]) -> Reference:
        config = self.config
        if config.reference is None:
            raise EvalError("There is nothing to compare with: give --reference DATASET.")
        return load_reference(
            config.reference, extractors_for(self._extractors, metrics), control=config.control, how=self.how
        )

    def _against_statistics(self, source: Source) -> Measurement:
        assert self.config.reference is not None
        gaussian = load_statistics(self.config.reference)
        return measure_against(source, gaussian, self._extractors[0], self.how)

    def _grids(self, measures: Measurement, source: Source) -> dict[str, Image.Image]:
        """Returns the grids of the report, in the main process alone."""
        if not self.how.processes.main or measures.picks is None or self.config.reference is None:
            return {}
        pictures, names = load_images(self.config.reference, "train"), measures.style_names
        return {
            SAMPLES: samples_grid(source, names, ROW),
            REAL: real_grid(pictures, names, ROW),
            NEAREST: nearest_grid(source, measures.picks, images_of_styles(pictures, names)),
        }


def require_metrics(asked: Sequence[str], known: Iterable[str], source: str) -> None:
    """Raises EvalError for a metric that is unknown, or that a kind of source does not have."""
    names = list(known)
    others = {
        **dict.fromkeys(PAIR_METRICS, "pairs, PAIRS.csv"), **dict.fromkeys(GENERATOR_METRICS, "a run"),
    }  # fmt: skip
    for name in asked:
        if name not in names:
            kind = f", which is one of {others[name]}" if name in others else ""
            raise EvalError(f"There is no metric {name!r} of {source}{kind}: choose from {', '.join(names)}.")


def _listed(networks: Sequence[FrozenNetwork]) -> str:
    """'style-classifier (1234abcd, loss)' of each network, or that there is none."""
    texts = [f"{each.name} ({each.weights}, {each.role})" for each in networks]
    return ", ".join(texts) or "no frozen network, as far as the snapshot says"


def images_of_styles(pictures: ImageDataset, names: Sequence[str]) -> Tensor:
    """Returns the images of the styles `names`, in the data set's order, as `Reference.restricted_to` does.

    Without names: all labelled images, or all images where the data set has no styles.
    """
    if not pictures.style_names:
        return pictures.images
    kept = [style for style, name in enumerate(pictures.style_names) if not names or name in names]
    return pictures.images[torch.isin(pictures.styles, torch.tensor(kept))]
