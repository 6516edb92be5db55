"""The command `brushwork measure`."""

import shlex
import sys
from dataclasses import field, replace
from datetime import datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import torch
import tyro
from PIL import Image

from brushwork.data.dataset import describe
from brushwork.eval.errors import EvalError
from brushwork.eval.evaluator import Evaluation, Evaluator, EvaluatorConfig
from brushwork.eval.pairs.read import read_pairs
from brushwork.eval.processes import Processes, launched
from brushwork.eval.report.compare import comparison_table, read_report, require_same_settings
from brushwork.eval.report.gallery import write_gallery
from brushwork.eval.report.page import CURVES, require_folder, write_report
from brushwork.eval.report.tables import table
from brushwork.eval.sources import holds_images, report_folder
from brushwork.eval.verify import verify
from brushwork.models.options import DeviceName, options, resolve_device
from brushwork.models.pretrained.frozen import from_notes
from brushwork.models.snapshot import find_snapshot, load_generator, snapshot_header
from brushwork.scripts.cli import parse_and_run
from brushwork.scripts.inputs import LeftOut, report_frames


@options
class MeasureArguments:
    """Measures a run, a snapshot, images or pairs of images, and writes a report.

    Examples, some minutes on a CPU, since the real images take longest, and less the next time:
        brushwork measure runs/demo --reference datasets/emoji-32
        brushwork measure runs/demo --reference datasets/emoji-32 --metrics fd accuracy ppl truncation
        brushwork measure pairs.csv --reference datasets/emoji-32
        torchrun --nproc-per-node 2 scripts/measure.py runs/demo --reference datasets/emoji-32
        brushwork measure --verify
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")] = ""
    """RUN (run folder, snapshot, Hub id), FOLDER with images in FOLDER/<style>/* (or without styles), or
    PAIRS.csv with columns output, content, style (optionally subject and reference)."""
    config: tyro.conf.OmitArgPrefixes[EvaluatorConfig] = field(default_factory=EvaluatorConfig)
    against: Path | None = None
    """A report.json to compare with. It must have the same protocol."""
    out: Path | None = None
    """Folder of the report. By default RUN/measure or FOLDER-measure."""
    verify: bool = False
    """In place of a source: measure the known answers of all evaluators whose weights are there, and say
    which they meet."""
    device: DeviceName = "auto"
    """auto, cpu, cuda, cuda:N or mps. With auto or cuda, each of several processes takes a GPU of its own."""


def measure_command(args: MeasureArguments) -> None:
    """Measures the source, prints the table and the comparison, and writes the report.

    Ends with exit code 2 if images could not be read, after the others are measured.
    """
    if args.verify:
        verify_evaluators(args.config)
        return
    if not args.source:
        raise EvalError("There is nothing to measure: name a run, a folder, pairs or --verify.")
    out = args.out or report_folder(Path(args.source))
    require_folder(out)
    earlier = None if args.against is None else read_report(args.against)
    if earlier is not None:
        require_same_settings(settings_of(args.config), earlier)
    with launched() as processes:
        result = evaluate(args, processes)
        if not processes.main:
            return
        measures = result.measures
        measures = replace(measures, environment={**measures.environment, **origin(args)})
        write_report(measures, out, grids={**result.grids, **curves_of(Path(args.source))})
        write_gallery(out.parent)
        print(table(result.measures))
        print(f"Report: {out / 'report.html'}, for programs: {out / 'report.json'}")
        if earlier is not None:
            print(comparison_table(result.measures.to_json(), earlier))
        left_out = LeftOut()
        for sentence in result.broken:
            left_out.add("", sentence)
        left_out.fail(done=result.count, of=result.count + len(result.broken), kept="the others are measured")


def verify_evaluators(config: EvaluatorConfig) -> None:
    """Prints what became of every known answer. Raises EvalError if a figure is another one."""
    found = [print(one) or one for one in verify(config.weight_files)]
    failed = [one for one in found if one.figure is not None and not one.passed]
    if failed:
        names = ", ".join(sorted({one.answer.network for one in failed}))
        raise EvalError(
            f"{names}: another figure than the known one; do not compare figures of this installation with "
            "others before you know why (another version of a library?)."
        )


def evaluate(args: MeasureArguments, processes: Processes) -> Evaluation:
    """Measures the source by its kind."""
    evaluator = Evaluator(args.config, device_of(args.device, processes), processes)
    source = Path(args.source)
    if source.suffix == ".csv":
        return evaluator.pairs(read_pairs(source), args.source)
    if holds_images(source):
        report_frames(source.rglob("*"))
        return evaluator.folder(source)
    snapshot = find_snapshot(args.source)
    notes = snapshot_header(snapshot).get("notes", {})
    return evaluator.generator(
        load_generator(snapshot, device=str(evaluator.device)), label=args.source,
        digest=sha256(snapshot.read_bytes()).hexdigest(),
        looked_through=from_notes(notes.get("looked_through", [])),
    )  # fmt: skip


def origin(args: MeasureArguments) -> dict[str, str]:
    """Where a report comes from, for its foot."""
    parts = {
        "measured": args.source,
        "data set": str(args.config.reference or ""),
        "date": datetime.now().strftime("%Y-%m-%d %H:%M"),
        "command": shlex.join(["brushwork", "measure", *sys.argv[1:]]),
        "brushwork": version("brushwork"),
    }
    return {name: text for name, text in parts.items() if text}


def settings_of(config: EvaluatorConfig) -> dict[str, object]:
    """What the options say of the protocol before anything is measured."""
    settings: dict[str, object] = {"psi": config.psi, "seed": config.seed}
    if config.reference is not None and config.reference.is_dir():
        about = describe(config.reference)
        settings |= {"real_size": list(about.shape[1:]), "real_fingerprint": about.fingerprint}
    return settings


def curves_of(source: Path) -> dict[str, Image.Image]:
    """The figures of a run while it trained, if it measured any."""
    folder = source if source.is_dir() else source.parent.parent
    path = folder / "curves.png"
    return {CURVES: Image.open(path)} if (folder / "snapshots").is_dir() and path.is_file() else {}


def device_of(name: str, processes: Processes) -> torch.device:
    """Returns the device of this process. Several processes take a GPU each."""
    device = resolve_device(name)
    if device != torch.device("cuda") or processes.count == 1:
        return device
    return torch.device("cuda", processes.rank % torch.cuda.device_count())


def main() -> None:
    """Parses the command line and measures."""
    parse_and_run(MeasureArguments, measure_command)


if __name__ == "__main__":
    main()
