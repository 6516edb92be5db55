"""What the benchmark of sampling times is what it says: the same pictures, all of them, on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch

from brushwork.models.generator import Generator
from brushwork.models.sampling import sample
from brushwork.scripts.bench import sample as sample_benchmark
from brushwork.scripts.bench.sample import (
    Sizes,
    drawing,
    drawn_batches,
    encoding,
    generator_for,
    to_disk,
    with_paths,
)

SIZES = Sizes(pictures=9, drawn=5, batches=(2, 4), threads=(1, 3), repeats=1)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return generator_for("toy", "cpu")


def test_the_benchmark_is_what_the_project_promises() -> None:
    sizes = Sizes()
    assert (sizes.batches, sizes.threads, sizes.pictures) == ((1, 16, 64), (1, 2, 4), 256)


def test_a_preset_is_drawn_with_weights_that_are_the_same_each_time(generator: Generator) -> None:
    state = torch.get_rng_state()
    again = generator_for("toy", "cpu")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(again.synthesis.start, generator.synthesis.start)
    assert not generator.training


def test_pictures_of_every_style_are_drawn_as_many_as_asked_for(generator: Generator, tmp_path: Path) -> None:
    batches = list(drawn_batches(generator, 9, 4))
    assert [len(pictures) for pictures in batches] == [4, 4, 1]
    rows = torch.arange(9) // 2  # 9 pictures of 6 styles: two seeds
    wanted = sample(generator, torch.eye(6)[rows], torch.arange(9) % 2).permute(0, 2, 3, 1).numpy()
    assert np.abs(np.concatenate(batches).astype(int) - wanted).max() <= 1
    names = [path.name for paths, _ in with_paths(tmp_path, iter(batches)) for path in paths]
    assert names == [f"{number}.png" for number in range(9)]


def test_every_candidate_does_all_of_the_work(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gives the number of pictures that it drew, or that lay in its folder."""
    monkeypatch.setattr(sample_benchmark, "faster_precision", lambda _: "fp32")
    drawn = drawing(generator, SIZES)
    assert drawn.timings.results == {"fp32, 2 at once": 5, "fp32, 4 at once": 5}
    assert "bf16 is left out" in drawn.table().notes[0]
    assert encoding(generator, SIZES).timings.results == {"1 thread": 9, "3 threads": 9}
    assert list(to_disk(generator, SIZES).timings.results.values()) == [9, 9]
