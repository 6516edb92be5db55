"""The command `brushwork publish`."""

from pathlib import Path
from typing import Annotated

import tyro

from brushwork.data.errors import DataError
from brushwork.data.files import staged_folder
from brushwork.models.export.publish import published_files
from brushwork.models.options import options
from brushwork.models.snapshot import find_snapshot, load_generator
from brushwork.scripts.cli import parse_and_run

WEIGHTS = "model.safetensors"


@options
class PublishArguments:
    """Write a run to a folder that others can use without brushwork: ONNX graphs of its networks, and
    generate.py, which draws the images of seeds with numpy and onnxruntime alone.

    Example, a minute on a CPU:
        brushwork publish runs/demo published
        python published/generate.py --style noto --seeds 0 1 2
    """

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A run folder, a snapshot file or a Hub repository."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """A new folder."""
    overwrite: bool = False
    """Replace OUT if it was published before."""


def publish_command(args: PublishArguments) -> None:
    """Writes the folder, and prints what is in it. Raises DataError if OUT holds anything else."""
    there = args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir()))
    if there and not (args.overwrite and (args.out / "generate.py").is_file()):
        raise DataError(f"'{args.out}' is there already: name a new folder, or --overwrite a published one.")
    snapshot = find_snapshot(args.run)
    files = published_files(load_generator(snapshot))
    files[WEIGHTS] = snapshot.read_bytes()
    with staged_folder(args.out) as stage:
        for name, content in files.items():
            (stage / name).write_bytes(content)
    sizes = ", ".join(f"{name} {len(content) / 1e6:.1f} MB" for name, content in sorted(files.items()))
    print(f"{sizes}: {args.out}")


def main() -> None:
    """Parse the command line and publish."""
    parse_and_run(PublishArguments, publish_command)


if __name__ == "__main__":
    main()
