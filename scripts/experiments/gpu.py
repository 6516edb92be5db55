"""What `train auto` reaches on a GPU in minutes (docs/results.md)."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from brushwork.data.curate.pack import PackConfig, pack
from brushwork.data.sources.emoji import fetch_emoji
from brushwork.data.sources.photographs import fetch_photographs
from brushwork.models.options import DeviceName, Duration, options
from brushwork.scripts.cli import parse_and_run

COLLECTIONS: dict[str, tuple[Callable[[Path], object], PackConfig]] = {
    "emoji-64": (fetch_emoji, PackConfig(resolution=64)),
    "photographs-96x64": (
        lambda folder: fetch_photographs(folder, size=128), PackConfig(resolution=64, aspect="3:2"),
    ),
}  # fmt: skip
"""Functions that fetch, and how the images are packed, by the name of the data set."""


@options
class Arguments:
    """Runs `brushwork train auto` and `brushwork measure` on emoji of 64 px and on photographs of 96 x 64 px.

    After a stop, the same command resumes. Half an hour on a GPU, and a try on a processor:
        brushwork reproduce gpu
        brushwork reproduce gpu --minutes 1 --device cpu
    """

    minutes: Duration = 8.0
    """Minutes of each training."""
    device: DeviceName = "cuda"
    """Where the networks run: cuda, cuda:N, mps or cpu."""
    data: Path = Path("datasets")
    """Folder of the data sets; missing ones are fetched and packed."""
    out: Path = Path("runs/gpu")
    """Folder of the runs."""


def run_experiment(args: Arguments) -> None:
    """Runs the commands one after another, and ends with the exit code of the first that fails."""
    for name, (fetch, config) in COLLECTIONS.items():
        data, run = args.data / name, args.out / name
        if not (data / "dataset.json").is_file():
            folder = args.data / f"{name}-images"
            fetch(folder)
            pack(folder, data, config)
        limit = ("--max-minutes", f"{args.minutes:g}", "--device", args.device, "--resume")
        brushwork("train", "auto", "--data", data, "--out", run, *limit)
        brushwork("measure", run, "--reference", data, "--device", args.device)


def brushwork(*words: object) -> None:
    """Prints and runs a command in a process of its own; exits with its code if it fails."""
    print(" ".join(["$ brushwork", *map(str, words)]), flush=True)
    ended = subprocess.run([sys.executable, "-m", "brushwork.scripts.cli", *map(str, words)])
    if ended.returncode:
        sys.exit(ended.returncode)


def main() -> None:
    """Parse the command line and run the experiment."""
    parse_and_run(Arguments, run_experiment)


if __name__ == "__main__":
    main()
