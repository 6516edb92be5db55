"""Candidates of the benchmark `sample` generate and write all images."""

import numpy as np
import pytest
import torch

from brushwork.models.generator import Generator
from brushwork.models.sampling import sample
from brushwork.scripts.bench import sample as module
from brushwork.scripts.bench.sample import (
    Candidates,
    encoding,
    files_written,
    generated_batches,
    generating,
    generating_and_encoding,
    generator_for,
)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return generator_for("toy", torch.device("cpu"))


def test_batches_hold_so_many_images_of_every_style(generator: Generator) -> None:
    batches = list(generated_batches(generator, 9, 4))
    assert [len(images) for images in batches] == [4, 4, 1]
    rows = torch.arange(9) // 2  # 9 images of 6 styles: two seeds
    wanted = sample(generator, torch.eye(6)[rows], torch.arange(9) % 2).permute(0, 2, 3, 1).numpy()
    assert np.abs(np.concatenate(batches).astype(int) - wanted).max() <= 1
    names: list[str] = []
    files_written(
        lambda named: names.extend(path.name for paths, _ in named for path in paths), lambda: iter(batches)
    )
    assert names == [f"{number}.png" for number in range(9)]


def test_every_candidate_does_all_of_the_work(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results are the numbers of images generated, or in the folder."""
    monkeypatch.setattr(module, "faster_precision", lambda _: "fp32")
    monkeypatch.setattr(module, "BATCHES", (2, 4))
    monkeypatch.setattr(module, "THREADS", (1, 3))

    def results(candidates: Candidates) -> dict[str, int]:
        return {name: run() for name, run in candidates.items() for _ in range(2)}

    assert results(generating(generator, 5)) == {"fp32, 2 at once": 5, "fp32, 4 at once": 5}
    assert results(encoding(generator, 9)) == {"1 thread": 9, "3 threads": 9}
    assert list(results(generating_and_encoding(generator, 9)).values()) == [9, 9]
