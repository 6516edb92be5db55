"""Candidates of the benchmark `sample` generate and write all images."""

from pathlib import Path

import numpy as np
import pytest
import torch

from brushwork.models.generator import Generator
from brushwork.models.sampling import sample
from brushwork.scripts.bench import sample as sample_benchmark
from brushwork.scripts.bench.sample import (
    compare_both,
    compare_encoding,
    compare_generating,
    generated_batches,
    generator_for,
    with_paths,
)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return generator_for("toy", "cpu")


def test_batches_hold_so_many_images_of_every_style(generator: Generator, tmp_path: Path) -> None:
    batches = list(generated_batches(generator, 9, 4))
    assert [len(pictures) for pictures in batches] == [4, 4, 1]
    rows = torch.arange(9) // 2  # 9 pictures of 6 styles: two seeds
    wanted = sample(generator, torch.eye(6)[rows], torch.arange(9) % 2).permute(0, 2, 3, 1).numpy()
    assert np.abs(np.concatenate(batches).astype(int) - wanted).max() <= 1
    names = [path.name for paths, _ in with_paths(tmp_path, iter(batches)) for path in paths]
    assert names == [f"{number}.png" for number in range(9)]


def test_every_candidate_does_all_of_the_work(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results are the numbers of images generated, or in the folder."""
    monkeypatch.setattr(sample_benchmark, "faster_precision", lambda _: "fp32")
    monkeypatch.setattr(sample_benchmark, "BATCHES", (2, 4))
    monkeypatch.setattr(sample_benchmark, "THREADS", (1, 3))
    generated = compare_generating(generator, 5, 1)
    assert generated.timings.results == {"fp32, 2 at once": 5, "fp32, 4 at once": 5}
    assert "bf16 is left out" in generated.table.notes[0]
    assert compare_encoding(generator, 9, 1).timings.results == {"1 thread": 9, "3 threads": 9}
    assert list(compare_both(generator, 9, 1).timings.results.values()) == [9, 9]
