"""The command `brushwork measure`."""

from hashlib import sha256
from pathlib import Path
from typing import Annotated

import torch
import tyro
from annotated_types import Interval

from brushwork.eval.evaluator import Evaluation, Evaluator
from brushwork.eval.features.cache import FeatureCache, user_cache
from brushwork.eval.features.inception import ResizeName
from brushwork.eval.pairs.read import pairs_by_stem, read_pairs
from brushwork.eval.processes import Processes, launched
from brushwork.eval.report.compare import comparison_table, read_report
from brushwork.eval.report.page import require_folder, write_report
from brushwork.eval.report.tables import table
from brushwork.eval.sources import holds_pictures, report_folder
from brushwork.models.device import DeviceName, resolve_device
from brushwork.models.options import Psi, Seed, options
from brushwork.models.snapshot import find_snapshot, load_generator, snapshot_header
from brushwork.scripts.inputs import LeftOut, report_frames
from brushwork.training.rng import derived_seed


@options
class MeasureArguments:
    """Measures a run, a snapshot, images or pairs of images, and writes a report.

    Examples, about a minute on a CPU:
        brushwork measure runs/demo --reference datasets/emoji-32
        brushwork measure runs/demo --reference datasets/emoji-32 --metrics fd accuracy ppl truncation
        brushwork measure pairs.csv --reference datasets/emoji-32
        brushwork measure restyled --contents photographs
        torchrun --nproc-per-node 2 scripts/measure.py runs/demo --reference datasets/emoji-32
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """RUN (run folder, snapshot, Hub id), FOLDER with images in FOLDER/<style>/* (or without styles), or
    PAIRS.csv with columns output, content, style (optionally subject and reference)."""
    reference: Path | None = None
    """Packed data set to compare with, or published statistics (.npz with mu and sigma)."""
    contents: Path | None = None
    """Folder of the contents that SOURCE/<style>/* were made of, matched by the stems of their names."""
    metrics: tuple[str, ...] = ()
    """Any source: fd accuracy prdc similarity diversity copies kid is gram. Runs: ppl truncation, with
    encoders disentanglement. Pairs: content ssim cfsd lpips truth reference. By default those that are quick
    and need no download."""
    features: tuple[str, ...] = ("efficientnet-lite0",)
    """Feature extractors: efficientnet-lite0, hed-vgg16, inception."""
    control: bool = True
    """Measure with the features of random weights, too."""
    per_style: Annotated[int, Interval(ge=2, le=10**6)] = 200
    """Samples of each style. The figures in the docs have 200."""
    psi: Psi = 1.0
    """Truncation toward each style's average, 0 to 1. The figures in the docs have 1."""
    seed: Seed = 0
    """Seed of the first sample of every style. Sample i has seed + i."""
    against: Path | None = None
    """A report.json to compare with. It must have the same protocol."""
    out: Path | None = None
    """Folder of the report. By default RUN/measure or FOLDER-measure."""
    save_statistics: Path | None = None
    """File for mean and covariance of the training images in the first features (.npz of pytorch-fid)."""
    resize: ResizeName = "clean"
    """Filter and normalisation before Inception. FIDs with different ones must not be compared."""
    inception_weights: Path | None = None
    """The file pt_inception-2015-12-05-6726825d.pth. By default from the cache, else downloaded."""
    hed_vgg16_weights: Path | None = None
    """The file hed-vgg16.safetensors of `brushwork fetch hed-vgg16`. By default from the cache."""
    lpips_weights: Path | None = None
    """torchvision's alexnet-owt-7be5be79.pth, for LPIPS. By default from the cache, else downloaded."""
    cache: bool = True
    """Keep features on the disk, so that an interrupted measurement can continue."""
    device: DeviceName = "auto"
    """auto, cpu, cuda, cuda:N or mps. With auto or cuda, each of several processes takes a GPU of its own."""


def measure_command(args: MeasureArguments) -> None:
    """Measures the source, prints the table and the comparison, and writes the report.

    Ends with exit code 2 if images could not be read, after the others are measured.
    """
    out = args.out or report_folder(Path(args.source))
    require_folder(out)
    earlier = None if args.against is None else read_report(args.against)
    with launched() as processes:
        result = evaluate(args, processes)
        if not processes.main:
            return
        write_report(result.measures, out, grids=result.grids)
        print(table(result.measures))
        if earlier is not None:
            print(comparison_table(result.measures.to_json(), earlier))
        print(f"Report: {out / 'report.html'}, for programs: {out / 'report.json'}")
        left_out = LeftOut()
        for sentence in result.broken:
            left_out.add("", sentence)
        left_out.fail(done=result.count, of=result.count + len(result.broken), kept="the others are measured")


def evaluate(args: MeasureArguments, processes: Processes) -> Evaluation:
    """Builds the evaluator and measures the source by its kind."""
    weights = {"hed-vgg16": args.hed_vgg16_weights, "inception": args.inception_weights,
               "lpips": args.lpips_weights}  # fmt: skip
    evaluator = Evaluator(
        reference=args.reference, features=args.features, metrics=args.metrics, control=args.control,
        weights={name: path for name, path in weights.items() if path is not None}, resize=args.resize,
        device=device_of(args.device, processes), processes=processes,
        cache=FeatureCache(user_cache() if args.cache else None), statistics_out=args.save_statistics,
    )  # fmt: skip
    source = Path(args.source)
    if args.contents is not None:
        pairs = pairs_by_stem(source, args.contents, evaluator.style_names)
        return evaluator.pairs(pairs, args.source)
    if source.suffix == ".csv":
        return evaluator.pairs(read_pairs(source), args.source)
    if holds_pictures(source):
        report_frames(source.rglob("*"))
        return evaluator.folder(source)
    snapshot = find_snapshot(args.source)
    seed = snapshot_header(snapshot).get("notes", {}).get("seed", 0)
    return evaluator.generator(
        load_generator(snapshot, device=str(evaluator.device)), label=args.source,
        digest=sha256(snapshot.read_bytes()).hexdigest(), weights_seed=derived_seed(seed, "weights"),
        per_style=args.per_style, seed=args.seed, psi=args.psi,
    )  # fmt: skip


def device_of(name: str, processes: Processes) -> torch.device:
    """Returns the device of this process. Several processes take a GPU each."""
    device = resolve_device(name)
    if device != torch.device("cuda") or processes.count == 1:
        return device
    return torch.device("cuda", processes.rank % torch.cuda.device_count())


def main() -> None:
    """Parses the command line and measures."""
    from brushwork.scripts.cli import parse_and_run

    parse_and_run(MeasureArguments, measure_command)


if __name__ == "__main__":
    main()
