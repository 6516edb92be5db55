"""The command `brushwork measure`."""

from pathlib import Path
from typing import Annotated

import torch
import tyro
from annotated_types import Interval

from brushwork.eval.features.cache import FeatureCache, user_cache
from brushwork.eval.features.resize import Precision, ResizeName
from brushwork.eval.pairs.read import pairs_by_stem, read_pairs
from brushwork.eval.processes import Processes, launched
from brushwork.eval.report.compare import compare, comparison_table, read_report
from brushwork.eval.report.tables import table
from brushwork.eval.report.write import write_report
from brushwork.eval.sources import holds_pictures, report_folder
from brushwork.models.options import Psi, Seed, options
from brushwork.scripts.inputs import LeftOut, tell_of_frames
from brushwork.scripts.measuring import Bench, Measured, measure_folder, measure_pairs, measure_run


@options
class MeasureArguments:
    """Measures a run, a snapshot, pictures or pairs of pictures: distance, style, content, with a report.

    Examples, about a minute on a CPU:
        brushwork measure runs/demo --reference datasets/emoji-32
        brushwork measure runs/demo --reference datasets/emoji-32 --metrics fd accuracy ppl truncation
        brushwork measure pairs.csv --reference datasets/emoji-32
        brushwork measure restyled --contents photographs
        torchrun --nproc-per-node 2 scripts/measure.py runs/demo --reference datasets/emoji-32
    """

    source: Annotated[str, tyro.conf.Positional]
    """RUN (run folder, snapshot, Hub id), FOLDER of pictures as FOLDER/<style>/* (or without styles), or
    PAIRS.csv with columns output, content, style (and, if need be, subject and reference)."""
    reference: Path | None = None
    """The packed data set to compare with, or published statistics (.npz with mu and sigma)."""
    contents: Path | None = None
    """Folder of the contents that SOURCE/<style>/* were made of, paired by equal stems."""
    metrics: tuple[str, ...] = ()
    """fd accuracy prdc similarity diversity copies kid is gram; of a run also ppl truncation, and with
    encoders disentanglement; of pairs also content ssim cfsd lpips truth reference. None given: those that
    are quick and need no download."""
    features: tuple[str, ...] = ("efficientnet-lite0",)
    """Feature extractors: efficientnet-lite0, efficientnet-lite2, hed-vgg16, inception, vgg16, vgg19."""
    control: bool = True
    """Measure in the features of random weights, too."""
    per_style: Annotated[int, Interval(ge=2, le=10**6)] = 200
    """Samples drawn of each style; the project's figures are taken with 200."""
    psi: Psi = 1.0
    """Truncation toward each style's average, 0 to 1; figures are taken at 1."""
    seed: Seed = 0
    """Seed of the first sample of every style; sample i has seed + i."""
    against: Path | None = None
    """A report.json to compare with; refused if its protocol is another."""
    out: Path | None = None
    """Where the report goes; by default RUN/measure or FOLDER-measure."""
    save_statistics: Path | None = None
    """Writes mean and covariance of the training pictures' first features, as pytorch-fid reads them
    (.npz)."""
    resize: ResizeName = "clean"
    """Filter and normalisation before Inception; FIDs of different ones are different figures."""
    precision: Precision = "fp32"
    """Arithmetic of the feature networks."""
    inception_weights: Path | None = None
    """The file pt_inception-2015-12-05-6726825d.pth; else the cache of weights, else a download."""
    hed_vgg16_weights: Path | None = None
    """The file hed-vgg16.safetensors of `brushwork fetch hed-vgg16`; else that in the cache."""
    vgg16_weights: Path | None = None
    """torchvision's vgg16-397923af.pth; else the cache, else a download."""
    vgg19_weights: Path | None = None
    """torchvision's vgg19-dcbb9e9d.pth; else the cache, else a download."""
    lpips_weights: Path | None = None
    """torchvision's alexnet-owt-7be5be79.pth, the trunk of LPIPS; else the cache, else a download."""
    cache: bool = True
    """Keep features on the disk, so that a measurement that was cut goes on where it stood."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Where networks run; of several processes, each takes a GPU of its own."""


def measure_command(args: MeasureArguments) -> None:
    """Measures, prints the table and where the report lies, and says what could not be read."""
    earlier = None if args.against is None else read_report(args.against)
    with launched() as processes:
        found = _measured(args, processes)
        if not processes.main:
            return
        out = args.out or report_folder(Path(args.source))
        written = write_report(found.measures, out, pictures=found.pictures)
        print(table(found.measures))
        if earlier is not None:
            print(comparison_table(compare(found.measures.to_json(), earlier)))
        print(f"Report: {written.page}, for programs: {written.json}")
        left_out = LeftOut()
        for sentence in found.broken:
            left_out.add("", sentence)
        total = found.count + len(found.broken)
        left_out.complain(done=found.count, of=total, kept="the others are measured")


def _measured(args: MeasureArguments, processes: Processes) -> Measured:
    weights = {"hed-vgg16": args.hed_vgg16_weights, "inception": args.inception_weights,
               "vgg16": args.vgg16_weights, "vgg19": args.vgg19_weights,
               "lpips": args.lpips_weights}  # fmt: skip
    bench = Bench(
        reference=args.reference, features=args.features, metrics=args.metrics, control=args.control,
        weights={name: path for name, path in weights.items() if path is not None}, resize=args.resize,
        precision=args.precision, device=device_of(args.device, processes), processes=processes,
        cache=FeatureCache(user_cache() if args.cache else None), save_statistics=args.save_statistics,
    )  # fmt: skip
    source = Path(args.source)
    if args.contents is not None:
        return measure_pairs(bench, pairs_by_stem(source, args.contents), str(source))
    if source.suffix == ".csv":
        return measure_pairs(bench, read_pairs(source), str(source))
    if holds_pictures(source):
        tell_of_frames(source.rglob("*"))
        return measure_folder(bench, source)
    return measure_run(bench, args.source, per_style=args.per_style, seed=args.seed, psi=args.psi)


def device_of(device: str, processes: Processes) -> str:
    """With several processes and GPUs, each process takes one."""
    if device != "cuda" or processes.count == 1:
        return device
    return f"cuda:{processes.rank % torch.cuda.device_count()}"


def main() -> None:
    """Parses the command line and measures."""
    from brushwork.scripts.cli import parse_and_run

    parse_and_run(MeasureArguments, measure_command)


if __name__ == "__main__":
    main()
