"""The command `brushwork bench BENCHMARK`."""

from brushwork.scripts.cli import run_command, run_script, run_subcommand

BENCHMARKS = {
    "metrics": "distances and features beside other libraries",
    "restyle": "runs beside other restylers, measured alike",
    "sample": "images generated and written a second",
    "stylize": "time to the loss of published style transfer",
    "train": "images trained a second, and how near the machine's limit",
    "data": "images decoded and batched a second on one core",
    "growth": "time and memory by resolution, batch and width",
}
"""A line of help for each module here that is a benchmark."""


def main() -> None:
    """Run the benchmark that the command line names."""
    run_command(
        lambda: run_subcommand(
            "brushwork bench", "benchmark", BENCHMARKS, lambda name: run_script(f"bench.{name}")
        )
    )


if __name__ == "__main__":
    main()
